import { type Micros, us } from "../core/time.ts";
import { VideoDecoder } from "../decode/video.ts";
import type { VideoFrame } from "../media/frame.ts";
import type { Packet } from "../media/packet.ts";
import { RateMeter } from "../media/stats.ts";
import type { VideoStreamInfo } from "../media/stream-info.ts";
import { type QueuedFrame, VideoQueue } from "../mixer/video/queue.ts";
import { NativeFrame } from "../native/frame.ts";
import type { DecodingSlot } from "./decoding-slot.ts";
import { GroupKeeper } from "./group-keeper.ts";

/** Generated pictures kept while nobody shows them: more than they are made ahead of time. */
const HIDDEN_US = 500_000;
/** Packets that may wait for the decoder: as long as a kept group. */
const MAX_WAITING = 300;

/** Durations that went through a container in milliseconds are off by this. */
const ROUNDING_US = 1000;

/** A tick of a view that wants a picture. */
export interface PictureTick {
  readonly view: string;
  /** Mix time of the tick. */
  readonly atUs: number;
  /** The picture is the newest from before this source time. */
  readonly beforeUs: number;
}

/**
 * The picture of one source, from packets in source time to a queue of frames. While nobody shows it, it is not
 * decoded: its packets since the last key frame are kept.
 */
export class PictureDecoding {
  readonly queue = new VideoQueue();
  readonly rate = new RateMeter();
  readonly #keeper = new GroupKeeper();
  readonly #slot: DecodingSlot;
  readonly #tooLateUs: () => number;
  /** What each view shows, and since which tick. */
  readonly #onAir = new Map<string, { readonly serial: number; readonly sinceUs: number }>();
  /** The decoder takes one call at a time, from the input and from {@link show} alike. */
  #turn: Promise<void> = Promise.resolve();
  #decoder: VideoDecoder | undefined;
  #info: VideoStreamInfo | undefined;
  #infoIsNew = false;
  #shown = false;
  /** The input has ended: what the decoder holds back is wanted at once. */
  #isOver = false;
  /** Packets taken that are not in the decoder yet. */
  #waiting = 0;
  #taken = 0;
  /** Which of the packets taken was the last key frame. */
  #newestKey = 0;
  /** And from which one on they are decoded again, where decoding was too slow. */
  #skipTo = 0;
  #isClosed = false;
  #deliveredUs = Number.NEGATIVE_INFINITY;
  #endUs = Number.NEGATIVE_INFINITY;
  #decoded = 0;
  #errors = 0;
  #skipped = 0;
  #shownCount = 0;
  #newestShown = -1;
  #starved = 0;

  /**
   * @param tooLateUs source time from before which a picture is not worth its decoding where a newer key frame
   * waits already; by default every picture is.
   */
  constructor(slot: DecodingSlot, tooLateUs: () => number = () => Number.NEGATIVE_INFINITY) {
    this.#slot = slot;
    this.#tooLateUs = tooLateUs;
  }

  /** What the last packet with news said; undefined before the first. */
  get info(): VideoStreamInfo | undefined {
    return this.#info;
  }

  /** Source time up to which every picture is in the queue, or kept. */
  get deliveredUs(): number {
    return this.#deliveredUs;
  }

  /** Source time at which the last packet ends; -Infinity before the first. */
  get endUs(): number {
    return this.#endUs;
  }

  /** Pictures decoded. */
  get decoded(): number {
    return this.#decoded;
  }

  /** Packets and pictures that could not be decoded. */
  get errors(): number {
    return this.#errors + (this.#decoder?.stats.errors ?? 0);
  }

  /** Packets that came to their turn so late that the next key frame was decoded instead. */
  get skipped(): number {
    return this.#skipped;
  }

  /** Pictures that a view has shown. */
  get shown(): number {
    return this.#shownCount;
  }

