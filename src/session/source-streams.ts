import type { SourceSpec } from "../contract/source-spec.ts";
import type { Identified } from "../contract/worker.ts";
import { type Micros, ms, us } from "../core/time.ts";
import { AudioDecoder } from "../decode/audio.ts";
import type { Clock } from "../media/clock.ts";
import { type AudioBlock, CHANNELS, SAMPLE_RATE, type VideoFrame } from "../media/frame.ts";
import type { Packet } from "../media/packet.ts";
import { RateMeter } from "../media/stats.ts";
import type { AudioStreamInfo } from "../media/stream-info.ts";
import type { AudioMixer } from "../mixer/audio/audio-mixer.ts";
import { type DelayBounds, SourceTimeline } from "../mixer/timeline.ts";
import type { DecodingSlot } from "./decoding-slot.ts";
import { PictureDecoding } from "./picture-decoding.ts";
import type { Pulse } from "./pulse.ts";
import type { SourcePace } from "./source-opener.ts";

/**
 * Files and paced pulls are read this far ahead: enough for a busy moment, little enough that decoded pictures do not
 * fill memory. The virtual clock waits for its inputs and needs no reserve.
 */
const LOOKAHEAD: Micros = ms(600);
const VIRTUAL_LOOKAHEAD: Micros = ms(100);
/** What a file that joins a running mix has from its first packet to its first picture. */
const FILE_PREROLL: Micros = ms(100);
/** A stream this far behind its sibling is taken to have nothing more: sparse, ended early or broken. */
const SIBLING_LAG_US = 10e6;
/** A decoder this far behind what was read does not hold up the reading, for sound comes by the same way. */
const DECODER_LAG_US = 1e6;

/** What a source's streams need of their mix. */
export interface StreamsContext {
  readonly clock: Clock;
  readonly mixer: AudioMixer;
  /** Beats whenever something was delivered. */
  readonly pulse: Pulse;
  readonly virtual: boolean;
  /** Of the views: a picture is composed when everybody delivered half of it beyond. */
  longestPeriodUs(): number;
}

/** How a source is read. */
export interface StreamsOptions {
  readonly pace: SourcePace;
  readonly slot: DecodingSlot;
  readonly context: StreamsContext;
  /** Abort: nothing is heard of it any more. */
  readonly signal: AbortSignal;
}

/**
 * The sound and the picture of one source, from packets to the mixer and the queue that views look into, tied to the
 * mix clock by one timeline.
 *
 * Each stream is decoded on its own: live, sound never waits for the decoder of its picture. Under the virtual clock
 * everything is waited for, so that what comes out does not depend on the machine.
 */
export class SourceStreams {
  readonly picture: PictureDecoding;
  readonly audioRate = new RateMeter();
  readonly #options: StreamsOptions;
  readonly #joinedUs: Micros;
  #spec: Identified<SourceSpec>;
  #timeline: SourceTimeline;
  #audio: AudioDecoder | undefined;
  #audioInfo: AudioStreamInfo | undefined;
  #audioEndUs = Number.NEGATIVE_INFINITY;
  /** Sound is here up to this source time, or the input has ended. */
  #audioDeliveredUs = Number.NEGATIVE_INFINITY;
  /** Latest stamps read, in source time: of either stream, and of the picture. */
  #readUs = Number.NEGATIVE_INFINITY;
  #videoReadUs = Number.NEGATIVE_INFINITY;
  /** Packets of the picture so far. */
  #videoTaken = 0;
  /** The timeline's, that sound has followed. */
  #leaps = 0;
  /** Something of this transport was taken. */
  #hasBegun = false;
  /** What went wrong with a picture that nobody waited for. */
  #failure: { readonly error: unknown } | undefined;

