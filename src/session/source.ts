import type { MixEventBody } from "../contract/events.ts";
import type { SourceSpec, SourceUpdate } from "../contract/source-spec.ts";
import type { SourceState } from "../contract/status.ts";
import type { Identified } from "../contract/worker.ts";
import { type ErrorInfo, errorInfo, PeerLostError } from "../core/error.ts";
import type { Logger } from "../core/log.ts";
import { Backoff } from "../core/retry.ts";
import { type Micros, ms, us } from "../core/time.ts";
import type { Ingest } from "../ingest/ingest.ts";
import type { RawIngest } from "../ingest/raw.ts";
import { sleep } from "../media/clock.ts";
import type { RateMeter } from "../media/stats.ts";
import type { AudioStreamInfo } from "../media/stream-info.ts";
import type { AudioMixer } from "../mixer/audio/audio-mixer.ts";
import type { SourceTimeline } from "../mixer/timeline.ts";
import type { DecodingSlot } from "./decoding-slot.ts";
import type { PictureDecoding } from "./picture-decoding.ts";
import type { SourceOpener, SourcePace } from "./source-opener.ts";
import { SourceStreams, type StreamsContext } from "./source-streams.ts";
import { updatedSource } from "./updated-source.ts";

/** Delay of a live input and what is read ahead of a paced one are shorter. */
const LONGEST_PLAYOUT: Micros = ms(3000);

/** What a source needs of its mix. */
export interface SourceContext extends StreamsContext {
  readonly opener: SourceOpener;
  readonly log: Logger;
  /** `tessera mix`: a live input that ended cleanly is not waited for again. */
  readonly endsWithInput: boolean;
  emit(event: MixEventBody): void;
}

/**
 * One source of a mix: opens its input, lets its streams be decoded, and reconnects where that makes sense. Its trouble is its own: everything that goes wrong here ends in its state and an event.
 *
 *     connecting -> online <-> stale
 *         ^           |          |
 *         +---- offline <-------+ -> ended (what is finite)
 */
export class Source {
  #spec: Identified<SourceSpec>;
  readonly #context: SourceContext;
  readonly #streams: SourceStreams;
  readonly #slot: DecodingSlot;
  readonly #stop = new AbortController();
  readonly #joined: number;
  #state: SourceState = "connecting";
  #error: ErrorInfo | undefined;
  #input: Ingest | RawIngest | undefined;
  #lastPacketUs = 0;
  #endUs: number | undefined;
  #lost = 0;
  #isDone = false;
  /** Its input was online and told no end. */
  #wasLive = false;
  #running: Promise<void> = Promise.resolve();

  constructor(spec: Identified<SourceSpec>, joined: number, slot: DecodingSlot, context: SourceContext) {
    this.#spec = spec;
    this.#joined = joined;
    this.#slot = slot;
    this.#context = context;
    this.#streams = new SourceStreams(spec, { pace: this.#pace, slot, context, signal: this.#stop.signal });
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
  get picture(): PictureDecoding {
    return this.#streams.picture;
  }
  get timeline(): SourceTimeline {
    return this.#streams.timeline;
  }
  get audioInfo(): AudioStreamInfo | undefined {
    return this.#streams.audioInfo;
  }
  get audioRate(): RateMeter {
    return this.#streams.audioRate;
  }
  /** Packets that were missing, could not be decoded, or came to their turn too late. */
  get lost(): number {
    return this.#lost + this.picture.errors + this.picture.skipped + (this.#input?.dropped ?? 0);
  }

  /** True once the first packets are here, or it is clear that none will come soon. */
  get isPrimed(): boolean {
    if (this.#state === "connecting") return false;
    return this.#state !== "online" || this.#streams.deliveredUs > Number.NEGATIVE_INFINITY;
  }

  get #pace(): SourcePace {
    return this.#context.opener.kindOf(this.#spec);
  }

  /** Its input comes to an end by itself; before it is open, inputs of its kind may. */
  get isFinite(): boolean {
    if (this.#spec.kind !== "pull" || this.#spec.loop) return false;
    return this.#input?.isFinite ?? this.#pace !== "live";
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

  /** True if a view may show its picture at that mix time: its transport is alive and nobody muted it. */
  hasPictureAt(mixUs: number): boolean {
    return (
      this.#state === "online" && !this.#spec.video.muted && mixUs < (this.#endUs ?? Number.POSITIVE_INFINITY)
    );
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
    return this.#streams.deliveredUs >= mixUs;
  }

  /** Called at every audio tick: state that follows time. */
  tick(nowUs: Micros): void {
    this.timeline.advance(nowUs);
    if (this.#endUs !== undefined && this.#state === "online" && nowUs >= this.#endUs) {
      this.#become("ended");
      this.#context.emit({ type: "source.offline", source: this.id, ended: true });
      return;
    }
    if (this.#spec.kind === "pull" && this.#pace === "file") return;
    // What is read ahead may be all there for long, and is shown in its time.
    const playedUs = this.#pace === "paced" ? this.#streams.deliveredUs : 0;
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
    this.#streams.update(this.#spec);
    this.#context.mixer.update(this.id, this.#audioOptions());
  }

  /** Leaves the mix at once, so that its id is free; settles when everything is let go. Never rejects. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#context.mixer.remove(this.id);
    await this.#input?.close();
    await this.#running;
    await this.#streams.close();
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
      await this.#playOut();
      if (this.#stop.signal.aborted) return;
      this.#offline(
        error ?? { code: "ERR_PEER_LOST", fault: "peer", retryable: true, message: "the input ended" },
      );
      if (!this.#mayReturn(error)) {
        this.#isDone = true;
        return;
      }
      if (this.#context.clock.now() - before > 10e6) backoff.reset();
      const delay = ms(backoff.next());
      await sleep(this.#context.clock, delay, this.#stop.signal).catch(() => undefined);
      if (this.#stop.signal.aborted) return;
      await this.#streams.restart();
    }
  }

  /** What was delivered is seen and heard to its end, unless its stamps are out of all measure. */
  async #playOut(): Promise<void> {
    const { clock } = this.#context;
    const endUs = us(Math.min(this.#streams.endUs, clock.now() + LONGEST_PLAYOUT));
    await clock.sleepUntil(endUs, this.#stop.signal).catch(() => undefined);
  }

  /** Whether another attempt may go better, after one that ended orderly or with an error. */
  #mayReturn(error: ErrorInfo | undefined): boolean {
    if (!this.#context.opener.retries(this.#spec)) return false;
    if (error === undefined) return !this.#context.endsWithInput;
    // A publisher who was wrong may be followed by another; what we ask of a peer stays as wrong as it was.
    return this.#spec.kind !== "pull" || error.retryable || error.fault !== "caller";
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
        if (this.#stop.signal.aborted) {
          if (Symbol.dispose in item) item[Symbol.dispose]();
          return undefined;
        }
        this.#online(input);
        await this.#streams.take(item);
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

  async #finish(): Promise<void> {
    await this.#streams.finish();
    // By rounding, sound may outlast its picture by a microsecond: that is not another picture.
    if (this.isFinite) this.#endUs = Math.floor(this.#streams.endUs / 1000) * 1000;
    this.#context.pulse.beat();
  }

  /** @throws {PeerLostError} `ERR_PEER_LOST` if a live input is a recording now: that is no news, and is not played again. */
  #online(input: Ingest | RawIngest): void {
    this.#lastPacketUs = this.#context.clock.now();
    if (this.#state === "online") return;
    if (this.#wasLive && input.isFinite)
      throw new PeerLostError("the live input ended, and left a recording");
    this.#wasLive = !input.isFinite;
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