  /** Ticks at which a view showed a picture beyond its duration, for want of the next. */
  get starved(): number {
    return this.#starved;
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
    return this.#serialized(() => this.#show(shown)).catch(() => {
      this.#errors += 1;
    });
  }

  /**
   * Takes a packet in source time; settles when its pictures are in the queue, with the source time of the last of
   * them, or undefined if it gave none.
   *
   * @throws {MediaInvalidError} `ERR_MEDIA_INVALID` if nothing here decodes the stream.
   */
  take(packet: Packet): Promise<Micros | undefined> {
    this.#waiting += 1;
    this.#taken += 1;
    const number = this.#taken;
    if (packet.keyFrame) this.#newestKey = number;
    return this.#serialized(() => {
      this.#waiting -= 1;
      return this.#take(packet, number);
    });
  }

  /** Whoever gives more packets should wait for the last first. */
  get isFull(): boolean {
    return this.#waiting > MAX_WAITING;
  }

  /**
   * The picture for a tick of a view. What no view needs any more is freed.
   *
   * @param isDue false: the view does not show it, and nothing of it is counted.
   */
  select({ view, atUs, beforeUs }: PictureTick, isDue: boolean): QueuedFrame | undefined {
    const queued = this.queue.select(view, beforeUs);
    if (queued === undefined || !isDue) {
      this.#onAir.delete(view);
      return queued;
    }
    const before = this.#onAir.get(view);
    if (before?.serial !== queued.serial) this.#onAir.set(view, { serial: queued.serial, sinceUs: atUs });
    else if (
      atUs - before.sinceUs > this.#pictureUs(queued.frame) - ROUNDING_US &&
      !this.#hasShownAll(queued)
    )
      this.#starved += 1;
    if (queued.serial > this.#newestShown) {
      this.#newestShown = queued.serial;
      this.#shownCount += 1;
    }
    return queued;
  }

  /** The view is gone or shows this source no more. */
  forget(view: string): void {
    this.queue.forget(view);
    this.#onAir.delete(view);
  }

  /** The stream ended: gets the pictures that the decoder held back. */
  async flush(): Promise<void> {
    this.#isOver = true;
    await this.#serialized(async () => this.#flushDecoder());
    this.#deliveredUs = Number.POSITIVE_INFINITY;
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

  async #take(packet: Packet, number: number): Promise<Micros | undefined> {
    if (packet.info?.kind === "video") {
      this.#info = packet.info;
      this.#infoIsNew = true;
    }
    this.rate.add(packet.arrivalUs, packet.data.byteLength);
    this.#endUs = Math.max(this.#endUs, packet.ptsUs + this.#pictureUs(packet));
    if (!this.#shown) {
      this.#keeper.keep(packet);
      this.#delivered(packet.dtsUs);
      return undefined;
    }
    if (packet.ptsUs < this.#tooLateUs()) this.#skipTo = this.#newestKey;
    if (number >= this.#skipTo) return this.#decode(packet);
    this.#skipped += 1;
    return undefined;
  }

  async #show(shown: boolean): Promise<void> {
    const isNews = shown !== this.#shown;
    this.#shown = shown;
    if (isNews && shown) await this.#catchUp();
    else if (isNews) this.#letDecoderGo();
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

  #serialized<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(work);
    this.#turn = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  #flushDecoder(): void {
    for (const frame of this.#decoder?.flush() ?? []) this.#push(frame);
  }

  async #decode(packet: Packet): Promise<Micros | undefined> {
    if (this.#info === undefined || this.#isClosed) return undefined;
    if (this.#decoder === undefined) {
      this.#decoder = VideoDecoder.open(this.#info, { threads: 1 });
      this.#infoIsNew = false;
    }
    const withInfo = this.#infoIsNew && packet.info === undefined ? { ...packet, info: this.#info } : packet;
    this.#infoIsNew = false;
    this.#slot.enter();
    let lastUs: Micros | undefined;
    try {
      for (const frame of await this.#decoder.decodeAsync(withInfo)) {
        lastUs = frame.ptsUs;
        this.#push(frame);
      }
    } finally {
      this.#slot.leave();
    }
    return lastUs;
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

  /** The input has ended, and this is its last picture. */
  #hasShownAll({ serial }: QueuedFrame): boolean {
    return this.#deliveredUs === Number.POSITIVE_INFINITY && serial === this.queue.newest?.serial;
  }

  /** How long a packet or picture lasts. */
  #pictureUs({ durationUs }: { readonly durationUs: number }): number {
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
