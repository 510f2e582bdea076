import { MediaInvalidError, type TesseraError } from "../core/error.ts";
import { ms } from "../core/time.ts";
import type { Packet } from "../media/packet.ts";
import type { StreamMetadata } from "../protocol/flv-script.ts";
import type { RtmpMessage } from "../protocol/rtmp-message.ts";
import type { RtmpConnection } from "../transport/rtmp-connection.ts";
import { type DepacketizerStats, FlvDepacketizer } from "./flv-depacketizer.ts";

/** Who publishes what, as known before it is allowed. */
export interface PublishRequest {
  /** `live` of `rtmp://host/live/key?token=..`. */
  readonly app: string;
  /** `key` of the same; a mix's id in INTERFACE. */
  readonly name: string;
  /** Of the stream name, else of app or tcUrl: `source`, `token`. */
  readonly query: URLSearchParams;
  /** The peer's address. */
  readonly remote: string;
  /** How the encoder calls itself. */
  readonly encoder: string;
  readonly tcUrl: string;
}

/** Media that waits for its reader, before the publisher's socket is left unread. */
const MAX_HELD_US = ms(2000);
const MAX_HELD_BYTES = 4 << 20;
/** From the first media that is of no use until the publisher is given up, if there is no other. */
const USELESS_US = ms(3000);

/**
 * One accepted publish. The door's session feeds it; whoever took it from the door reads {@link packets} and may
 * {@link close} it. Held media is bounded: beyond 2 s or 4 MB only this publisher's socket is paused.
 */
export class RtmpPublish implements PublishRequest {
  readonly app: string;
  readonly name: string;
  readonly query: URLSearchParams;
  readonly remote: string;
  readonly encoder: string;
  readonly tcUrl: string;
  /** What must be unique among publishers; see `PublishDecision.key`. */
  readonly key: string;
  /** Settles when the publish is over, never rejects: undefined if the encoder ended it, else why. */
  readonly closed: Promise<TesseraError | undefined>;

  readonly #connection: RtmpConnection;
  readonly #depacketizer = new FlvDepacketizer();
  readonly #ended = Promise.withResolvers<TesseraError | undefined>();
  #queue: Packet[] = [];
  #bytes = 0;
  #isClosed = false;
  #readers = 0;
  #hungUp = false;
  #needsKey = false;
  #isUseful = false;
  #uselessSinceUs: number | undefined;
  readonly #unannounced = new Set<Packet["kind"]>();
  #wake: (() => void) | undefined;
  #room: (() => void) | undefined;

  constructor(request: PublishRequest, key: string, connection: RtmpConnection) {
    this.app = request.app;
    this.name = request.name;
    this.query = request.query;
    this.remote = request.remote;
    this.encoder = request.encoder;
    this.tcUrl = request.tcUrl;
    this.key = key;
    this.closed = this.#ended.promise;
    this.#connection = connection;
  }

  /**
   * The media, in the order sent; ends when the publish does, after what is queued. One reader at a time: a new one
   * ends the one before.
   *
   * Whoever iterates again, say to a restarted worker, begins at a key frame with `info` on each stream's first
   * packet, like the first reader.
   */
  get packets(): AsyncIterable<Packet> {
    return { [Symbol.asyncIterator]: () => this.#read() };
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** How long ago the last byte came is what decides whether its key can be taken over. */
  get lastReceivedUs(): number {
    return this.#connection.lastReceivedUs;
  }

  stats(): DepacketizerStats & { readonly receivedBytes: number; readonly metadata: StreamMetadata } {
    const { receivedBytes } = this.#connection;
    return { ...this.#depacketizer.stats(), receivedBytes, metadata: this.#depacketizer.metadata };
  }

  /** For the session: why it is of no use, once it has sent nothing but such media for 3 s. */
  get useless(): MediaInvalidError | undefined {
    if (this.#isUseful) return undefined;
    const { bad, ignored, unsupported } = this.#depacketizer.stats();
    if (bad + ignored === 0) return undefined;
    this.#uselessSinceUs ??= this.lastReceivedUs;
    if (this.lastReceivedUs - this.#uselessSinceUs < USELESS_US) return undefined;
    const codecs = unsupported.length === 0 ? "" : `: ${unsupported.join(", ")} is not supported`;
    return new MediaInvalidError(`the publisher sends no media that can be used${codecs}`);
  }

  /** Leaves the socket unread until {@link resume}; the encoder notices when its buffers are full. */
  pause(): void {
    this.#connection.pause();
  }

  resume(): void {
    this.#connection.resume();
  }

  /** Cuts the publisher off. Idempotent; the first reason wins. */
  async close(reason?: TesseraError): Promise<void> {
    this.finish(reason);
    await this.#connection.close(reason);
  }

  /** For the session: the publish is over; the connection may live on. Idempotent. */
  finish(reason: TesseraError | undefined): void {
    this.#isClosed = true;
    this.#ended.resolve(reason);
    this.#wake?.();
    this.#room?.();
  }

  /** For the session: the socket is gone, so what is still unread is little and need not wait for room. */
  hangUp(): void {
    this.#hungUp = true;
    this.#room?.();
  }

  /** For the session: takes a media message; settles when there is room for the next. */
  async take(message: RtmpMessage): Promise<void> {
    const packets = this.#depacketizer.push(message);
    if (packets.length > 0) this.#isUseful = true;
    for (const packet of packets) if (!this.#isClosed) this.#accept(packet);
    this.#wake?.();
    while (this.#isFull() && !this.#isClosed && !this.#hungUp) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#room = resolve;
      await promise;
    }
  }

  async *#read(): AsyncGenerator<Packet, void, undefined> {
    this.#readers += 1;
    const reader = this.#readers;
    this.#wake?.(); // Whoever read before finds that it is over.
    this.#restart();
    for (;;) {
      if (reader !== this.#readers) return;
      const packet = this.#queue.shift();
      if (packet !== undefined) {
        this.#bytes -= packet.data.byteLength;
        if (!this.#isFull()) this.#room?.();
        yield packet;
      } else if (this.#isClosed) {
        return;
      } else {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake = resolve;
        await promise;
      }
    }
  }

  /** Queues a packet, with `info` if its stream has not been announced to the reader. */
  #accept(packet: Packet): void {
    const { kind, keyFrame } = packet;
    if (kind === "video" && this.#needsKey && !keyFrame) return; // Of use to nobody.
    if (kind === "video") this.#needsKey = false;
    const info = this.#unannounced.delete(kind) ? this.#depacketizer.infoOf(kind) : undefined;
    this.#queue.push(info === undefined ? packet : { info, ...packet });
    this.#bytes += packet.data.byteLength;
  }

  /** A new reader: what is queued begins at a key frame, or the next one does. */
  #restart(): void {
    const queued = this.#queue;
    this.#queue = [];
    this.#bytes = 0;
    this.#needsKey = true;
    this.#unannounced.add("video").add("audio");
    for (const packet of queued) this.#accept(packet);
    this.#room?.();
  }

  #isFull(): boolean {
    const [first, last] = [this.#queue[0], this.#queue.at(-1)];
    if (first === undefined || last === undefined) return false;
    return this.#bytes > MAX_HELD_BYTES || last.dtsUs - first.dtsUs > MAX_HELD_US;
  }
}
