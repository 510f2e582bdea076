import { type ErrorInfo, errorInfo, InternalError } from "../core/error.ts";
import { period } from "../core/rational.ts";
import { type Micros, us } from "../core/time.ts";
import { LiveClock, VirtualClock } from "../media/clock.ts";
import { MIXER_AHEAD_US, TICK_US } from "../mixer/audio/audio-mixer.ts";
import type { Mix } from "./mix.ts";
import type { View } from "./view.ts";

/** Inputs have this long to show something before time begins without them. */
const MAX_START_MS = 5000;
/** An input that is not a file is not waited for this long. */
const MAX_LIVE_START_MS = 1500;
const TICKS_PER_TURN = 8;
/** Pictures in encoders that the virtual clock lets pile up. */
const MAX_IN_FLIGHT = 4;

/**
 * Gives a mix its beat. Under the live clock every view and the sound run on their own, at their times; under the
 * virtual clock all ticks run one after the other in the order of mix time, each when every input has delivered.
 */
export class Conductor {
  readonly #mix: Mix;
  readonly #stop = new AbortController();
  readonly #running = new Map<View, Promise<void>>();
  readonly #failures = new Map<string, ErrorInfo>();
  #nextTick: number;
  #endUs = Number.POSITIVE_INFINITY;
  #isRunning = false;
  #startedMs: number | undefined;

  constructor(mix: Mix, firstTick: number) {
    this.#mix = mix;
    this.#nextTick = firstTick;
    const durationUs = mix.settings.until?.durationUs;
    if (durationUs !== undefined) this.#endUs = durationUs;
  }

  /** Outputs that never opened. */
  get failures(): ReadonlyMap<string, ErrorInfo> {
    return this.#failures;
  }

