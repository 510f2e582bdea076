import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";
import type { DoorCounts } from "../contract/door-counts.ts";
import { Channel } from "../core/channel.ts";
import { BusyError, InvalidArgumentError, PeerLostError, type TesseraError } from "../core/error.ts";
import type { Logger } from "../core/log.ts";
import { ms } from "../core/time.ts";
import type { Clock } from "../media/clock.ts";
import { RTMP_LIMITS, RtmpConnection, type RtmpLimits } from "../transport/rtmp-connection.ts";
import { RefusalLog } from "./refusal-log.ts";
import type { PublishRequest, RtmpPublish } from "./rtmp-publish.ts";
import { type PublishDecision, RtmpSession, type SessionHost } from "./rtmp-session.ts";

/** Bounds of a door beside those of each connection. */
export interface RtmpDoorLimits extends RtmpLimits {
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  /** A publisher that sent a byte within this time keeps its key against newcomers. */
  readonly keyHeldMs: number;
}

export const RTMP_DOOR_LIMITS: RtmpDoorLimits = {
  ...RTMP_LIMITS,
  maxConnections: 2000,
  maxConnectionsPerAddress: 200,
  keyHeldMs: 5000,
};

/** How to open a door. */
export interface RtmpDoorOptions {
  readonly host: string;
  /** 0 takes any free port; see {@link RtmpDoor.address}. */
  readonly port: number;
  /** Makes it RTMPS. */
  readonly tls?: TlsOptions;
  readonly limits?: Partial<RtmpDoorLimits>;
  readonly clock: Clock;
  /** Hears of everybody who is refused or cut off, at most once a second. */
  readonly log?: Logger | undefined;
  /**
   * Decides about a publish before the encoder is told anything. May take its time, within `publishMs`; a rejection
   * refuses the publish without a word about why.
   */
  authorize(request: PublishRequest): Promise<PublishDecision>;
}

/**
 * The RTMP(S) listener: takes publishers, and hands each accepted publish to whoever iterates.
 *
 * One bad peer never harms another: everything one connection may hold, send or delay is bounded by
 * {@link RtmpDoorLimits}. Publishes that nobody takes are held, with their sockets unread.
 */
export class RtmpDoor implements AsyncIterable<RtmpPublish>, AsyncDisposable, SessionHost {
  /** Where it listens. */
  readonly address: { readonly host: string; readonly port: number };

  readonly #server: Server;
  readonly #options: RtmpDoorOptions;
  readonly #limits: RtmpDoorLimits;
  readonly #connections = new Set<RtmpConnection>();
  readonly #perAddress = new Map<string, number>();
  readonly #publishes = new Map<string, RtmpPublish>();
  readonly #closedFor: Record<string, number> = {};
  readonly #fresh = new Channel<RtmpPublish>();
  readonly #refusals: RefusalLog;
  /** Publishes that go on, those that were taken over included. */
  readonly #going = new Set<RtmpPublish>();
  /** Of publishes that are over. */
  #unusable: Unusable = { bad: 0, ignored: 0 };
  #turnedAway = 0;
  #closing: Promise<void> | undefined;

  private constructor(server: Server, options: RtmpDoorOptions) {
    this.#server = server;
    this.#options = options;
    this.#limits = { ...RTMP_DOOR_LIMITS, ...options.limits };
    this.#refusals = new RefusalLog(options.log, options.clock);
    const at = server.address();
    this.address =
      typeof at === "object" && at !== null ? { host: at.address, port: at.port } : { host: "", port: 0 };
  }

