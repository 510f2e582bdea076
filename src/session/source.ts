import type { MixEventBody } from "../contract/events.ts";
import type { SourceSpec, SourceUpdate } from "../contract/source-spec.ts";
import type { SourceState } from "../contract/status.ts";
import type { Identified } from "../contract/worker.ts";
import { type ErrorInfo, errorInfo } from "../core/error.ts";
import type { Logger } from "../core/log.ts";
import { Backoff } from "../core/retry.ts";
import { type Micros, ms, us } from "../core/time.ts";
import { AudioDecoder } from "../decode/audio.ts";
import type { Ingest } from "../ingest/ingest.ts";
import type { RawIngest } from "../ingest/raw.ts";
import { type Clock, sleep } from "../media/clock.ts";
import { type AudioBlock, CHANNELS, SAMPLE_RATE, type VideoFrame } from "../media/frame.ts";
import type { Packet } from "../media/packet.ts";
import { RateMeter } from "../media/stats.ts";
import type { AudioStreamInfo } from "../media/stream-info.ts";
import type { AudioMixer } from "../mixer/audio/audio-mixer.ts";
import { SourceTimeline } from "../mixer/timeline.ts";
import type { DecodingSlot } from "./decoding-slot.ts";
import { PictureDecoding } from "./picture-decoding.ts";
import type { Pulse } from "./pulse.ts";
import type { SourceOpener } from "./source-opener.ts";
import { updatedSource } from "./updated-source.ts";

/**
 * Files and paced pulls are read this far ahead: enough for a busy moment, little enough that decoded pictures do not
 * fill memory. The virtual clock waits for its inputs and needs no reserve.
 */
const LOOKAHEAD: Micros = ms(600);
const VIRTUAL_LOOKAHEAD: Micros = ms(100);
/** A stream this far behind its sibling is taken to have nothing more: sparse, ended early or broken. */
const SIBLING_LAG_US = 10e6;

/** What a source needs of its mix. */
export interface SourceContext {
  readonly clock: Clock;
  readonly mixer: AudioMixer;
  /** Beats whenever a source delivered or changed state. */
  readonly pulse: Pulse;
  readonly opener: SourceOpener;
  readonly log: Logger;
  readonly virtual: boolean;
  /** Of the views: a picture is composed when everybody delivered half of it beyond. */
  longestPeriodUs(): number;
  /** `tessera mix`: a live input that ended cleanly is not waited for again. */
  readonly endsWithInput: boolean;
  emit(event: MixEventBody): void;
}

/**
 * One source of a mix: opens its input, decodes, ties its time to the mix clock, and reconnects where that makes
 * sense. Its trouble is its own: everything that goes wrong here ends in its state and an event.
 *
 *     connecting -> online <-> stale
 *         ^           |          |
 *         +---- offline <-------+ -> ended (files)
 */
export class Source {
  readonly picture: PictureDecoding;
  readonly audioRate = new RateMeter();
  timeline: SourceTimeline;
  #spec: Identified<SourceSpec>;
  readonly #context: SourceContext;
  readonly #slot: DecodingSlot;
  readonly #stop = new AbortController();
  readonly #joined: number;
  #state: SourceState = "connecting";
  #error: ErrorInfo | undefined;
  #input: Ingest | RawIngest | undefined;
  #audio: AudioDecoder | undefined;
  #audioInfo: AudioStreamInfo | undefined;
  #audioDeliveredUs = Number.NEGATIVE_INFINITY;
  /** Latest stamp read, in source time, of either stream. */
  #readUs = Number.NEGATIVE_INFINITY;
  #lastPacketUs = 0;
  #endUs: number | undefined;
  #lost = 0;
  #isDone = false;
  #running: Promise<void> = Promise.resolve();

