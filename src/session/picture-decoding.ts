import { us } from "../core/time.ts";
import { VideoDecoder } from "../decode/video.ts";
import type { VideoFrame } from "../media/frame.ts";
import type { Packet } from "../media/packet.ts";
import { RateMeter } from "../media/stats.ts";
import type { VideoStreamInfo } from "../media/stream-info.ts";
import { VideoQueue } from "../mixer/video/queue.ts";
import { NativeFrame } from "../native/frame.ts";
import type { DecodingSlot } from "./decoding-slot.ts";
import { GroupKeeper } from "./group-keeper.ts";

/** Generated pictures kept while nobody shows them: more than they are made ahead of time. */
const HIDDEN_US = 500_000;
/** Packets that may wait while what was kept is decoded: as long as a kept group. */
const MAX_WAITING = 300;

/**
 * The picture of one source, from packets in source time to a queue of frames. While nobody shows it, it is not
 * decoded: its packets since the last key frame are kept.
 */
export class PictureDecoding {
  readonly queue = new VideoQueue();
  readonly rate = new RateMeter();
  readonly #keeper = new GroupKeeper();
  readonly #slot: DecodingSlot;
  /** The decoder takes one call at a time, from the input and from {@link show} alike. */
  #turn: Promise<void> = Promise.resolve();
  #decoder: VideoDecoder | undefined;
  #info: VideoStreamInfo | undefined;
  #infoIsNew = false;
  #shown = false;
  /** The input has ended: what the decoder holds back is wanted at once. */
  #isOver = false;
  #isShowing = false;
  /** Packets taken that are not in the decoder yet. */
  #waiting = 0;
  #isClosed = false;
  #deliveredUs = Number.NEGATIVE_INFINITY;
  /** Source time at which the last picture or packet ends. */
  #endUs = Number.NEGATIVE_INFINITY;
  #decoded = 0;
  #errors = 0;

  constructor(slot: DecodingSlot) {
    this.#slot = slot;
  }

  /** What the last packet with news said; undefined before the first. */
  get info(): VideoStreamInfo | undefined {
    return this.#info;
  }

  /** Source time up to which every picture is in the queue, or kept. */
  get deliveredUs(): number {
    return this.#deliveredUs;
  }

  /** Pictures decoded. */
  get decoded(): number {
    return this.#decoded;
  }

  /** Packets and pictures that could not be decoded. */
  get errors(): number {
    return this.#errors + (this.#decoder?.stats.errors ?? 0);
  }

  get isShown(): boolean {
    return this.#shown;
  }