  /**
   * Opens a door.
   *
   * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if the address cannot be listened on, or the TLS key or
   *   certificate is of no use.
   */
  static async listen(options: RtmpDoorOptions): Promise<RtmpDoor> {
    const { host, port, tls } = options;
    try {
      const server = tls === undefined ? createServer() : createTlsServer({ handshakeTimeout: 5000, ...tls });
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      server.once("error", reject);
      server.listen(port, host, resolve);
      await promise;
      server.off("error", reject);
      const door = new RtmpDoor(server, options);
      server.on("connection", (socket) => door.#accept(socket));
      server.on(tls === undefined ? "connection" : "secureConnection", (socket: Socket) => {
        if (!socket.destroyed) void door.#serve(socket);
      });
      server.on("tlsClientError", (_error, socket) => socket.destroy());
      server.on("error", () => {}); // Of accept(2), such as too many open files: the next one may work.
      server.maxConnections = door.#limits.maxConnections;
      server.on("drop", (from) => door.#turnAway(from?.remoteAddress));
      return door;
    } catch (cause) {
      throw new InvalidArgumentError("rtmp", `cannot listen on ${host}:${port}`, { cause });
    }
  }

  stats(): DoorCounts {
    return {
      connections: this.#connections.size,
      publishes: this.#publishes.size,
      closedFor: { ...this.#closedFor },
      turnedAway: this.#turnedAway,
      ...[...this.#going].map((publish) => publish.stats()).reduce(sum, this.#unusable),
    };
  }

  /** Closes the listener and every connection. Idempotent, never rejects. */
  close(): Promise<void> {
    this.#closing ??= this.#teardown();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  [Symbol.asyncIterator](): AsyncGenerator<RtmpPublish, void, undefined> {
    return this.#fresh[Symbol.asyncIterator]();
  }

  /** For sessions. */
  async authorize(request: PublishRequest): Promise<PublishDecision> {
    if (request.name === "") return { allow: false, code: "BadName", description: "no stream name" };
    const decision = await this.#options
      .authorize(request)
      .catch(() => ({ allow: false, code: "Unauthorized", description: "not allowed now" }) as const);
    if (!decision.allow) this.#tellRefusal(request, decision.code);
    return decision;
  }

  /** For sessions: gives the publish its key, or says why not. */
  admit(publish: RtmpPublish): string | undefined {
    const before = this.#publishes.get(publish.key);
    if (before !== undefined) {
      const silentUs = this.#options.clock.now() - before.lastReceivedUs;
      if (silentUs < ms(this.#limits.keyHeldMs)) {
        this.#tellRefusal(publish, "its key is in use");
        return "somebody is publishing under this name";
      }
      void before.close(new PeerLostError("silent, and another encoder took over its name"));
    }
    this.#publishes.set(publish.key, publish);
    this.#going.add(publish);
    this.#fresh.push(publish);
    return undefined;
  }

  /** For sessions. */
  leave(publish: RtmpPublish): void {
    if (this.#publishes.get(publish.key) === publish) this.#publishes.delete(publish.key);
    if (this.#going.delete(publish)) this.#unusable = sum(this.#unusable, publish.stats());
  }

  /** Counts per address, before a TLS handshake costs anything. */
  #accept(socket: Socket): void {
    const from = socket.remoteAddress ?? "";
    const count = this.#perAddress.get(from) ?? 0;
    socket.on("error", () => {});
    if (count >= this.#limits.maxConnectionsPerAddress || this.#closing !== undefined) {
      this.#turnAway(from);
      socket.destroy();
      return;
    }
    this.#perAddress.set(from, count + 1);
    socket.once("close", () => {
      const left = (this.#perAddress.get(from) ?? 1) - 1;
      if (left > 0) this.#perAddress.set(from, left);
      else this.#perAddress.delete(from);
    });
  }

  async #serve(socket: Socket): Promise<void> {
    const { clock } = this.#options;
    const connection = new RtmpConnection(socket, { role: "server", clock, limits: this.#limits });
    this.#connections.add(connection);
    const reason = await new RtmpSession(connection, this, this.#limits.maxCommandBytes).run();
    this.#connections.delete(connection);
    if (reason !== undefined) this.#count(reason, connection.remote);
  }

  #count({ code, message }: TesseraError, remote: string): void {
    this.#closedFor[code] = (this.#closedFor[code] ?? 0) + 1;
    // Refusals were told with what they were about, and their text may hold the name that was asked for.
    const isToldOf = code === "ERR_UNAUTHORIZED" || this.#closing !== undefined;
    if (!isToldOf) this.#refusals.tell({ remote, code, message }, "connection cut off");
  }

  #turnAway(remote: string | undefined): void {
    this.#turnedAway += 1;
    this.#refusals.tell({ remote }, "connection turned away: there are too many");
  }

  #tellRefusal({ remote, encoder }: PublishRequest, why: string): void {
    this.#refusals.tell({ remote, encoder, why }, "publish refused");
  }

  async #teardown(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    const reason = new BusyError("the RTMP door is closing");
    await Promise.all([...this.#connections].map((connection) => connection.close(reason)));
    this.#fresh.close({ drop: true });
    await promise;
  }
}

type Unusable = Pick<DoorCounts, "bad" | "ignored">;
const sum = (a: Unusable, b: Unusable): Unusable => ({ bad: a.bad + b.bad, ignored: a.ignored + b.ignored });
