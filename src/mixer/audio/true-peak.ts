import { CHANNELS } from "../../media/frame.ts";

const PHASES = 4;
/** Taps per phase; the estimate between samples i and i+1 reads from i-5 to i+6. */
const TAPS = 12;
/** Samples that must be known after sample i for {@link peakAfter}. */
export const TRUE_PEAK_AHEAD: number = TAPS / 2;
/** Samples that must be known before sample i for {@link peakAfter}. */
export const TRUE_PEAK_BEHIND: number = TAPS / 2 - 1;

const COEFFICIENTS = interpolator();
/** No interpolated value is greater than the greatest sample times this. */
export const TRUE_PEAK_BOUND: number = greatestGain();

/**
 * The greatest level at sample `index` and between it and the next, by four times oversampling as in ITU-R BS.1770-4
 * annex 2: what a converter would make of it, which may lie above every sample.
 *
 * @param values interleaved; `index` in samples per channel, with {@link TRUE_PEAK_BEHIND} before and
 *   {@link TRUE_PEAK_AHEAD} after it.
 */
export function peakAfter(values: Float32Array, index: number): number {
  let peak = 0;
  for (let c = 0; c < CHANNELS; c++) {
    const at = index * CHANNELS + c;
    peak = Math.max(peak, Math.abs(values[at] ?? 0));
    const start = at - TRUE_PEAK_BEHIND * CHANNELS;
    for (let k = 0; k < (PHASES - 1) * TAPS; k += TAPS) {
      let sum = 0;
      for (let t = 0; t < TAPS; t++) sum += (COEFFICIENTS[k + t] ?? 0) * (values[start + t * CHANNELS] ?? 0);
      peak = Math.max(peak, Math.abs(sum));
    }
  }
  return peak;
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

/** Windowed sinc for the three points between two samples, one row each; each row passes direct current as it is. */
function interpolator(): Float64Array {
  const rows = new Float64Array((PHASES - 1) * TAPS);
  for (let phase = 1; phase < PHASES; phase++) {
    const row = rows.subarray((phase - 1) * TAPS, phase * TAPS);
    for (let t = 0; t < TAPS; t++) {
      const x = t - TRUE_PEAK_BEHIND - phase / PHASES;
      const window = Math.cos((Math.PI * x) / (TAPS + 1)) ** 2;
      row[t] = (Math.sin(Math.PI * x) / (Math.PI * x)) * window;
    }
    const total = row.reduce((sum, value) => sum + value, 0);
    for (let t = 0; t < TAPS; t++) row[t] = (row[t] ?? 0) / total;
  }
  return rows;
}

function greatestGain(): number {
  let greatest = 1;
  for (let k = 0; k < COEFFICIENTS.length; k += TAPS) {
    const row = COEFFICIENTS.subarray(k, k + TAPS);
    greatest = Math.max(
      greatest,
      row.reduce((sum, value) => sum + Math.abs(value), 0),
    );
  }
  return greatest;
}
