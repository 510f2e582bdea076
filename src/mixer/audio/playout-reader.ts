import { CHANNELS } from "../../media/frame.ts";
import { RateResampler, RESAMPLER_CHUNK } from "../../native/resampler.ts";
import { EXTRAPOLATION_HISTORY, extrapolate } from "./extrapolate.ts";
import { raisedCosine } from "./fade.ts";
import type { SampleQueue } from "./sample-queue.ts";
import { TimeStretch } from "./time-stretch.ts";

/** Length of every fade of a {@link PlayoutReader}, in samples per channel: 5 ms. */
export const FADE_SAMPLES = 240;

const RISE = raisedCosine(FADE_SAMPLES);
/** Past samples that fill the resampler's filter before its first output is used. */
const PRIMING = 64;
/** What the resampler's filter holds back. */
const FILTER_DELAY = 18;

/**
 * Reads a {@link SampleQueue} at a speed near 1: bit-exact copy, time-stretch and resampler in one, with click-free
 * seams. Wherever the sound does not go on as it was, {@link breakOff} lets the old go on for 5 ms, fading, under
 * the new, which fades in; what is not there to fade is extrapolated.
 *
 * Owns native memory once a speed other than 1 was asked for; dispose it.
 */
export class PlayoutReader implements Disposable {
  readonly #queue: SampleQueue;
  readonly #stretch = new TimeStretch();
  readonly #tail = new Float32Array(FADE_SAMPLES * CHANNELS);
  readonly #scratch = new Float32Array((EXTRAPOLATION_HISTORY + FADE_SAMPLES + 2 * FILTER_DELAY) * CHANNELS);
  #tailDone = FADE_SAMPLES;
  #risen = FADE_SAMPLES;
  #resampler: RateResampler | undefined;
  #resampling = false;
  #delay = 0;

  constructor(queue: SampleQueue) {
    this.#queue = queue;
  }

  /** Stream position, in samples with fraction, of what is played next. */
  get position(): number {
    return this.#stretch.position - this.#delay;
  }

  /** Index of the next sample that is taken from the queue; what is before it may be released. */
  get taken(): number {
    return this.#stretch.position;
  }

  /** Pieces removed or repeated so far. */
  get splices(): number {
    return this.#stretch.splices;
  }

  /** True while {@link position} says little, because two places are cross-faded. */
  get splicing(): boolean {
    return this.#stretch.splicing;
  }

  /** True while samples are not copied bit for bit. */
  get resampling(): boolean {
    return this.#resampling;
  }

  /** True if the last {@link breakOff}'s fade is still to be heard. */
  get fading(): boolean {
    return this.#tailDone < FADE_SAMPLES;
  }

  /** Goes on at `index`, copying bit for bit; `fadeIn` unless sound begins here as its author meant it. */
  seek(index: number, fadeIn: boolean): void {
    this.#stretch.seek(index);
    this.#resampling = false;
    this.#delay = 0;
    this.#risen = fadeIn ? 0 : FADE_SAMPLES;
  }

  /** Removes (positive) or repeats (negative) up to `excess` samples, a piece at a time; call once per tick. */
  stretch(excess: number, end: number, samples: number): void {
    this.#stretch.plan(this.#queue, excess, end, samples);
  }

