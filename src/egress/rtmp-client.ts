import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls, type SecureContextOptions } from "node:tls";
import {
  NotSupportedError,
  PeerLostError,
  PeerRejectedError,
  PeerUnreachableError,
  ProtocolError,
  TesseraError,
  wordsOf,
} from "../core/error.ts";
import { ms } from "../core/time.ts";
import { type Clock, sleep } from "../media/clock.ts";
import { isAmfObject } from "../protocol/amf0.ts";
import {
  acceptsFourcc,
  commandBody,
  enhancedCapabilities,
  parseCommand,
  type RtmpCommand,
} from "../protocol/rtmp-command.ts";
import { RTMP, type RtmpMessage } from "../protocol/rtmp-message.ts";
import type { Resolve } from "../transport/resolve-host.ts";
import { RTMP_LIMITS, RtmpConnection, type RtmpLimits } from "../transport/rtmp-connection.ts";
import type { RtmpTarget } from "./rtmp-url.ts";

/** How to reach a peer. */
export interface RtmpClientOptions {
  readonly target: RtmpTarget;
  readonly clock: Clock;
  readonly limits: Partial<RtmpLimits>;
  /** For TCP and TLS together, per address. */
  readonly connectMs: number;
  readonly resolve: Resolve;
  /** For RTMPS: a certificate authority of one's own, or none at all. */
  readonly tls: SecureContextOptions & { readonly rejectUnauthorized?: boolean };
  /** What the peer must say it takes. */
  readonly fourccs: readonly string[];
}

/** Chunk streams of what is sent; the numbers are those of common encoders. */
const CHUNK_STREAM = { command: 3, audio: 4, data: 5, video: 6 } as const;

/** A publish that a server has accepted. Owns its connection. */
export class RtmpClient implements AsyncDisposable {
  readonly connection: RtmpConnection;
  readonly #target: RtmpTarget;
  readonly #maxCommandBytes: number;
  readonly #answers = new Map<number, PromiseWithResolvers<RtmpCommand>>();
  readonly #started = Promise.withResolvers<void>();
  #transaction = 0;
  #streamId = 0;

  private constructor(connection: RtmpConnection, target: RtmpTarget, maxCommandBytes: number) {
    this.connection = connection;
    this.#target = target;
    this.#maxCommandBytes = maxCommandBytes;
    this.#started.promise.catch(() => {}); // Whoever awaits it hears; nobody else has to.
  }

  /**
   * Connects and publishes. Whatever is acquired before it fails is released.
   *
   * @param signal its abort cancels at once.
   * @throws {PeerUnreachableError} nobody there, or no answer in time; {@link PeerRejectedError} the server said no;
   *   {@link PeerLostError} it went away; {@link NotSupportedError} it does not say that it takes the codecs;
   *   what `resolve` threw; `signal.reason`.
   */
  static async open(options: RtmpClientOptions, signal: AbortSignal): Promise<RtmpClient> {
    signal.throwIfAborted();
    const socket = await dial(options, signal);
    const { clock, limits, target } = options;
    const connection = new RtmpConnection(socket, { role: "client", clock, limits });
    const client = new RtmpClient(connection, target, limits.maxCommandBytes ?? RTMP_LIMITS.maxCommandBytes);
    const abort = (): void => void connection.close();
    signal.addEventListener("abort", abort, { once: true });
    try {
      await client.#publish(options.fourccs);
      return client;
    } catch (error) {
      await connection.close();
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** Sends a tag; settles when the kernel has taken it. Never rejects: see `connection.closed`. */
  send(kind: "audio" | "video" | "data", timestampMs: number, body: Uint8Array): Promise<void> {
    const type = kind === "audio" ? RTMP.audio : kind === "video" ? RTMP.video : RTMP.dataAmf0;
    return this.connection.send(type, this.#streamId, body, CHUNK_STREAM[kind], timestampMs);
  }

  /** Ends the publish in good order, and the connection. */
  async unpublish(): Promise<void> {
    this.#command(0, "FCUnpublish", this.#next(), this.#target.key);
    this.#command(0, "deleteStream", this.#next(), this.#streamId);
    await this.connection.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.connection.close();
  }

  async #publish(fourccs: readonly string[]): Promise<void> {
    void this.#read();
    if (!(await this.connection.ready)) throw await this.#whyClosed();
    this.connection.sendSettings();
    const { app, tcUrl, key } = this.#target;
    const about = { app, type: "nonprivate", flashVer: "FMLE/3.0 (compatible; Tessera)", tcUrl };
    // Servers of old have never seen these, so they are only told where they matter.
    const enhanced = fourccs.length === 0 ? {} : enhancedCapabilities("client");
    const answer = await this.#call("connect", { ...about, ...enhanced });
    const missing = fourccs.filter((fourcc) => !acceptsFourcc(answer, fourcc));
    if (missing.length > 0)
      throw new NotSupportedError(`the RTMP server does not say that it takes ${missing.join(", ")}`);
    this.#command(0, "releaseStream", this.#next(), key);
    this.#command(0, "FCPublish", this.#next(), key);
    const created = await this.#call("createStream", null);
    const streamId = created.args[0];
    if (typeof streamId !== "number")
      throw new ProtocolError("RTMP: createStream was answered without a stream");
    this.#streamId = streamId;
    this.#command(streamId, "publish", this.#next(), key, "live");
    await this.#started.promise;
    this.connection.allowMedia();
  }

  async #call(name: string, object: Parameters<typeof commandBody>[2]): Promise<RtmpCommand> {
    const id = this.#next();
    const answer = Promise.withResolvers<RtmpCommand>();
    this.#answers.set(id, answer);
    const body = commandBody(name, id, object);
    void this.connection.send(RTMP.commandAmf0, 0, body, CHUNK_STREAM.command);
    return await answer.promise;
  }

  #command(streamId: number, name: string, id: number, ...args: readonly (string | number)[]): void {
    const body = commandBody(name, id, null, ...args);
    void this.connection.send(RTMP.commandAmf0, streamId, body, CHUNK_STREAM.command);
  }