  constructor(spec: Identified<SourceSpec>, options: StreamsOptions) {
    this.#spec = spec;
    this.#options = options;
    this.picture = new PictureDecoding(options.slot, () => this.#tooLateUs());
    this.#joinedUs = options.context.clock.now();
    this.#timeline = this.#newTimeline(this.#joinedUs);
  }

  get timeline(): SourceTimeline {
    return this.#timeline;
  }
  get audioInfo(): AudioStreamInfo | undefined {
    return this.#audioInfo;
  }

  /** Mix time up to which all streams were delivered; -Infinity before anything was. */
  get deliveredUs(): number {
    return this.#untilUs(this.picture.deliveredUs) + this.#timeline.shiftUs;
  }

  /** Mix time at which the last that was delivered ends. */
  get endUs(): Micros {
    return us(Math.max(this.#audioEndUs, this.picture.endUs, 0) + this.#timeline.shiftUs);
  }

  update(spec: Identified<SourceSpec>): void {
    this.#spec = spec;
    this.#timeline.bound(delayBounds(spec));
  }

  /**
   * Takes what the input gave; settles when the next is wanted.
   *
   * @throws {MediaInvalidError} `ERR_MEDIA_INVALID` if nothing here decodes the stream.
   */
  async take(item: Packet | VideoFrame | AudioBlock): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error;
    if (!this.#hasBegun) this.#begin();
    if ("samples" in item) return this.#heard(item, item.ptsUs);
    if ("data" in item) return this.#takePacket(item);
    this.picture.push(item);
    this.#timeline.observe(item.ptsUs, this.#options.context.clock.now());
    this.#readUs = Math.max(this.#readUs, item.ptsUs);
  }

  /** The input has ended: delivers what decoders hold back, up to {@link endUs}. */
  async finish(): Promise<void> {
    for (const block of this.#audio?.flush() ?? []) this.#heard(block, block.ptsUs);
    await this.picture.flush();
    if (this.#failure !== undefined) throw this.#failure.error;
    this.#audioDeliveredUs = Number.POSITIVE_INFINITY;
    this.#readUs = Number.POSITIVE_INFINITY;
  }

  /** The transport starts anew. */
  async restart(): Promise<void> {
    this.#audio?.close();
    this.#audio = undefined;
    await this.picture.restart();
    this.#failure = undefined;
    this.#audioEndUs = Number.NEGATIVE_INFINITY;
    this.#audioDeliveredUs = Number.NEGATIVE_INFINITY;
    this.#readUs = Number.NEGATIVE_INFINITY;
    this.#videoReadUs = Number.NEGATIVE_INFINITY;
    this.#timeline = this.#newTimeline(this.#options.context.clock.now());
    this.#leaps = 0;
    this.#hasBegun = false;
  }

  async close(): Promise<void> {
    await this.picture.close();
    this.#audio?.close();
  }

  async #takePacket(packet: Packet): Promise<void> {
    const { kind, ptsUs, dtsUs, durationUs } = packet;
    const at = this.#timeline.place(kind, ptsUs, durationUs, packet.discontinuity === true);
    const placed: Packet = { ...packet, ptsUs: at, dtsUs: us(dtsUs - ptsUs + at) };
    this.#readUs = Math.max(this.#readUs, placed.dtsUs);
    if (kind === "audio") this.#takeAudio(placed);
    else await this.#takeVideo(placed);
    await this.#pace();
  }

  async #takeVideo(packet: Packet): Promise<void> {
    this.#videoReadUs = Math.max(this.#videoReadUs, packet.dtsUs);
    const { pace, context } = this.#options;
    // Measured when it is decoded, for what is out of order as yet says nothing of jitter; the first cannot wait.
    if (pace === "live" && !this.#timeline.isTied) this.#timeline.observe(packet.dtsUs, context.clock.now());
    const taken = this.#show(packet);
    if (context.virtual || this.picture.isFull) return taken;
    taken.catch((error: unknown) => {
      this.#failure ??= { error };
    });
  }

  async #show(packet: Packet): Promise<void> {
    const { clock, pulse } = this.#options.context;
    this.#videoTaken += 1;
    const number = this.#videoTaken;
    const lastUs = await this.picture.take(packet);
    pulse.beat();
    // In a live burst, only the last tells how long decoding takes; what comes before it is old, not late.
    if (this.#options.pace === "live" && number !== this.#videoTaken) return;
    if (lastUs !== undefined) this.#timeline.observe(lastUs, clock.now());
    // Decoded, a live stream's picture of the decode stamp would come out now. Paced, that would be taken for late.
    else if (!this.picture.isShown) {
      const { ptsUs, dtsUs } = packet;
      this.#timeline.observe(this.#options.pace === "live" ? dtsUs : ptsUs, clock.now());
    }
  }

  #takeAudio(packet: Packet): void {
    if (packet.info?.kind === "audio") this.#audioInfo = packet.info;
    if (this.#audioInfo === undefined) return;
    this.audioRate.add(packet.arrivalUs, packet.data.byteLength);
    this.#options.slot.enter();
    try {
      this.#audio ??= AudioDecoder.open(this.#audioInfo);
      for (const block of this.#audio.decode(packet)) this.#heard(block, block.ptsUs);
    } finally {
      this.#options.slot.leave();
    }
  }

  /** Gives sound to the mixer. Of a source that was removed nothing is heard: its id may be another's already. */
  #heard(block: AudioBlock, sourceUs: Micros): void {
    if (this.#options.signal.aborted) return;
    const { clock, mixer } = this.#options.context;
    const endUs = sourceUs + (block.samples.length / CHANNELS / SAMPLE_RATE) * 1e6;
    this.#audioEndUs = Math.max(this.#audioEndUs, endUs);
    this.#audioDeliveredUs = this.#audioEndUs;
    this.#readUs = Math.max(this.#readUs, sourceUs);
    // Sound is mixed a tick after it begins, so it must be here when it ends.
    this.#timeline.observe(us(sourceUs), clock.now());
    const { shiftUs, leaps } = this.#timeline;
    const discontinuity = block.discontinuity || leaps !== this.#leaps;
    this.#leaps = leaps;
    mixer.push(this.#spec.id, { ...block, discontinuity }, us(sourceUs + shiftUs));
  }

  /** Waits until what was read is nearly due; live input is never waited for. */
  async #pace(): Promise<void> {
    if (this.#options.pace === "live") return;
    const { virtual, clock, pulse, longestPeriodUs } = this.#options.context;
    // What was just delivered may be all that the virtual clock waits for, and we wait for the clock.
    pulse.beat();
    const ahead = virtual ? Math.max(VIRTUAL_LOOKAHEAD, longestPeriodUs()) : LOOKAHEAD;
    const decoded = this.picture.deliveredUs;
    const pictureUs = virtual ? decoded : Math.max(decoded, this.#videoReadUs - DECODER_LAG_US);
    const due = us(this.#untilUs(pictureUs) + this.#timeline.shiftUs - ahead);
    if (due > clock.now()) await clock.sleepUntil(due, this.#options.signal);
  }

  /** Source time that all its streams have reached if the picture has reached `pictureUs`. */
  #untilUs(pictureUs: number): number {
    const isRaw = this.#spec.kind === "test";
    const hasAudio = this.#audioInfo !== undefined || isRaw;
    const audio = hasAudio ? this.#audioDeliveredUs : Number.POSITIVE_INFINITY;
    const hasVideo = this.picture.info !== undefined || isRaw;
    const video = hasVideo ? pictureUs : Number.POSITIVE_INFINITY;
    const until = Math.min(audio, video);
    if (until === Number.POSITIVE_INFINITY) return this.#readUs;
    return Math.max(until, this.#readUs - SIBLING_LAG_US);
  }

  #tooLateUs(): number {
    const { virtual, clock } = this.#options.context;
    return virtual ? Number.NEGATIVE_INFINITY : clock.now() - this.#timeline.shiftUs - DECODER_LAG_US;
  }

  /** A file plays from its beginning, however long opening it took: while time ran, it begins a little after that. */
  #begin(): void {
    this.#hasBegun = true;
    const nowUs = this.#options.context.clock.now();
    if (this.#options.pace !== "file" || this.#spec.kind === "test" || nowUs === this.#joinedUs) return;
    this.#timeline = this.#newTimeline(us(nowUs + FILE_PREROLL));
  }

  #newTimeline(startUs: Micros): SourceTimeline {
    const mode = this.#options.pace === "file" ? "fixed" : this.#options.pace;
    return new SourceTimeline({ mode, startUs, delayMs: delayBounds(this.#spec) });
  }
}

const delayBounds = (spec: SourceSpec): DelayBounds => spec.delayMs ?? { min: 40, max: 2000 };
