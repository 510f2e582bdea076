import type { Socket } from "node:net";
import { Channel } from "../core/channel.ts";
import {
  LimitError,
  PeerLostError,
  PeerUnreachableError,
  ProtocolError,
  TesseraError,
} from "../core/error.ts";
import { type Micros, ms, us } from "../core/time.ts";
import { type Clock, sleep } from "../media/clock.ts";
import { RtmpChunkReader } from "../protocol/rtmp-chunk-reader.ts";
import { RtmpChunkWriter } from "../protocol/rtmp-chunk-writer.ts";
import { RtmpHandshake } from "../protocol/rtmp-handshake.ts";
import { RTMP, type RtmpMessage, USER_CONTROL, u32Body, userControlBody } from "../protocol/rtmp-message.ts";
import { SocketWriter } from "./socket-writer.ts";

/** Bounds on what one RTMP peer may take of this process. */
export interface RtmpLimits {
  /** From accept or connect until C2 or S2. */
  readonly handshakeMs: number;
  /** From the handshake until a publish is accepted. */
  readonly publishMs: number;
  /** Without a byte of a publisher, once its publish is accepted; servers may be silent for as long as they like. */
  readonly idleMs: number;
  /** Averaged over {@link idleMs}: a peer that trickles is closed like a silent one. */
  readonly minBytesPerSecond: number;
  readonly maxMessageBytes: number;
  /** Of one connection's unfinished messages. */
  readonly maxPendingBytes: number;
  readonly maxChunkStreams: number;
  /** Also the longest message before a publish is accepted. */
  readonly maxCommandBytes: number;
  /** Bytes that wait for a peer that does not read, before it is closed. */
  readonly maxWriteBytes: number;
  /** The same in time: something is queued and not a byte of it moves. */
  readonly stallMs: number;
}

export const RTMP_LIMITS: RtmpLimits = {
  handshakeMs: 5000,
  publishMs: 10_000,
  idleMs: 15_000,
  minBytesPerSecond: 32,
  maxMessageBytes: 8 << 20,
  maxPendingBytes: 16 << 20,
  maxChunkStreams: 32,
  maxCommandBytes: 64 << 10,
  maxWriteBytes: 8 << 20,
  stallMs: 5000,
};

/** What a connection needs besides its socket. */
export interface RtmpConnectionOptions {
  readonly role: "client" | "server";
  /** Real time, also where the mix runs on a virtual clock: peers do. */
  readonly clock: Clock;
  readonly limits?: Partial<RtmpLimits>;
}

/** How often deadlines are looked at. */
const WATCH_EVERY = ms(250);
/** Our announced window, and how far a peer's bytes may go unacknowledged. */
const WINDOW_BYTES = 2_500_000;
/** Chunks that we send; large, because ours have few streams to interleave. */
const CHUNK_BYTES = 65_536;
/** What Node reads of a socket at once: after as much, more may be waiting. */
const FULL_READ_BYTES = 65_536;
/** Messages that wait to be read, before the socket is paused. */
const MAX_UNREAD_BYTES = 1 << 20;
/** How long {@link RtmpConnection.end} waits for the peer to take the last bytes. */
const END_WITHIN_MS = 1000;

/**
 * One RTMP connection over a TCP or TLS socket, either role: handshake, chunks, acknowledgements, pings, bounds.
 *
 * Iterate for the peer's commands, media and data, in order; protocol control is answered here. Who does not
 * iterate makes the socket pause. The iteration ends when the connection does; {@link closed} says why.
 *
 * It owns its socket. States: handshake -> open -> closed.
 */
export class RtmpConnection implements AsyncIterable<RtmpMessage>, AsyncDisposable {
  readonly remote: string;
  /** Settles when the socket is gone, never rejects; undefined if the peer ended in an orderly way. */
  readonly closed: Promise<TesseraError | undefined>;
  /** True once the handshake is done, false if the connection closed before. */
  readonly ready: Promise<boolean>;

  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #limits: RtmpLimits;
  readonly #role: "client" | "server";
  readonly #reader: RtmpChunkReader;
  readonly #chunks = new RtmpChunkWriter();
  readonly #writer: SocketWriter;
  readonly #ended = Promise.withResolvers<TesseraError | undefined>();
  readonly #opened = Promise.withResolvers<boolean>();
  readonly #stop = new AbortController();
  #handshake: RtmpHandshake | undefined;
  readonly #unread = new Channel<RtmpMessage>();
  #unreadBytes = 0;
  #isClosed = false;
  #isEnding = false;
  #reason: TesseraError | undefined;
  #heldByCaller = false;
  #deadline: { readonly atUs: Micros; readonly what: string } | undefined;
  #received = 0;
  #acknowledged = 0;
  #peerWindow = WINDOW_BYTES;
  #lastReceivedUs: Micros;
  #rateWindow: { readonly sinceUs: Micros; readonly bytes: number } | undefined;