  constructor(spec: Identified<SourceSpec>, joined: number, slot: DecodingSlot, context: SourceContext) {
    this.#spec = spec;
    this.#joined = joined;
    this.#slot = slot;
    this.#context = context;
    this.picture = new PictureDecoding(slot);
    this.timeline = this.#newTimeline();
    context.mixer.add(spec.id, this.#audioOptions());
  }

  get id(): string {
    return this.#spec.id;
  }
  get spec(): Identified<SourceSpec> {
    return this.#spec;
  }
  get state(): SourceState {
    return this.#state;
  }
  get error(): ErrorInfo | undefined {
    return this.#error;
  }
  get joined(): number {
    return this.#joined;
  }
  get audioInfo(): AudioStreamInfo | undefined {
    return this.#audioInfo;
  }
  get lost(): number {
    return this.#lost + this.picture.errors + (this.#input?.dropped ?? 0);
  }

  /** True once the first packets are here, or it is clear that none will come soon. */
  get isPrimed(): boolean {
    if (this.#state === "connecting") return false;
    return this.#state !== "online" || this.#untilUs() > Number.NEGATIVE_INFINITY;
  }

  /** Input comes to an end by itself: files and tests that do not loop. */
  get isFinite(): boolean {
    return (
      this.#spec.kind === "pull" && !this.#spec.loop && this.#context.opener.kindOf(this.#spec) !== "live"
    );
  }

  /** Mix time at which it ends, once that is known. */
  get endUs(): number | undefined {
    return this.#endUs;
  }

  /** Never ends by itself: loops, and test sources. */
  get isEndless(): boolean {
    return this.#spec.kind === "test" || (this.#spec.kind === "pull" && this.#spec.loop);
  }

  /** Nothing more will come of it. */
  get isOver(): boolean {
    return this.#isDone && (this.#state === "ended" || this.#state === "offline");
  }

  /** True if a view may show its picture: its transport is alive and nobody muted it. */
  get hasPicture(): boolean {
    return this.#state === "online" && !this.#spec.video.muted;
  }

  /** Has, had or announced video. */
  get hasVideo(): boolean {
    return this.picture.info !== undefined || this.#spec.kind === "test";
  }

  /** Starts opening; returns at once. */
  start(): void {
    this.#running = this.#run();
  }

  /** Virtual clock: everything due before `mixUs` has been delivered, or never will be. */
  isReadyFor(mixUs: number): boolean {
    if (this.#state === "connecting") return false;
    if (this.#state !== "online") return true;
    return this.#untilUs() + this.timeline.shiftUs >= mixUs;
  }

  /** Called at every audio tick: state that follows time. */
  tick(nowUs: Micros): void {
    this.timeline.advance(nowUs);
    if (this.#endUs !== undefined && this.#state === "online" && nowUs >= this.#endUs) {
      this.#become("ended");
      this.#context.emit({ type: "source.offline", source: this.id, ended: true });
      return;
    }
    const pace = this.#context.opener.kindOf(this.#spec);
    if (this.#spec.kind === "pull" && pace === "file") return;
    // What is read ahead may be all there for long, and is shown in its time.
    const playedUs = pace === "paced" ? this.#untilUs() + this.timeline.shiftUs : 0;
    const silent = nowUs - Math.max(this.#lastPacketUs, playedUs) > this.#spec.staleAfterMs * 1000;
    if (this.#state === "online" && silent) {
      this.#become("stale");
      this.#context.emit({ type: "source.stale", source: this.id });
    }
  }

  /** How long the newest picture has been on screen beyond its time. */
  frozenMs(nowUs: Micros): number {
    const newest = this.picture.queue.newest;
    if (newest === undefined || this.#state !== "online" || this.isFinite) return 0;
    return Math.max(0, (nowUs - newest.sourceUs - this.timeline.shiftUs) / 1000);
  }

  /** What was odd about it and how often. */
  get warnings(): Readonly<Record<string, number>> {
    const jumps = this.timeline.jumps;
    return jumps > 0 ? { timestampJumps: jumps } : {};
  }

  update(update: SourceUpdate): void {
    this.#spec = updatedSource(this.#spec, update);
    this.#context.mixer.update(this.id, this.#audioOptions());
  }

  /** Leaves the mix at once, so that its id is free; settles when everything is let go. Never rejects. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#context.mixer.remove(this.id);
    await this.#input?.close();
    await this.#running;
    await this.picture.close();
    this.#audio?.close();
    this.#slot.free();
  }

  async #run(): Promise<void> {
    const backoff = new Backoff({ firstMs: 500, maxMs: 10_000 });
    for (;;) {
      const before = this.#context.clock.now();
      const error = await this.#attempt();
      if (this.#stop.signal.aborted) return;
      if (error === undefined && this.isFinite) {
        this.#isDone = true;
        return;
      }
      this.#offline(
        error ?? { code: "ERR_PEER_LOST", fault: "peer", retryable: true, message: "the input ended" },
      );
      if (!this.#context.opener.retries(this.#spec) || (error === undefined && this.#context.endsWithInput)) {
        this.#isDone = true;
        return;
      }
      if (this.#context.clock.now() - before > 10e6) backoff.reset();
      const delay = ms(backoff.next());
      await sleep(this.#context.clock, delay, this.#stop.signal).catch(() => undefined);
      if (this.#stop.signal.aborted) return;
      await this.#renew();
    }
  }

  /** Opens and reads the input to its end; an error tells why it broke. */
  async #attempt(): Promise<ErrorInfo | undefined> {
    // A signal of its own: what inputs leave on it goes with them, however often they come back.
    const attempt = new AbortController();
    const stop = (): void => attempt.abort(this.#stop.signal.reason);
    this.#stop.signal.addEventListener("abort", stop);
    try {
      const input = await this.#context.opener.open(this.#spec, attempt.signal);
      this.#input = input;
      await using _ = input;
      for await (const item of input) {
        if (this.#stop.signal.aborted) return undefined;
        await this.#take(item);
        this.#context.pulse.beat();
      }
      await this.#finish();
      return undefined;
    } catch (error) {
      return errorInfo(error);
    } finally {
      this.#stop.signal.removeEventListener("abort", stop);
    }
  }

  async #take(item: Packet | VideoFrame | AudioBlock): Promise<void> {
    this.#online();
    if ("samples" in item) return this.#heard(item, item.ptsUs);
    if ("data" in item) return this.#takePacket(item);
    this.picture.push(item);
    this.timeline.observe(item.ptsUs, this.#context.clock.now());
    this.#readUs = Math.max(this.#readUs, item.ptsUs);
  }

  async #takePacket(packet: Packet): Promise<void> {
    const { kind, ptsUs, dtsUs, durationUs } = packet;
    const at = this.timeline.place(kind, ptsUs, durationUs, packet.discontinuity === true);
    const placed: Packet = { ...packet, ptsUs: at, dtsUs: us(dtsUs - ptsUs + at) };
    this.#readUs = Math.max(this.#readUs, placed.dtsUs);
    if (kind === "audio") this.#takeAudio(placed);
    else await this.#takeVideo(placed);
    await this.#pace();
  }

  async #takeVideo(packet: Packet): Promise<void> {
    const before = this.picture.queue.count;
    const taken = this.picture.take(packet);
    if (this.picture.isCatchingUp && this.#context.opener.kindOf(this.#spec) === "live") {
      // Sound does not wait for the picture; what is wrong with this packet the next one that is waited for tells.
      taken.catch(() => undefined);
      return this.timeline.observe(packet.ptsUs, this.#context.clock.now());
    }
    await taken;
    const newest = this.picture.queue.newest;
    if (newest !== undefined && this.picture.queue.count > before) {
      this.timeline.observe(newest.sourceUs, this.#context.clock.now());
    } else if (!this.picture.isShown) {
      this.timeline.observe(packet.ptsUs, this.#context.clock.now());
    }
  }

  #takeAudio(packet: Packet): void {
    if (packet.info?.kind === "audio") this.#audioInfo = packet.info;
    if (this.#audioInfo === undefined) return;
    this.audioRate.add(packet.arrivalUs, packet.data.byteLength);
    this.#slot.enter();
    try {
      this.#audio ??= AudioDecoder.open(this.#audioInfo);
      for (const block of this.#audio.decode(packet)) this.#heard(block, block.ptsUs);
    } finally {
      this.#slot.leave();
    }
  }

  /** Gives sound to the mixer. Of a source that was removed nothing is heard: its id may be another's already. */
  #heard(block: AudioBlock, sourceUs: Micros): void {
    if (this.#stop.signal.aborted) return;
    const endUs = sourceUs + (block.samples.length / CHANNELS / SAMPLE_RATE) * 1e6;
    this.#audioDeliveredUs = Math.max(this.#audioDeliveredUs, endUs);
    this.#readUs = Math.max(this.#readUs, sourceUs);
    // Sound is mixed a tick after it begins, so it must be here when it ends.
    this.timeline.observe(us(sourceUs), this.#context.clock.now());
    this.#context.mixer.push(this.id, block, us(sourceUs + this.timeline.shiftUs));
  }

  /** Waits until what was read is nearly due; live input is never waited for. */
  async #pace(): Promise<void> {
    if (this.#context.opener.kindOf(this.#spec) === "live") return;
    // What was just delivered may be all that the virtual clock waits for, and we wait for the clock.
    this.#context.pulse.beat();
    const { virtual, clock, longestPeriodUs } = this.#context;
    const ahead = virtual ? Math.max(VIRTUAL_LOOKAHEAD, longestPeriodUs()) : LOOKAHEAD;
    const due = us(this.#untilUs() + this.timeline.shiftUs - ahead);
    if (due > clock.now()) await clock.sleepUntil(due, this.#stop.signal);
  }

  /** Source time up to which all its streams were delivered. */
  #untilUs(): number {
    const isRaw = this.#spec.kind === "test";
    const hasAudio = this.#audioInfo !== undefined || isRaw;
    const audio = hasAudio ? this.#audioDeliveredUs : Number.POSITIVE_INFINITY;
    const hasVideo = this.picture.info !== undefined || isRaw;
    const video = hasVideo ? this.picture.deliveredUs : Number.POSITIVE_INFINITY;
    const until = Math.min(audio, video);
    if (until === Number.POSITIVE_INFINITY) return this.#readUs;
    return Math.max(until, this.#readUs - SIBLING_LAG_US);
  }

  async #finish(): Promise<void> {
    for (const block of this.#audio?.flush() ?? []) this.#heard(block, block.ptsUs);
    const lastVideo = await this.picture.flush();
    const endUs = Math.max(this.#audioDeliveredUs, lastVideo, 0) + this.timeline.shiftUs;
    this.#audioDeliveredUs = Number.POSITIVE_INFINITY;
    this.#readUs = Number.POSITIVE_INFINITY;
    // By rounding, sound may outlast its picture by a microsecond: that is not another picture.
    if (this.isFinite) this.#endUs = Math.floor(endUs / 1000) * 1000;
    this.#context.pulse.beat();
  }

  async #renew(): Promise<void> {
    this.#become("connecting");
    this.#audio?.close();
    this.#audio = undefined;
    this.#audioDeliveredUs = Number.NEGATIVE_INFINITY;
    this.#readUs = Number.NEGATIVE_INFINITY;
    await this.picture.restart();
    this.timeline = this.#newTimeline();
  }

  #newTimeline(): SourceTimeline {
    const kind = this.#context.opener.kindOf(this.#spec);
    const mode = kind === "file" ? "fixed" : kind;
    const startUs = this.#context.clock.now();
    return new SourceTimeline({ mode, startUs, delayMs: this.#spec.delayMs ?? { min: 40, max: 2000 } });
  }

  #online(): void {
    this.#lastPacketUs = this.#context.clock.now();
    if (this.#state === "online") return;
    this.#error = undefined;
    this.#become("online");
    this.#context.emit({ type: "source.online", source: this.id });
  }

  #offline(error: ErrorInfo): void {
    this.#error = error;
    this.#lost += this.#input?.dropped ?? 0;
    this.#input = undefined;
    if (this.#state === "offline") return;
    this.#become("offline");
    this.#context.emit({ type: "source.offline", source: this.id, error });
  }

  #become(state: SourceState): void {
    this.#state = state;
    this.#context.pulse.beat();
  }

  #audioOptions(): NonNullable<Parameters<AudioMixer["add"]>[1]> {
    const { audio, priority, role, kind } = this.#spec;
    const talks = role === "participant" && (kind === "webrtc" || kind === "sip" || kind === "rtp");
    const { gain, muted, delayMs } = audio;
    return { gain, muted, delayMs, priority, policy: audio.policy ?? (talks ? "speaker" : "always") };
  }
}
