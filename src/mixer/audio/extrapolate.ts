import { CHANNELS } from "../../media/frame.ts";

/** History that {@link extrapolate} looks at, in samples per channel: 20 ms. */
export const EXTRAPOLATION_HISTORY = 960;

const MATCH = 240;
const MIN_LAG = 120;
const MAX_LAG = 720;
/** How fast the step between the true end and the repeated period is smoothed away, per sample. */
const SEAM_DECAY = Math.exp(-1 / 24);

/**
 * Continues a waveform in place, by repeating its last pitch period: what is heard, fading, where sound breaks off.
 *
 * @param values interleaved; holds `known` samples per channel, and room for `count` more.
 */
export function extrapolate(values: Float32Array, known: number, count: number): void {
  const lag = bestLag(values, known);
  const end = known * CHANNELS;
  const back = lag * CHANNELS;
  let left = lag === 0 ? (values[end - 2] ?? 0) : (values[end - 2] ?? 0) - (values[end - 2 - back] ?? 0);
  let right = lag === 0 ? (values[end - 1] ?? 0) : (values[end - 1] ?? 0) - (values[end - 1 - back] ?? 0);
  for (let i = end; i < end + count * CHANNELS; i += CHANNELS) {
    left *= SEAM_DECAY;
    right *= SEAM_DECAY;
    // Repeats of repeats carry the seam already, so only the first period adds it.
    const seam = i - back < end ? 1 : 0;
    values[i] = (lag === 0 ? 0 : (values[i - back] ?? 0)) + left * (lag === 0 ? 1 : seam);
    values[i + 1] = (lag === 0 ? 0 : (values[i + 1 - back] ?? 0)) + right * (lag === 0 ? 1 : seam);
  }
}

/** The lag at which the last 5 ms look most like what came before; 0 if there is too little to tell. */
function bestLag(values: Float32Array, known: number): number {
  const highest = Math.min(MAX_LAG, known - MATCH);
  let [best, bestScore] = [0, Number.NEGATIVE_INFINITY];
  for (let lag = MIN_LAG; lag <= highest; lag++) {
    let [dot, energy] = [0, 1e-9];
    for (let i = (known - MATCH) * CHANNELS; i < known * CHANNELS; i += 2 * CHANNELS) {
      const other = (values[i - lag * CHANNELS] ?? 0) + (values[i + 1 - lag * CHANNELS] ?? 0);
      dot += ((values[i] ?? 0) + (values[i + 1] ?? 0)) * other;
      energy += other * other;
    }
    const score = dot / Math.sqrt(energy);
    if (score > bestScore) [best, bestScore] = [lag, score];
  }
  return best;
}