  constructor(socket: Socket, options: RtmpConnectionOptions) {
    this.#socket = socket;
    this.#writer = new SocketWriter(socket, options.clock);
    this.#clock = options.clock;
    this.#role = options.role;
    this.#limits = { ...RTMP_LIMITS, ...options.limits };
    const early = options.role === "server" ? this.#limits.maxCommandBytes : this.#limits.maxMessageBytes;
    this.#reader = new RtmpChunkReader({ ...this.#limits, maxMessageBytes: early });
    this.#handshake = new RtmpHandshake(options.role);
    this.#lastReceivedUs = this.#clock.now();
    this.remote = socket.remoteAddress ?? "";
    this.closed = this.#ended.promise;
    this.ready = this.#opened.promise;
    this.deadline(this.#limits.handshakeMs, "the RTMP handshake");
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 10_000);
    socket.on("data", (data: Buffer) => this.#onData(data));
    socket.on("error", (cause) => (this.#reason ??= new PeerLostError("RTMP connection broke", { cause })));
    socket.on("close", () => this.#onClose());
    this.#write(this.#handshake.start());
    void this.#watch();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Bytes received since it was opened. */
  get receivedBytes(): number {
    return this.#received;
  }

  /** When the last byte came, on the clock. */
  get lastReceivedUs(): Micros {
    return this.#lastReceivedUs;
  }

  /** Bytes that wait for the kernel to take them. */
  get queuedBytes(): number {
    return this.#writer.queuedBytes;
  }

  /** Closes the connection if `what` is not done in time; replaces the deadline before it. */
  deadline(withinMs: number, what: string): void {
    this.#deadline = { atUs: us(this.#clock.now() + ms(withinMs)), what };
  }

  /**
   * A publish was accepted: long messages are allowed, no deadline holds, and a publisher's silence and trickling
   * are watched; a server may well be silent.
   */
  allowMedia(): void {
    this.#deadline = undefined;
    this.#reader.maxMessageBytes = this.#limits.maxMessageBytes;
    this.#restartRate();
  }

  /** The publish ended: back to commands only. */
  disallowMedia(): void {
    this.#rateWindow = undefined;
    this.#reader.maxMessageBytes = this.#limits.maxCommandBytes;
    this.deadline(this.#limits.publishMs, "another publish");
  }

  /** Reads no more of the socket until {@link resume}; a paused peer is not idle. */
  pause(): void {
    this.#heldByCaller = true;
    this.#applyPause();
  }

  resume(): void {
    this.#heldByCaller = false;
    this.#applyPause();
  }

  /** Announces window and, so that few chunks are needed, chunk size. */
  sendSettings(): void {
    this.control(RTMP.windowAckSize, WINDOW_BYTES);
    if (this.#role === "server") {
      const dynamic = 2; // RTMP 1.0 §5.4.5: limit type
      this.send(RTMP.setPeerBandwidth, 0, Buffer.concat([u32Body(WINDOW_BYTES), Buffer.from([dynamic])]), 2);
    }
    this.#write(this.#chunks.setChunkSize(CHUNK_BYTES));
  }

  /** Sends a protocol control message with one number. */
  control(type: number, value: number): void {
    this.send(type, 0, u32Body(value), 2);
  }

  /** Sends a user control event (RTMP 1.0 §7.1.7). */
  userControl(event: number, argument: number): void {
    this.send(RTMP.userControl, 0, userControlBody(event, argument), 2);
  }

  /**
   * Sends a message, at once; a peer that lets `maxWriteBytes` pile up is closed with {@link PeerLostError}.
   *
   * @returns settles when the kernel has taken all of it, or the connection has closed; never rejects.
   */
  send(
    type: number,
    streamId: number,
    body: Uint8Array,
    chunkStreamId: number,
    timestampMs = 0,
  ): Promise<void> {
    return this.#write(this.#chunks.write({ type, timestampMs, streamId, body }, chunkStreamId));
  }

  /** Sends what is queued, then closes; gives the peer a second to take it. Idempotent. */
  async end(reason?: TesseraError): Promise<void> {
    if (this.#isClosed) return;
    this.#reason ??= reason;
    this.#isEnding = true;
    this.#writer.end();
    this.#socket.resume(); // Else the peer's own end is never seen.
    this.deadline(END_WITHIN_MS, "the end");
    await this.closed;
  }

  /** Closes at once; the first reason wins. Idempotent, never rejects. */
  close(reason?: TesseraError): Promise<TesseraError | undefined> {
    if (!this.#isClosed) {
      this.#reason ??= reason;
      this.#unread.close({ drop: true });
      this.#socket.destroy();
      this.#onClose();
    }
    return this.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<RtmpMessage, void, undefined> {
    for await (const message of this.#unread) {
      this.#unreadBytes -= message.body.length + MESSAGE_COST;
      this.#applyPause();
      yield message;
    }
  }

  #onData(data: Buffer): void {
    if (this.#isClosed) return;
    const nowUs = this.#clock.now();
    const isBehind = data.length >= FULL_READ_BYTES || this.#unreadBytes > 0;
    this.#received += data.length;
    this.#lastReceivedUs = nowUs;
    try {
      const chunks = this.#handshake === undefined ? data : this.#shake(this.#handshake, data);
      for (const message of this.#reader.push(chunks, nowUs)) this.#take(message);
    } catch (error) {
      const typed = error instanceof TesseraError;
      void this.close(typed ? error : new ProtocolError("RTMP: unreadable", { cause: error }));
      return;
    }
    if (!isBehind) this.#acknowledge();
    this.#applyPause();
  }

  #shake(handshake: RtmpHandshake, data: Buffer): Buffer {
    const { send, rest } = handshake.push(data);
    if (send.length > 0) void this.#write(Buffer.concat(send));
    if (rest === undefined) return Buffer.alloc(0);
    this.#handshake = undefined;
    this.deadline(this.#limits.publishMs, "publishing");
    this.#opened.resolve(true);
    return rest;
  }

  #take(message: RtmpMessage): void {
    const body = Buffer.from(message.body.buffer, message.body.byteOffset, message.body.byteLength);
    if (message.type === RTMP.windowAckSize && body.length >= 4) this.#peerWindow = body.readUInt32BE(0);
    else if (message.type === RTMP.userControl) this.#answerPing(body);
    else if (message.type > RTMP.setPeerBandwidth) {
      this.#unread.push(message);
      this.#unreadBytes += body.length + MESSAGE_COST;
    }
  }

  #answerPing(body: Buffer): void {
    if (body.length < 6 || body.readUInt16BE(0) !== USER_CONTROL.pingRequest) return;
    this.userControl(USER_CONTROL.pingResponse, body.readUInt32BE(2));
  }

  /**
   * RTMP 1.0 §5.4.3: the count of all bytes received, whenever a window of them has come.
   *
   * Only while we keep up: a peer that has sent its last byte and hung up answers a write with a reset, and what of it
   * still waits to be read would be lost with the socket.
   */
  #acknowledge(): void {
    const window = Math.max(4096, Math.min(this.#peerWindow, WINDOW_BYTES) / 2);
    if (this.#handshake !== undefined || this.#received - this.#acknowledged < window) return;
    this.#acknowledged = this.#received;
    this.control(RTMP.acknowledgement, this.#received);
  }

  #write(bytes: Uint8Array): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    if (this.#writer.queuedBytes > this.#limits.maxWriteBytes) {
      void this.close(new PeerLostError("RTMP peer does not read"));
      return Promise.resolve();
    }
    return this.#writer.write(bytes);
  }

  #applyPause(): void {
    const hold = this.#heldByCaller || this.#unreadBytes > MAX_UNREAD_BYTES;
    if (hold === this.#socket.isPaused() || this.#isClosed || this.#isEnding) return;
    if (hold) this.#socket.pause();
    else {
      this.#restartRate();
      this.#socket.resume();
    }
  }

  #restartRate(): void {
    if (this.#role === "server" && this.#deadline === undefined)
      this.#rateWindow = { sinceUs: this.#clock.now(), bytes: this.#received };
  }

  /** Looks at the deadlines until the connection is closed. */
  async #watch(): Promise<void> {
    while (!this.#isClosed) {
      await sleep(this.#clock, WATCH_EVERY, this.#stop.signal).catch(() => {});
      if (this.#isClosed) return;
      const nowUs = this.#clock.now();
      const overdue = this.#overdue(nowUs);
      if (overdue !== undefined) void this.close(overdue);
      const isIdle = nowUs - this.#lastReceivedUs > WATCH_EVERY && !this.#socket.isPaused();
      if (isIdle && this.#unreadBytes === 0) this.#acknowledge();
    }
  }

  #overdue(nowUs: Micros): TesseraError | undefined {
    const { idleMs, minBytesPerSecond, stallMs } = this.#limits;
    if (this.#writer.stalledUs() >= ms(stallMs))
      return new PeerLostError(`RTMP peer took no byte for ${stallMs} ms`);
    if (this.#deadline !== undefined)
      return nowUs >= this.#deadline.atUs ? this.#late(this.#deadline.what) : undefined;
    const window = this.#rateWindow;
    if (window === undefined || this.#socket.isPaused()) return undefined;
    const silentUs = nowUs - Math.max(window.sinceUs, this.#lastReceivedUs);
    if (silentUs >= ms(idleMs)) return new PeerLostError(`RTMP peer sent nothing for ${idleMs} ms`);
    const seconds = (nowUs - window.sinceUs) / 1e6;
    if (seconds * 1000 < idleMs) return undefined;
    const bytes = this.#received - window.bytes;
    if (bytes / seconds < minBytesPerSecond)
      return new LimitError(`RTMP peer sent ${bytes} bytes in ${idleMs} ms`);
    this.#restartRate();
    return undefined;
  }

  #late(what: string): TesseraError {
    const message = `RTMP peer took too long for ${what}`;
    return this.#role === "client" ? new PeerUnreachableError(message) : new LimitError(message);
  }

  #onClose(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#writer.abandon();
    this.#stop.abort();
    this.#opened.resolve(false);
    this.#ended.resolve(this.#reason);
    this.#unread.close();
  }
}

/** What an unread message costs beside its body, so that empty ones are bounded too. */
const MESSAGE_COST = 256;
