import { CHANNELS, SAMPLE_RATE, TICK_SAMPLES } from "../../media/frame.ts";
import { toDb } from "./level-meter.ts";
import { channelPeakAfter, samplePeak, TRUE_PEAK_AHEAD, TRUE_PEAK_BEHIND } from "./true-peak.ts";

/** Energy is summed over this many samples: 100 ms, the hop of BS.1770 gating blocks. */
const STEP = SAMPLE_RATE / 10;
const MOMENTARY_STEPS = 4;
const SHORT_TERM_STEPS = 30;

/** Absolute gate of ITU-R BS.1770-4, in LUFS. */
const ABSOLUTE_GATE = -70;
const RELATIVE_GATE = -10;
/** Gating blocks are kept as a histogram, so that hours cost no more than seconds. */
const BINS_PER_LU = 20;
const BINS = 80 * BINS_PER_LU;

/** K-weighting at 48 kHz, ITU-R BS.1770-4 tables 1 and 2: a high shelf, then a high pass. */
const B0 = 1.53512485958697;
const B1 = -2.69169618940638;
const B2 = 1.19839281085285;
const A1 = -1.69065929318241;
const A2 = 0.73248077421585;
const HIGH_PASS_A1 = -1.99004745483398;
const HIGH_PASS_A2 = 0.99007225036621;

/**
 * Sound whose samples all stay this far below the greatest true peak so far is taken not to pass it: enough for any
 * tone up to a quarter of the sampling rate, with reserve, and it saves nearly all of the work.
 */
const HEADROOM = 1.5;
/** What is kept of the last block: one sample more than an estimate needs. */
const REACH = TRUE_PEAK_BEHIND + TRUE_PEAK_AHEAD + 1;

/** Mean square of K-weighted sound, summed over channels, to LUFS; -Infinity at silence. */
export const toLufs = (energy: number): number => -0.691 + 10 * Math.log10(energy);

/**
 * Loudness after ITU-R BS.1770-4 and EBU R128 (EBU Tech 3341): momentary (400 ms), short-term (3 s), integrated with
 * both gates, and the greatest true peak.
 *
 * Steps of 100 ms; windows that are not yet full count as silence where they are empty. Memory is fixed.
 */
export class LoudnessMeter {
  /** Filter memory: two values per channel and stage. */
  readonly #state = new Float64Array(4 * CHANNELS);
  readonly #steps = new Float64Array(SHORT_TERM_STEPS);
  readonly #counts = new Float64Array(BINS);
  readonly #energies = new Float64Array(BINS);
  readonly #recent = new Float32Array((REACH + TICK_SAMPLES) * CHANNELS);
  #step = 0;
  #seen = 0;
  #sum = 0;
  #truePeak = 0;
  #lastPeak = 0;
  #silent = true;

