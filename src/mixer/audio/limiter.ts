import { assert } from "../../core/error.ts";
import { CHANNELS, SAMPLE_RATE, TICK_SAMPLES } from "../../media/frame.ts";
import { peakAfter, samplePeak, TRUE_PEAK_AHEAD, TRUE_PEAK_BEHIND, TRUE_PEAK_BOUND } from "./true-peak.ts";

/** How far the output of a {@link Limiter} lags behind its input, in samples per channel: 3 ms. */
export const LIMITER_DELAY_SAMPLES = 144;

/** -1 dBTP, less 0.1 dB for what four times oversampling does not see. */
const CEILING = 10 ** (-1.1 / 20);
/** Gain is averaged twice over this many samples: together, as long as the look-ahead leaves after the peak estimate. */
const BOX = 66;
/** A peak holds the gain down until both samples beside it are out. */
const HOLD = LIMITER_DELAY_SAMPLES - TRUE_PEAK_AHEAD + 4;
/** After this many samples that ask for nothing, nothing is left of what was asked for before. */
const IDLE = HOLD + 2 * BOX;
const RELEASE = 1 - Math.exp(-1 / (0.08 * SAMPLE_RATE));
/** Peaks are looked for in pieces of this many samples, so that quiet sound costs little. */
const PIECE = 24;

/**
 * Keeps the true peak (ITU-R BS.1770-4 annex 2) of a stereo sum at or below -1 dBTP.
 *
 * Invariants: output lags by {@link LIMITER_DELAY_SAMPLES}, always, limiting or not; while nothing within reach
 * passes the ceiling the output is the input bit for bit (rounded to float); gain moves along a 3 ms curve down and
 * an 80 ms exponential up, the same on both channels, so the picture of the stage stands still.
 */
export class Limiter {
  /** Interleaved: the past that the output lags behind, then the present. */
  readonly #line = new Float32Array((LIMITER_DELAY_SAMPLES + TICK_SAMPLES) * CHANNELS);
  readonly #wanted = new Float64Array(TICK_SAMPLES);
  /** Sliding minimum over {@link HOLD}: gains and their sample numbers, rising from head to tail. */
  readonly #minGains = new Float64Array(HOLD + 1);
  readonly #minTimes = new Float64Array(HOLD + 1);
  readonly #first = new Float64Array(BOX).fill(1);
  readonly #second = new Float64Array(BOX).fill(1);
  #head = 0;
  #tail = 0;
  #time = 0;
  #boxAt = 0;
  #firstSum = BOX;
  #secondSum = BOX;
  #envelope = 1;
  /** Samples since the gain was last asked, or on its way, below 1. */
  #idle = IDLE;

  /** Gain at the last output sample, 1 if it does nothing. */
  get gain(): number {
    return this.#secondSum / BOX;
  }