  /** Where the mix ended, or is. */
  get positionUs(): Micros {
    return us(Math.min(this.#endUs, this.#nextTick * TICK_US));
  }

  /** Process start to first composed frame, in milliseconds; undefined before. */
  get startedMs(): number | undefined {
    return this.#startedMs;
  }

  stop(): void {
    this.#stop.abort();
    this.#mix.pulse.beat();
  }

  /** An output of the state that could not be opened. */
  fail(output: string, error: unknown): void {
    const info = errorInfo(error);
    this.#failures.set(output, info);
    this.#mix.emit({ type: "output.failed", output, error: info });
  }

  /** An output was removed. */
  forget(output: string): void {
    this.#failures.delete(output);
  }

  /** A view was added. */
  begin(view: View): void {
    if (this.#isRunning && !this.#mix.virtual) this.#running.set(view, this.#playView(view));
  }

  /** A view was removed: closes it after its last tick. */
  retire(view: View): void {
    const running = this.#running.get(view) ?? Promise.resolve();
    void running.then(() => view.close());
    this.#running.delete(view);
  }

  /** Runs to the end; afterwards nothing ticks any more. Never rejects. */
  async run(): Promise<void> {
    try {
      await this.#prime();
      this.#isRunning = true;
      if (this.#mix.virtual) await this.#runVirtual();
      else await this.#runLive();
      // What ends with the mix has ended.
      if (!this.#stop.signal.aborted) this.#followSources(us(this.#endUs));
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#mix.emit({ type: "mix.failed", error: errorInfo(error) });
    }
    this.#stop.abort();
    await Promise.all(this.#running.values());
  }

  async #prime(): Promise<void> {
    const { settings, sources, pulse, clock } = this.#mix;
    if (this.#mix.virtual || settings.waitForInputs !== true || !(clock instanceof LiveClock)) return;
    const began = performance.now();
    const isWaiting = (): boolean => {
      const waited = performance.now() - began;
      const pending = [...sources.values()].filter((source) => !source.isPrimed);
      return pending.some((source) => waited < (source.isFinite ? MAX_START_MS : MAX_LIVE_START_MS));
    };
    while (isWaiting() && !this.#stop.signal.aborted) await Promise.race([pulse.wait(), pauseMs(20)]);
    for (const view of this.#mix.views.values()) view.prepare();
    await this.#mix.updateVisibility();
    clock.start();
  }

  async #runLive(): Promise<void> {
    for (const view of this.#mix.views.values()) this.#running.set(view, this.#playView(view));
    await this.#playSound();
    await Promise.all(this.#running.values());
  }

  async #playView(view: View): Promise<void> {
    const { clock } = this.#mix;
    const signal = this.#stop.signal;
    while (!signal.aborted && view.nextUs < this.#endUs && this.#mix.views.get(view.id) === view) {
      await clock.sleepUntil(view.nextUs, signal).catch(() => undefined);
      if (signal.aborted || view.nextUs >= this.#endUs) return;
      await view.tick(clock.now() - view.nextUs);
      this.#noteStart();
      void this.#mix.updateVisibility();
      // What is later than half a second is not worth catching up with one by one.
      if (clock.now() - view.nextUs > 500_000) view.skipTo(us(clock.now() - period(view.rate)));
    }
  }

  async #playSound(): Promise<void> {
    const { clock } = this.#mix;
    const signal = this.#stop.signal;
    while (!signal.aborted && this.#nextTick * TICK_US < this.#endUs) {
      const due = us((this.#nextTick + 1) * TICK_US + MIXER_AHEAD_US);
      await clock.sleepUntil(due, signal).catch(() => undefined);
      if (signal.aborted) return;
      this.#followSources(clock.now());
      this.#mix.audioTick(this.#nextTick);
      this.#nextTick += 1;
      // Catching up must not keep everybody else from the thread.
      if (clock.now() - due > TICK_US) await turn();
    }
  }

  async #runVirtual(): Promise<void> {
    const { clock } = this.#mix;
    if (!(clock instanceof VirtualClock)) throw new InternalError("the virtual clock is not virtual");
    for (let round = 0; !this.#stop.signal.aborted; round++) {
      // Native memory is given back when the event loop turns, which microtasks alone never let it.
      if (round % TICKS_PER_TURN === 0) await turn();
      const view = this.#earliestView();
      const soundAt = us(this.#nextTick * TICK_US);
      const isVideo = view !== undefined && view.nextUs <= soundAt;
      const at = isVideo ? view.nextUs : soundAt;
      if (at >= this.#endUs) return;
      if (isVideo) await this.#virtualPicture(view, at, clock);
      else await this.#virtualSound(at, clock);
    }
  }

  async #virtualPicture(view: View, at: Micros, clock: VirtualClock): Promise<void> {
    const half = period(view.rate) / 2;
    clock.advanceTo(at);
    for (;;) {
      await this.#ready(at + half);
      this.#followSources(at);
      view.prepare();
      await this.#mix.updateVisibility();
      if (this.#isReady(at + half) || this.#stop.signal.aborted) break;
    }
    if (at >= this.#endUs || this.#stop.signal.aborted) return;
    await view.tick(0);
    this.#noteStart();
    while ([...view.encodes].some((encode) => encode.behind >= MAX_IN_FLIGHT))
      await Promise.race([...view.encodes].map((encode) => encode.idle()));
    await Promise.all([...this.#mix.outputs.values()].map((output) => output.drained()));
  }

  async #virtualSound(at: Micros, clock: VirtualClock): Promise<void> {
    clock.advanceTo(at);
    await this.#ready(at + TICK_US + MIXER_AHEAD_US);
    this.#followSources(at);
    if (at >= this.#endUs || this.#stop.signal.aborted) return;
    this.#mix.audioTick(this.#nextTick);
    this.#nextTick += 1;
  }

  #earliestView(): View | undefined {
    let first: View | undefined;
    for (const view of this.#mix.views.values())
      if (first === undefined || view.nextUs < first.nextUs) first = view;
    return first;
  }

  #isReady(mixUs: number): boolean {
    for (const source of this.#mix.sources.values()) if (!source.isReadyFor(mixUs)) return false;
    return true;
  }

  async #ready(mixUs: number): Promise<void> {
    while (!this.#isReady(mixUs) && !this.#stop.signal.aborted) await this.#mix.pulse.wait();
  }

  /** Lets sources follow time, and notices when the last that can end has ended. */
  #followSources(nowUs: Micros): void {
    const sources = [...this.#mix.sources.values()];
    for (const source of sources) source.tick(nowUs);
    if (this.#mix.settings.until?.inputsEnd !== true) return;
    const ending = sources.filter((source) => !source.isEndless);
    if (ending.length > 0 && ending.every((source) => source.isOver || source.endUs !== undefined)) {
      const lastUs = Math.max(...ending.map((source) => source.endUs ?? nowUs));
      // A file's end is known ahead. Of other inputs it may be learned after its time: what was composed counts.
      this.#endUs = Math.min(this.#endUs, this.#mix.virtual ? lastUs : Math.max(lastUs, nowUs));
    }
  }

  #noteStart(): void {
    this.#startedMs ??= performance.now();
  }
}

/** Settles when the event loop has come round. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const pauseMs = (delayMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, delayMs));
