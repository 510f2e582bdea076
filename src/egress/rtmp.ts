import type { SecureContextOptions } from "node:tls";
import { errorInfo, InternalError, PeerLostError, TesseraError } from "../core/error.ts";
import { Backoff } from "../core/retry.ts";
import { type Micros, ms } from "../core/time.ts";
import { type Clock, LiveClock, sleep, VirtualClock } from "../media/clock.ts";
import type { Packet } from "../media/packet.ts";
import { type Resolve, resolveHost } from "../transport/resolve-host.ts";
import type { RtmpLimits } from "../transport/rtmp-connection.ts";
import { DropCount } from "./drop-count.ts";
import type { Egress, EgressEvent, EgressStats, EgressStreams } from "./egress.ts";
import { EventQueue } from "./event-queue.ts";
import { RtmpClient } from "./rtmp-client.ts";
import { RtmpPacketizer } from "./rtmp-packetizer.ts";
import { LiveQueue } from "./rtmp-queue.ts";
import { parseRtmpUrl, type RtmpTarget } from "./rtmp-url.ts";

/** Where to push, and how patiently. */
export interface RtmpPushOptions {
  readonly url: string;
  /** Taken after two failed attempts at the other, and back. */
  readonly backupUrl?: string;
  readonly streams: EgressStreams;
  /** Mix time of stamp 0, for a push that an earlier process may have begun; absent: of the first packet. */
  readonly originUs?: Micros;
  /** Of the packets. Peers live in real time: under a virtual clock deadlines follow the machine's. */
  readonly clock: Clock;
  /** Its abort closes at once, without flushing. */
  readonly signal?: AbortSignal;
  /** Checks a host and finds its addresses: the address it answers is the one connected to. */
  readonly resolve?: Resolve;
  /** For RTMPS. */
  readonly tls?: SecureContextOptions & { readonly rejectUnauthorized?: boolean };
  readonly limits?: Partial<RtmpPushLimits>;
}

/** Bounds of a push, in time and memory. */
export interface RtmpPushLimits extends Pick<RtmpLimits, "handshakeMs" | "publishMs" | "stallMs"> {
  /** For TCP and TLS together. */
  readonly connectMs: number;
  readonly maxQueueMs: number;
  readonly maxQueueBytes: number;
  readonly firstRetryMs: number;
  readonly maxRetryMs: number;
  /** How long {@link Egress.close} may take. */
  readonly flushMs: number;
}

export const RTMP_PUSH_LIMITS: RtmpPushLimits = {
  connectMs: 5000,
  handshakeMs: 5000,
  publishMs: 10_000,
  stallMs: 5000,
  maxQueueMs: 2000,
  maxQueueBytes: 4 << 20,
  firstRetryMs: 500,
  maxRetryMs: 15_000,
  flushMs: 2000,
};

/** Failed attempts in a row before the other URL is tried. */
const ATTEMPTS_PER_URL = 2;
/** A connection that lasted this long was good: the next failure is retried quickly again. */
const PROVEN_AFTER = ms(5000);

/**
 * Pushes to an RTMP or RTMPS server. Returns at once in state connecting and never waits for the peer.
 *
 * Reconnects on its own with backoff. Stamps begin at 0 at the first connect, or where `originUs` says, and never go
 * back, also over reconnects; every connection begins with metadata, sequence headers and a key frame. Ends as
 * `failed` only where no retry can help: a forbidden destination, a codec that the peer does not take.
 *
 * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if a URL cannot be read, or RTMP does not carry a codec of
 *   `streams`.
 */
export const openRtmpPush = (options: RtmpPushOptions): Egress => new RtmpPush(options);

/** Of a push that has sent nothing yet. */
const NO_DROPS = new DropCount("slow", "away").read();

class RtmpPush implements Egress {
  readonly #options: RtmpPushOptions;
  readonly #limits: RtmpPushLimits;
  readonly #clock: Clock;
  readonly #targets: readonly RtmpTarget[];
  readonly #packetizer: RtmpPacketizer;
  readonly #queue: LiveQueue;
  readonly #events = new EventQueue();
  readonly #abort = new AbortController();
  readonly #backoff: Backoff;
  readonly #running: Promise<void>;
  #attempts = 0;
  #client: RtmpClient | undefined;
  #waiting = false;
  /** A connect failed or was lost, and none has worked since. */
  #away = false;
  #closing = false;
  #firstDtsUs: Micros | undefined;
  #lastStampMs = { video: 0, audio: 0 };
  #bytes = 0;
  #frames = 0;
  /** From the first packet sent: nobody was there before to miss any. */
  readonly #drops = new DropCount("slow", "away");
  #hasSent = false;
  #retries = 0;