  /** Plays `ppm` parts per million longer from here on, if {@link engage} said yes; 0 keeps the resampler. */
  setSpeed(ppm: number): void {
    if (this.#resampling) this.#resampler?.setPpm(ppm);
  }

  /** Lets the resampler in, for {@link setSpeed}. False if too little sound is there to fill its filter as yet. */
  engage(end: number): boolean {
    if (this.#resampling) return true;
    const index = this.#stretch.position;
    if (this.splicing || end - index < FADE_SAMPLES + 2 * PRIMING || index - this.#queue.first < PRIMING) {
      return false;
    }
    this.#resampler ??= new RateResampler();
    this.breakOff(end);
    this.seek(index - PRIMING, true);
    this.#resampler.reset();
    this.#resampling = true;
    // The first outputs stand before `index`, and have been heard.
    this.#produce(this.#scratch, 0, PRIMING, end);
    return true;
  }

  /** Returns to the bit-exact copy, at the nearest sample. */
  copy(end: number): void {
    if (!this.#resampling) return;
    const nearest = Math.round(this.position);
    this.breakOff(end);
    this.seek(nearest, true);
  }

  /**
   * Writes up to `count` samples to `out` from its sample `at` on; fewer where `end` is reached.
   *
   * @returns samples written.
   */
  read(out: Float32Array, at: number, count: number, end: number): number {
    const got = this.#produce(out, at, count, end);
    for (let i = 0; i < got && this.#risen < FADE_SAMPLES; i++, this.#risen++) {
      const gain = RISE[this.#risen] ?? 1;
      for (let c = 0; c < CHANNELS; c++) {
        const k = (at + i) * CHANNELS + c;
        out[k] = (out[k] ?? 0) * gain;
      }
    }
    return got;
  }

  /** The sound breaks off here: what would have come next fades out, added by {@link addTail}. Seek afterwards. */
  breakOff(end: number): void {
    const tail = this.#tail;
    const pending = this.fading ? tail.slice(this.#tailDone * CHANNELS) : undefined;
    // A sound that was itself still fading in goes on at the height it had reached.
    const height = this.#risen < FADE_SAMPLES ? (RISE[this.#risen] ?? 1) : 1;
    const real = this.#produce(tail, 0, FADE_SAMPLES, end);
    if (real < FADE_SAMPLES) this.#synthesize(real, end);
    for (let i = 0; i < FADE_SAMPLES; i++) {
      const gain = height * (1 - (RISE[i] ?? 1));
      for (let k = i * CHANNELS; k < (i + 1) * CHANNELS; k++) tail[k] = (tail[k] ?? 0) * gain;
    }
    if (pending !== undefined) for (const [k, value] of pending.entries()) tail[k] = (tail[k] ?? 0) + value;
    this.#tailDone = 0;
  }

  /** Adds the fading sound, as far as it goes, to the samples [from, to) of `out`. */
  addTail(out: Float32Array, from: number, to: number): void {
    const count = Math.min(FADE_SAMPLES - this.#tailDone, to - from);
    for (let i = 0, o = from * CHANNELS, t = this.#tailDone * CHANNELS; i < count * CHANNELS; i++, o++, t++) {
      out[o] = (out[o] ?? 0) + (this.#tail[t] ?? 0);
    }
    this.#tailDone += count;
  }

  [Symbol.dispose](): void {
    this.#resampler?.[Symbol.dispose]();
    this.#resampler = undefined;
    this.#resampling = false;
    this.#delay = 0;
  }

  #produce(out: Float32Array, at: number, count: number, end: number): number {
    const resampler = this.#resampler;
    if (!this.#resampling || resampler === undefined)
      return this.#stretch.take(this.#queue, out, at, count, end);
    let written = 0;
    while (written < count) {
      const spare = Math.max(0, Math.floor(this.#delay - FILTER_DELAY));
      const ask = Math.min(RESAMPLER_CHUNK, Math.max(1, count - written - spare));
      const fed = this.#stretch.take(this.#queue, resampler.input, 0, ask, end);
      const got = resampler.convert(fed, Math.min(RESAMPLER_CHUNK, count - written));
      out.set(resampler.output.subarray(0, got * CHANNELS), (at + written) * CHANNELS);
      written += got;
      this.#delay = resampler.delaySamples;
      if (fed === 0 && got === 0) break;
    }
    return written;
  }

  /** Fills the tail from sample `real` on with what might have followed `end`. */
  #synthesize(real: number, end: number): void {
    const scratch = this.#scratch;
    const known = Math.min(EXTRAPOLATION_HISTORY, end - this.#queue.first);
    const start = this.#queue.offset(end - known);
    scratch.set(this.#queue.values.subarray(start, start + known * CHANNELS));
    const count = FADE_SAMPLES + 2 * FILTER_DELAY;
    extrapolate(scratch, known, count);
    const synthetic = scratch.subarray(known * CHANNELS, (known + count) * CHANNELS);
    const missing = (FADE_SAMPLES - real) * CHANNELS;
    const at = real * CHANNELS;
    if (!this.#resampling || this.#resampler === undefined) {
      this.#tail.set(synthetic.subarray(0, missing), at);
      return;
    }
    this.#resampler.input.set(synthetic);
    const got = this.#resampler.convert(count, FADE_SAMPLES - real);
    this.#tail.fill(0, at).set(this.#resampler.output.subarray(0, got * CHANNELS), at);
  }
}
