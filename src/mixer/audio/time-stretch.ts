import { CHANNELS } from "../../media/frame.ts";
import { raisedCosine } from "./fade.ts";
import type { SampleQueue } from "./sample-queue.ts";

/** Length of a splice's cross-fade: 10 ms. */
const HOP = 480;
/** Shortest and longest piece that one splice removes or repeats: 2.5 and 15 ms, pitch periods of 400 to 67 Hz. */
const MIN_LAG = 120;
/** See {@link MIN_LAG}; a reader keeps this much history. */
export const MAX_LAG = 720;
/** The coarse search looks at each fourth sample. */
const DECIMATION = 4;
/** Above this error time runs faster by {@link FAST}, below it by {@link SLOW}. 100 ms. */
const FAR = 4800;
const FAST = 0.25;
const SLOW = 0.1;

const FADE = raisedCosine(HOP);

/**
 * Plays faster or slower at the same pitch, by removing or repeating one best-matching piece at a time with a
 * raised-cosine cross-fade (SOLA). Between splices it copies bit for bit.
 *
 * Reads straight from a {@link SampleQueue}; owns the read position.
 */
export class TimeStretch {
  /** Index of the sample that {@link take} gives next. */
  position = 0;
  /** Splices so far. */
  splices = 0;
  #budget = 0;
  #from = 0;
  #faded = HOP;
  readonly #target = new Float32Array(HOP / DECIMATION);
  readonly #range = new Float32Array((MAX_LAG - MIN_LAG + HOP) / DECIMATION + 1);

  /** True while a cross-fade is in progress. */
  get splicing(): boolean {
    return this.#faded < HOP;
  }

  /** Moves to `index`; a splice in progress is given up. */
  seek(index: number): void {
    this.position = index;
    this.#faded = HOP;
    this.#budget = 0;
  }

  /**
   * Begins at most one splice. Call once per `samples` taken.
   *
   * @param excess samples to remove (positive) or to repeat (negative); 0 forgets what was saved up.
   * @param end one past the last index that may be read.
   */
  plan(queue: SampleQueue, excess: number, end: number, samples: number): void {
    if (Math.abs(excess) < MIN_LAG) this.#budget = 0;
    else this.#budget = Math.min(MAX_LAG, this.#budget + samples * (Math.abs(excess) > FAR ? FAST : SLOW));
    const longest = Math.floor(Math.min(this.#budget, Math.abs(excess)));
    if (longest < MIN_LAG || this.splicing) return;
    if (excess > 0) this.#skip(queue, longest, end);
    else this.#repeat(queue, longest, end);
  }

  /**
   * Writes up to `count` samples to `out` from its sample `at` on, fewer where `end` is reached.
   *
   * @returns samples written.
   */
  take(queue: SampleQueue, out: Float32Array, at: number, count: number, end: number): number {
    const faded = this.#cross(queue, out, at, Math.min(count, HOP - this.#faded));
    const copied = Math.max(0, Math.min(count - faded, end - this.position));
    const start = queue.offset(this.position);
    out.set(queue.values.subarray(start, start + copied * CHANNELS), (at + faded) * CHANNELS);
    this.position += copied;
    return faded + copied;
  }

  #skip(queue: SampleQueue, longest: number, end: number): void {
    const high = Math.min(longest, end - HOP - this.position);
    if (high < MIN_LAG) return;
    this.#begin(queue, this.position + MIN_LAG, this.position + high);
  }

  #repeat(queue: SampleQueue, longest: number, end: number): void {
    const high = Math.min(longest, this.position - queue.first);
    if (high < MIN_LAG || this.position + HOP > end) return;
    this.#begin(queue, this.position - high, this.position - MIN_LAG);
  }

  #begin(queue: SampleQueue, low: number, high: number): void {
    const target = this.#search(queue, low, high);
    this.#from = this.position;
    this.#budget -= Math.abs(target - this.position);
    this.position = target;
    this.#faded = 0;
    this.splices += 1;
  }

  #cross(queue: SampleQueue, out: Float32Array, at: number, count: number): number {
    const values = queue.values;
    let a = queue.offset(this.#from);
    let b = queue.offset(this.position);
    for (let i = 0, o = at * CHANNELS; i < count; i++) {
      const weight = FADE[this.#faded + i] ?? 1;
      for (let c = 0; c < CHANNELS; c++, a++, b++, o++) {
        const old = values[a] ?? 0;
        out[o] = old + ((values[b] ?? 0) - old) * weight;
      }
    }
    this.#faded += count;
    this.#from += count;
    this.position += count;
    return count;
  }

  /** The index in [low, high] whose next {@link HOP} samples are most like those at the read position. */
  #search(queue: SampleQueue, low: number, high: number): number {
    const coarse = this.#coarse(queue, low, high);
    const values = queue.values;
    const here = queue.offset(this.position);
    let [best, bestScore] = [coarse, Number.NEGATIVE_INFINITY];
    for (let q = Math.max(low, coarse - DECIMATION + 1); q <= Math.min(high, coarse + DECIMATION - 1); q++) {
      const there = queue.offset(q);
      let [dot, energy] = [0, 1e-9];
      for (let i = 0; i < HOP * CHANNELS; i += 2 * CHANNELS) {
        const other = (values[there + i] ?? 0) + (values[there + i + 1] ?? 0);
        dot += ((values[here + i] ?? 0) + (values[here + i + 1] ?? 0)) * other;
        energy += other * other;
      }
      const score = dot / Math.sqrt(energy);
      if (score > bestScore) [best, bestScore] = [q, score];
    }
    return best;
  }

  #coarse(queue: SampleQueue, low: number, high: number): number {
    const [target, range] = [this.#target, this.#range];
    const candidates = Math.floor((high - low) / DECIMATION) + 1;
    const length = candidates + target.length - 1;
    decimate(queue, this.position, target, target.length);
    decimate(queue, low, range, length);
    let energy = 1e-9;
    for (let i = 0; i < target.length; i++) energy += (range[i] ?? 0) ** 2;
    let [best, bestScore] = [0, Number.NEGATIVE_INFINITY];
    for (let c = 0; c < candidates; c++) {
      let dot = 0;
      for (let i = 0; i < target.length; i++) dot += (target[i] ?? 0) * (range[c + i] ?? 0);
      // Sign kept: a piece in opposite phase is the worst match, not the best.
      const score = (dot * Math.abs(dot)) / energy;
      if (score > bestScore) [best, bestScore] = [c, score];
      energy = Math.max(1e-9, energy + (range[c + target.length] ?? 0) ** 2 - (range[c] ?? 0) ** 2);
    }
    return low + best * DECIMATION;
  }
}

/** Each {@link DECIMATION}th sample from `index` on, left plus right. */
function decimate(queue: SampleQueue, index: number, out: Float32Array, count: number): void {
  const values = queue.values;
  for (let i = 0, v = queue.offset(index); i < count; i++, v += DECIMATION * CHANNELS) {
    out[i] = (values[v] ?? 0) + (values[v + 1] ?? 0);
  }
}