  /**
   * Whether any view shows it. Showing decodes what was kept; hiding lets the decoder go. Settles when that is done.
   * Never rejects: of a stream that nothing here decodes, the next {@link take} tells.
   */
  show(shown: boolean): Promise<void> {
    if (shown === this.#shown) return this.#turn;
    this.#isShowing ||= shown;
    return this.#serialized(() => this.#show(shown)).catch(() => {
      this.#errors += 1;
    });
  }

  /**
   * Takes a packet in source time; settles when its pictures are in the queue.
   *
   * @throws {MediaInvalidError} `ERR_MEDIA_INVALID` if nothing here decodes the stream.
   */
  take(packet: Packet): Promise<void> {
    this.#waiting += 1;
    return this.#serialized(() => {
      this.#waiting -= 1;
      return this.#take(packet);
    });
  }

  /** It was shown just now, and decodes what was kept; a few more packets may be given without waiting for each. */
  get isCatchingUp(): boolean {
    return this.#waiting > 1 ? this.#waiting <= MAX_WAITING : this.#isShowing;
  }

  /** The stream ended: gets the pictures that the decoder held back. Tells when the last picture ends, or -Infinity. */
  async flush(): Promise<number> {
    this.#isOver = true;
    await this.#serialized(async () => this.#flushDecoder());
    this.#deliveredUs = Number.POSITIVE_INFINITY;
    return this.#endUs;
  }

  /** The transport starts anew. */
  restart(): Promise<void> {
    return this.#serialized(async () => {
      this.#isOver = false;
      for (const frame of this.#decoder?.flush() ?? []) frame[Symbol.dispose]();
      this.#deliveredUs = Number.NEGATIVE_INFINITY;
      this.#endUs = Number.NEGATIVE_INFINITY;
      this.#keeper.clear();
      this.queue.clear();
    });
  }

  /** Waits for the packet that is being decoded, then lets everything go. */
  close(): Promise<void> {
    this.#isClosed = true;
    this.#keeper.clear();
    return this.#serialized(async () => {
      this.#letDecoderGo();
      this.queue[Symbol.dispose]();
    });
  }

  async #take(packet: Packet): Promise<void> {
    if (packet.info?.kind === "video") {
      this.#info = packet.info;
      this.#infoIsNew = true;
    }
    this.rate.add(packet.arrivalUs, packet.data.byteLength);
    this.#endUs = Math.max(this.#endUs, packet.ptsUs + this.#durationOf(packet));
    if (!this.#shown) {
      this.#keeper.keep(packet);
      this.#delivered(packet.dtsUs);
      return;
    }
    await this.#decode(packet);
  }

  async #show(shown: boolean): Promise<void> {
    const isNews = shown !== this.#shown;
    this.#shown = shown;
    try {
      if (isNews && shown) await this.#catchUp();
      else if (isNews) this.#letDecoderGo();
    } finally {
      this.#isShowing = false;
    }
  }

  async #catchUp(): Promise<void> {
    if (this.#info !== undefined) this.queue.clear();
    for (const packet of this.#keeper.take()) await this.#decode(packet);
    if (this.#isOver) this.#flushDecoder();
  }

  #letDecoderGo(): void {
    this.#errors = this.errors;
    this.#decoder?.close();
    this.#decoder = undefined;
  }

  #serialized(work: () => Promise<void>): Promise<void> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  #flushDecoder(): void {
    for (const frame of this.#decoder?.flush() ?? []) this.#push(frame);
  }

  async #decode(packet: Packet): Promise<void> {
    if (this.#info === undefined || this.#isClosed) return;
    if (this.#decoder === undefined) {
      this.#decoder = VideoDecoder.open(this.#info, { threads: 1 });
      this.#infoIsNew = false;
    }
    const withInfo = this.#infoIsNew && packet.info === undefined ? { ...packet, info: this.#info } : packet;
    this.#infoIsNew = false;
    this.#slot.enter();
    try {
      for (const frame of await this.#decoder.decodeAsync(withInfo)) this.#push(frame);
    } finally {
      this.#slot.leave();
    }
  }

  /** Takes a picture that was never coded; the queue owns it. */
  push(frame: VideoFrame): void {
    this.rate.add(frame.arrivalUs, 0);
    this.#decoded += 1;
    this.#delivered(frame.ptsUs);
    if (!(frame instanceof NativeFrame) || this.#isClosed) {
      frame[Symbol.dispose]();
      return;
    }
    this.queue.push(frame, us(frame.ptsUs));
    // There is no packet to decode again: what is made ahead of time must still be here when a view shows it.
    if (!this.#shown) this.queue.forgetBefore(frame.ptsUs - HIDDEN_US);
  }

  #durationOf({ durationUs }: Packet): number {
    if (durationUs > 0) return durationUs;
    const rate = this.#info?.frameRate;
    return rate === undefined ? 40_000 : (1e6 * rate.den) / rate.num;
  }

  #push(frame: VideoFrame): void {
    this.#decoded += 1;
    this.#delivered(frame.ptsUs);
    if (frame instanceof NativeFrame && this.#shown && !this.#isClosed)
      this.queue.push(frame, us(frame.ptsUs));
    else frame[Symbol.dispose]();
  }

  #delivered(untilUs: number): void {
    if (untilUs > this.#deliveredUs) this.#deliveredUs = untilUs;
  }
}