  /** `output` gets what went in {@link LIMITER_DELAY_SAMPLES} ago, limited. Equal length, at most one tick. */
  process(input: Float64Array, output: Float32Array): void {
    assert(
      input.length === output.length && input.length <= TICK_SAMPLES * CHANNELS,
      "a limiter takes a tick at most",
    );
    const line = this.#line;
    const past = LIMITER_DELAY_SAMPLES * CHANNELS;
    line.set(input, past);
    const count = input.length / CHANNELS;
    const quiet = this.#look(count);
    if (quiet && this.#idle >= IDLE) output.set(line.subarray(0, input.length));
    else this.#reduce(output, count);
    line.copyWithin(0, input.length, input.length + past);
  }

  /** Becomes the same as `other`, so that both go on alike: for a sum that was, until now, the other's sum. */
  copy(other: Limiter): void {
    this.#line.set(other.#line);
    this.#minGains.set(other.#minGains);
    this.#minTimes.set(other.#minTimes);
    this.#first.set(other.#first);
    this.#second.set(other.#second);
    this.#head = other.#head;
    this.#tail = other.#tail;
    this.#time = other.#time;
    this.#boxAt = other.#boxAt;
    this.#firstSum = other.#firstSum;
    this.#secondSum = other.#secondSum;
    this.#envelope = other.#envelope;
    this.#idle = other.#idle;
  }

  /** Notes the gain that each of `count` new samples allows; true if that is 1 throughout. */
  #look(count: number): boolean {
    const line = this.#line;
    const start = LIMITER_DELAY_SAMPLES - TRUE_PEAK_AHEAD - TRUE_PEAK_BEHIND;
    if (
      samplePeak(line, start * CHANNELS, (LIMITER_DELAY_SAMPLES + count) * CHANNELS) * TRUE_PEAK_BOUND <=
      CEILING
    ) {
      this.#wanted.fill(1, 0, count);
      return true;
    }
    let quiet = true;
    for (let at = 0; at < count; at += PIECE) {
      const size = Math.min(PIECE, count - at);
      const from = LIMITER_DELAY_SAMPLES + at - TRUE_PEAK_AHEAD;
      const reach = samplePeak(
        line,
        (from - TRUE_PEAK_BEHIND) * CHANNELS,
        (from + size + TRUE_PEAK_AHEAD) * CHANNELS,
      );
      if (reach * TRUE_PEAK_BOUND <= CEILING) {
        this.#wanted.fill(1, at, at + size);
        continue;
      }
      for (let i = 0; i < size; i++) {
        const peak = peakAfter(line, from + i);
        this.#wanted[at + i] = peak > CEILING ? CEILING / peak : 1;
        if (peak > CEILING) quiet = false;
      }
    }
    return quiet;
  }

  #reduce(output: Float32Array, count: number): void {
    const line = this.#line;
    for (let i = 0; i < count; i++) {
      const gain = this.#step(this.#wanted[i] ?? 1);
      output[i * CHANNELS] = (line[i * CHANNELS] ?? 0) * gain;
      output[i * CHANNELS + 1] = (line[i * CHANNELS + 1] ?? 0) * gain;
    }
  }

  /** Advances by one sample that allows `wanted`; returns the gain for the sample that comes out now. */
  #step(wanted: number): number {
    const lowest = this.#slideMinimum(wanted);
    const risen = this.#envelope + (lowest - this.#envelope) * RELEASE;
    // An exponential never arrives; it ends where nobody could tell.
    const envelope = lowest < this.#envelope ? lowest : risen > 1 - 1e-6 ? 1 : risen;
    this.#envelope = envelope;
    this.#idle = envelope === 1 && wanted === 1 ? this.#idle + 1 : 0;
    return this.#smooth(envelope);
  }

  /** Two running means in a row: the gain bends gently at both ends, and has arrived when the peak comes out. */
  #smooth(envelope: number): number {
    const at = this.#boxAt;
    this.#firstSum += envelope - (this.#first[at] ?? 1);
    this.#first[at] = envelope;
    // Sums of fractions leave a rest; once all are 1 again, so is their mean.
    if (this.#idle >= BOX) this.#firstSum = BOX;
    const mean = this.#firstSum / BOX;
    this.#secondSum += mean - (this.#second[at] ?? 1);
    this.#second[at] = mean;
    if (this.#idle >= 2 * BOX) this.#secondSum = BOX;
    this.#boxAt = at + 1 === BOX ? 0 : at + 1;
    return this.#secondSum / BOX;
  }

  #slideMinimum(wanted: number): number {
    const [gains, times, size] = [this.#minGains, this.#minTimes, HOLD + 1];
    let tail = this.#tail;
    while (tail !== this.#head) {
      const last = tail === 0 ? size - 1 : tail - 1;
      if ((gains[last] ?? 0) < wanted) break;
      tail = last;
    }
    gains[tail] = wanted;
    times[tail] = this.#time;
    this.#tail = tail + 1 === size ? 0 : tail + 1;
    if ((times[this.#head] ?? 0) <= this.#time - HOLD)
      this.#head = this.#head + 1 === size ? 0 : this.#head + 1;
    this.#time += 1;
    return gains[this.#head] ?? 1;
  }
}
