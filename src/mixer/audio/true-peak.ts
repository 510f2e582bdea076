import { CHANNELS } from "../../media/frame.ts";

/** Taps per phase: flat within 0.1 dB to 20 kHz, where the 12 of BS.1770 are to 18 kHz. */
const TAPS = 16;
/** Of the Kaiser window. */
const BETA = 4;
/** Samples that must be known after sample i for {@link peakAfter}. */
export const TRUE_PEAK_AHEAD: number = TAPS / 2;
/** Samples that must be known before sample i for {@link peakAfter}. */
export const TRUE_PEAK_BEHIND: number = TAPS / 2 - 1;

/** The rows for a quarter and three quarters mirror each other: half their sum, half their difference, and a half's. */
const { even: EVEN, odd: ODD, middle: MIDDLE, bound } = interpolator();
/** No interpolated value is greater than the greatest sample times this. */
export const TRUE_PEAK_BOUND: number = bound;

/**
 * The greatest level at sample `index` and between it and the next, by four times oversampling as in ITU-R BS.1770-4
 * annex 2: what a converter would make of it, which may lie above every sample.
 *
 * @param values interleaved; `index` in samples per channel, with {@link TRUE_PEAK_BEHIND} before and
 *   {@link TRUE_PEAK_AHEAD} after it.
 */
export function peakAfter(values: Float32Array, index: number): number {
  const at = index * CHANNELS;
  return Math.max(channelPeakAfter(values, at), channelPeakAfter(values, at + 1));
}

/** {@link peakAfter} for one channel; `at` is the position in the interleaved values. */
export function channelPeakAfter(values: Float32Array, at: number): number {
  let [even, odd, middle] = [0, 0, 0];
  let before = at - TRUE_PEAK_BEHIND * CHANNELS;
  let after = at + TRUE_PEAK_AHEAD * CHANNELS;
  for (let t = 0; t < TAPS / 2; t++, before += CHANNELS, after -= CHANNELS) {
    const a = values[before] ?? 0;
    const b = values[after] ?? 0;
    even += (EVEN[t] ?? 0) * (a + b);
    odd += (ODD[t] ?? 0) * (a - b);
    middle += (MIDDLE[t] ?? 0) * (a + b);
  }
  return Math.max(Math.abs(values[at] ?? 0), Math.abs(even) + Math.abs(odd), Math.abs(middle));
}

/** Greatest absolute sample in interleaved values from `from` to before `to`. */
export function samplePeak(values: Float32Array, from: number, to: number): number {
  let peak = 0;
  for (let i = from; i < to; i++) {
    const level = Math.abs(values[i] ?? 0);
    if (level > peak) peak = level;
  }
  return peak;
}

/** Windowed sinc for the three points between two samples; each passes direct current as it is. */
function interpolator(): {
  readonly even: Float64Array;
  readonly odd: Float64Array;
  readonly middle: Float64Array;
  readonly bound: number;
} {
  const [quarter, half] = [row(1 / 4), row(1 / 2)];
  const side = quarter.slice(0, TAPS / 2);
  const bound = Math.max(...[quarter, half].map((taps) => taps.reduce((sum, tap) => sum + Math.abs(tap), 0)));
  return {
    even: side.map((tap, t) => (tap + (quarter[TAPS - 1 - t] ?? 0)) / 2),
    odd: side.map((tap, t) => (tap - (quarter[TAPS - 1 - t] ?? 0)) / 2),
    middle: half.slice(0, TAPS / 2),
    bound,
  };
}

/** Taps that give the value `fraction` of the way from one sample to the next. */
function row(fraction: number): Float64Array {
  const taps = Float64Array.from({ length: TAPS }, (_, t) => {
    const x = t - TRUE_PEAK_BEHIND - fraction;
    return (Math.sin(Math.PI * x) / (Math.PI * x)) * kaiser((2 * x) / (TAPS + 1));
  });
  const total = taps.reduce((sum, tap) => sum + tap, 0);
  return taps.map((tap) => tap / total);
}

function kaiser(x: number): number {
  return bessel(BETA * Math.sqrt(Math.max(0, 1 - x * x))) / bessel(BETA);
}

/** Modified Bessel function of the first kind and order 0. */
function bessel(x: number): number {
  let [sum, term] = [1, 1];
  for (let k = 1; k < 40; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}