  constructor(options: RtmpPushOptions) {
    this.#options = options;
    this.#limits = { ...RTMP_PUSH_LIMITS, ...options.limits };
    this.#clock = options.clock instanceof VirtualClock ? new LiveClock() : options.clock;
    this.#firstDtsUs = options.originUs;
    const urls = [parseRtmpUrl(options.url)];
    if (options.backupUrl !== undefined) urls.push(parseRtmpUrl(options.backupUrl, "backupUrl"));
    this.#targets = urls;
    this.#packetizer = new RtmpPacketizer(options.streams);
    const { maxQueueMs, maxQueueBytes, firstRetryMs, maxRetryMs } = this.#limits;
    this.#queue = new LiveQueue(
      { maxMs: maxQueueMs, maxBytes: maxQueueBytes },
      options.streams.video !== undefined,
      this.#drops,
    );
    this.#backoff = new Backoff({ firstMs: firstRetryMs, maxMs: maxRetryMs });
    const onAbort = (): void => this.#stop();
    options.signal?.addEventListener("abort", onAbort, { once: true });
    if (options.signal?.aborted) this.#stop();
    this.#running = this.#run().finally(() => options.signal?.removeEventListener("abort", onAbort));
  }

  get events(): AsyncIterable<EgressEvent> {
    return this.#events;
  }

  push(packet: Packet): void {
    this.#queue.push(packet);
  }

  /** Waits for the first connect and for a live peer; one that is away must not hold back the mix. */
  drained(): Promise<void> {
    return this.#away ? Promise.resolve() : this.#queue.drained();
  }

  stats(): EgressStats {
    const drops = this.#hasSent ? this.#drops.read() : NO_DROPS;
    return { bytes: this.#bytes, frames: this.#frames, ...drops, retries: this.#retries };
  }

  async close(): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      this.#queue.close();
      if (this.#waiting) this.#stop();
      void sleep(this.#clock, ms(this.#limits.flushMs), this.#abort.signal).then(
        () => this.#stop(),
        () => {},
      );
    }
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Ends everything at once. */
  #stop(): void {
    this.#closing = true;
    this.#queue.close();
    this.#abort.abort(new PeerLostError("the output was closed"));
    void this.#client?.connection.close();
  }

  async #run(): Promise<void> {
    this.#events.emit({ type: "connecting" });
    for (;;) {
      const error = await this.#attempt();
      if (this.#closing || error === undefined) break;
      // What a peer does wrong may be better next time; what a caller or we did wrong will not.
      if (error.fault !== "peer") {
        this.#queue.close();
        this.#events.emit({ type: "failed", error: errorInfo(error) });
        break;
      }
      await this.#waitToRetry(error);
    }
    this.#stop();
    this.#events.emit({ type: "ended" });
  }

  async #waitToRetry(error: TesseraError): Promise<void> {
    const inMs = Math.round(this.#backoff.next());
    this.#retries += 1;
    this.#events.emit({ type: "retrying", error: errorInfo(error), inMs });
    this.#waiting = true;
    this.#away = true;
    this.#queue.letGo();
    await sleep(this.#clock, ms(inMs), this.#abort.signal).catch(() => {});
    this.#waiting = false;
  }

  /** Connects and sends until something breaks, which it returns, or until the end, which is undefined. */
  async #attempt(): Promise<TesseraError | undefined> {
    const turn = Math.floor(this.#attempts / ATTEMPTS_PER_URL) % this.#targets.length;
    const target = this.#targets[turn];
    if (target === undefined) return new InternalError("no target");
    this.#attempts += 1;
    try {
      const { resolve = resolveHost, tls = {} } = this.#options;
      const { connectMs, handshakeMs, publishMs, stallMs } = this.#limits;
      const limits = { handshakeMs, publishMs, stallMs, maxWriteBytes: 64 << 20 };
      const fourccs = this.#packetizer.fourccs;
      const options = { target, clock: this.#clock, limits, connectMs, resolve, tls, fourccs };
      const client = await RtmpClient.open(options, this.#abort.signal);
      this.#attempts = turn * ATTEMPTS_PER_URL; // This one works: it has its two attempts again.
      return await this.#live(client);
    } catch (error) {
      return error instanceof TesseraError ? error : new InternalError("RTMP push failed", { cause: error });
    }
  }

  async #live(client: RtmpClient): Promise<TesseraError | undefined> {
    await using _owned = client;
    this.#client = client;
    this.#away = false;
    const { connection } = client;
    const sinceUs = this.#clock.now();
    void connection.closed.then(() => {
      this.#queue.hasPeer = false;
      this.#queue.poke();
    });
    this.#packetizer.restart();
    this.#queue.restart();
    this.#queue.hasPeer = true;
    void client.send("data", this.#lastStampMs.video, this.#packetizer.metadata());
    this.#events.emit({ type: "live" });
    await this.#send(client);
    if (this.#clock.now() - sinceUs > PROVEN_AFTER) this.#backoff.reset();
    if (!connection.isClosed) {
      await client.unpublish();
      return undefined;
    }
    return (await connection.closed) ?? new PeerLostError("the RTMP server closed the connection");
  }

  /** Sends what is queued until the connection is closed, or everything is out and the end was asked for. */
  async #send(client: RtmpClient): Promise<void> {
    while (!client.connection.isClosed) {
      const packet = this.#queue.shift();
      if (packet !== undefined) await this.#sendPacket(client, packet);
      else if (this.#closing) return;
      else await this.#queue.changed();
    }
  }

  async #sendPacket(client: RtmpClient, packet: Packet): Promise<void> {
    if (!this.#hasSent) this.#drops.reset();
    this.#hasSent = true;
    const stampMs = this.#stamp(packet);
    for (const { kind, body } of this.#packetizer.tags(packet)) {
      await client.send(kind, stampMs, body);
      this.#bytes += body.length;
    }
    if (client.connection.isClosed) this.#drops.add("away");
    else if (packet.kind === "video") this.#frames += 1;
  }

  /** Milliseconds since the first packet sent, never less than its stream's last. */
  #stamp({ kind, dtsUs }: Packet): number {
    this.#firstDtsUs ??= dtsUs;
    const stampMs = Math.max(this.#lastStampMs[kind], Math.round((dtsUs - this.#firstDtsUs) / 1000));
    this.#lastStampMs[kind] = stampMs;
    return stampMs;
  }
}