  /**
   * Takes interleaved sound, at most one tick. Allocates nothing.
   *
   * @param peak greatest absolute sample of `pcm`, if it is known already.
   */
  push(pcm: Float32Array, peak: number = samplePeak(pcm, 0, pcm.length)): void {
    this.#silent = false;
    this.#measurePeak(pcm, peak);
    for (let at = 0; at < pcm.length; ) {
      const to = Math.min(pcm.length, at + (STEP - this.#seen) * CHANNELS);
      this.#sum += this.#weigh(pcm, at, to);
      this.#advance((to - at) / CHANNELS);
      at = to;
    }
  }

  /** Takes `samples` of silence per channel; costs next to nothing. */
  pushSilence(samples: number): void {
    if (!this.#silent) {
      this.#state.fill(0);
      this.#recent.fill(0);
      this.#silent = true;
    }
    for (let left = samples; left > 0; ) {
      const part = Math.min(left, STEP - this.#seen);
      this.#advance(part);
      left -= part;
    }
  }

  /** Over the last 400 ms, in LUFS; -Infinity at silence. */
  get momentary(): number {
    return toLufs(this.#mean(MOMENTARY_STEPS));
  }

  /** Over the last 3 s, in LUFS; -Infinity at silence. */
  get shortTerm(): number {
    return toLufs(this.#mean(SHORT_TERM_STEPS));
  }

  /** Over everything that passed both gates, in LUFS; -Infinity if nothing did. */
  get integrated(): number {
    const ungated = this.#meanFrom(0);
    if (ungated === 0) return Number.NEGATIVE_INFINITY;
    return toLufs(this.#meanFrom(binOf(toLufs(ungated) + RELATIVE_GATE)));
  }

  /** Greatest so far, in dBTP; -127 at the least. */
  get truePeakDb(): number {
    return toDb(this.#truePeak);
  }

  /** Steps of 100 ms so far; changes when a new {@link momentary} is there. */
  get steps(): number {
    return this.#step;
  }

  /** Filters [from, to) and returns the sum of squares over both channels. */
  #weigh(pcm: Float32Array, from: number, to: number): number {
    const state = this.#state;
    let [l1 = 0, l2 = 0, l3 = 0, l4 = 0, r1 = 0, r2 = 0, r3 = 0, r4 = 0] = state;
    let sum = 0;
    // Each filter waits for its own last result; with both sides in one loop, neither waits alone.
    for (let i = from; i < to; i += CHANNELS) {
      const left = pcm[i] ?? 0;
      const right = pcm[i + 1] ?? 0;
      const shelvedLeft = B0 * left + l1;
      const shelvedRight = B0 * right + r1;
      l1 = B1 * left - A1 * shelvedLeft + l2;
      r1 = B1 * right - A1 * shelvedRight + r2;
      l2 = B2 * left - A2 * shelvedLeft;
      r2 = B2 * right - A2 * shelvedRight;
      const weighedLeft = shelvedLeft + l3;
      const weighedRight = shelvedRight + r3;
      l3 = -2 * shelvedLeft - HIGH_PASS_A1 * weighedLeft + l4;
      r3 = -2 * shelvedRight - HIGH_PASS_A1 * weighedRight + r4;
      l4 = shelvedLeft - HIGH_PASS_A2 * weighedLeft;
      r4 = shelvedRight - HIGH_PASS_A2 * weighedRight;
      sum += weighedLeft * weighedLeft + weighedRight * weighedRight;
    }
    // Denormal numbers are slow; a decayed filter holds nothing else.
    state.set([
      settle(l1),
      settle(l2),
      settle(l3),
      settle(l4),
      settle(r1),
      settle(r2),
      settle(r3),
      settle(r4),
    ]);
    return sum;
  }

  #advance(samples: number): void {
    this.#seen += samples;
    if (this.#seen < STEP) return;
    this.#steps[this.#step % SHORT_TERM_STEPS] = this.#sum / STEP;
    this.#step += 1;
    this.#seen = 0;
    this.#sum = 0;
    if (this.#step >= MOMENTARY_STEPS) this.#gate(this.#mean(MOMENTARY_STEPS));
  }

  #gate(energy: number): void {
    const loudness = toLufs(energy);
    if (!(loudness >= ABSOLUTE_GATE)) return;
    const bin = binOf(loudness);
    this.#counts[bin] = (this.#counts[bin] ?? 0) + 1;
    this.#energies[bin] = (this.#energies[bin] ?? 0) + energy;
  }

  #mean(steps: number): number {
    let sum = 0;
    for (let i = 1; i <= Math.min(steps, this.#step); i++)
      sum += this.#steps[(this.#step - i) % SHORT_TERM_STEPS] ?? 0;
    return sum / steps;
  }

  #meanFrom(first: number): number {
    let [count, energy] = [0, 0];
    for (let bin = first; bin < BINS; bin++) {
      count += this.#counts[bin] ?? 0;
      energy += this.#energies[bin] ?? 0;
    }
    return count === 0 ? 0 : energy / count;
  }

  #measurePeak(pcm: Float32Array, peak: number): void {
    const recent = this.#recent;
    recent.set(pcm, REACH * CHANNELS);
    const reach = Math.max(peak, this.#lastPeak);
    this.#lastPeak = peak;
    if (reach * HEADROOM > this.#truePeak) this.#searchPeak(pcm.length / CHANNELS);
    recent.copyWithin(0, pcm.length, pcm.length + REACH * CHANNELS);
  }

  /** Looks on both sides of each sample that is greater than its neighbours: there the peaks between samples are. */
  #searchPeak(count: number): void {
    const recent = this.#recent;
    const start = (TRUE_PEAK_BEHIND + 1) * CHANNELS;
    for (let i = start; i < start + count * CHANNELS; i++) {
      const here = Math.abs(recent[i] ?? 0);
      if (here * HEADROOM <= this.#truePeak) continue;
      if (here < Math.abs(recent[i - CHANNELS] ?? 0) || here < Math.abs(recent[i + CHANNELS] ?? 0)) continue;
      const peak = Math.max(channelPeakAfter(recent, i - CHANNELS), channelPeakAfter(recent, i));
      if (peak > this.#truePeak) this.#truePeak = peak;
    }
  }
}

const settle = (value: number): number => (Math.abs(value) < 1e-20 ? 0 : value);

const binOf = (lufs: number): number =>
  Math.max(0, Math.min(BINS - 1, Math.floor((lufs - ABSOLUTE_GATE) * BINS_PER_LU)));