  #next(): number {
    this.#transaction += 1;
    return this.#transaction;
  }

  /** Hears the server until the connection is closed. Never rejects. */
  async #read(): Promise<void> {
    try {
      for await (const message of this.connection) this.#hear(message);
    } catch (error) {
      await this.connection.close(
        error instanceof TesseraError ? error : new ProtocolError("RTMP: unreadable", { cause: error }),
      );
    }
    const reason = await this.#whyClosed();
    this.#started.reject(reason);
    for (const answer of this.#answers.values()) answer.reject(reason);
    this.#answers.clear();
  }

  #hear(message: RtmpMessage): void {
    if (message.type !== RTMP.commandAmf0 && message.type !== RTMP.commandAmf3) return;
    const command = parseCommand(message, this.#maxCommandBytes);
    const { name, transactionId } = command;
    const waiting = this.#answers.get(transactionId);
    if (name === "_result" && waiting !== undefined) {
      this.#answers.delete(transactionId);
      waiting.resolve(command);
    } else if (name === "_error" && waiting !== undefined) {
      void this.connection.close(new PeerRejectedError(`RTMP server: ${said(command)}`));
    } else if (name === "onStatus") {
      const status = statusOf(command);
      if (status.level === "error")
        void this.connection.close(new PeerRejectedError(`RTMP server: ${said(command)}`));
      else if (status.code === "NetStream.Publish.Start") this.#started.resolve();
    }
  }

  async #whyClosed(): Promise<TesseraError> {
    const reason = await this.connection.closed;
    return (
      reason ??
      new PeerRejectedError("the RTMP server closed the connection instead of accepting the publish")
    );
  }
}

/** Connects to the first address that answers. */
async function dial(options: RtmpClientOptions, signal: AbortSignal): Promise<Socket> {
  const { host } = options.target;
  let addresses: readonly string[];
  try {
    addresses = await untilAborted(options.resolve(host, signal), signal);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof TesseraError) throw error;
    throw new PeerUnreachableError(`cannot resolve ${host}`, { cause: error });
  }
  let last: unknown;
  for (const address of addresses) {
    try {
      return await dialAddress(address, options, signal);
    } catch (error) {
      signal.throwIfAborted();
      last = error;
    }
  }
  throw last instanceof TesseraError
    ? last
    : new PeerUnreachableError(`cannot connect to ${host}`, { cause: last });
}

async function dialAddress(host: string, options: RtmpClientOptions, signal: AbortSignal): Promise<Socket> {
  const { target, tls, clock, connectMs } = options;
  const { port } = target;
  // RFC 6066 §3: addresses are no server names.
  const servername = isIP(target.host) === 0 ? target.host : "";
  const socket = target.secure ? connectTls({ ...tls, host, port, servername }) : connect({ host, port });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const done = new AbortController();
  const abort = (): void => reject(signal.reason);
  const fail = (cause: unknown): void =>
    reject(
      new PeerUnreachableError(`cannot connect to ${target.host}:${port}: ${wordsOf(cause)}`, { cause }),
    );
  const onClose = (): void => fail("it closed the connection");
  socket.once(target.secure ? "secureConnect" : "connect", resolve);
  socket.once("error", fail);
  socket.once("close", onClose);
  signal.addEventListener("abort", abort, { once: true });
  void sleep(clock, ms(connectMs), done.signal).then(
    () => fail(`no answer within ${connectMs} ms`),
    () => {},
  );
  try {
    await promise;
    return socket;
  } catch (error) {
    socket.on("error", () => {});
    socket.destroy();
    throw error;
  } finally {
    done.abort();
    signal.removeEventListener("abort", abort);
    socket.off("error", fail);
    socket.off("close", onClose);
  }
}

function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  return promise;
}

/** Code and level of a status, as far as the server says them. */
function statusOf(command: RtmpCommand): {
  readonly level: string;
  readonly code: string;
  readonly description: string;
} {
  const info = [...command.args, command.object].find(
    (one) => isAmfObject(one ?? null) && one !== null && "code" in (one as object),
  );
  const field = (key: string): string => {
    const value = info !== undefined && info !== null && isAmfObject(info) ? info[key] : undefined;
    return typeof value === "string" ? value.slice(0, 512) : "";
  };
  return { level: field("level"), code: field("code"), description: field("description") };
}

function said(command: RtmpCommand): string {
  const { code, description } = statusOf(command);
  return [code, description].filter((part) => part !== "").join(": ") || "an error without words";
}
