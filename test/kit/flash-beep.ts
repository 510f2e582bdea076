import type { Rect } from "./counter.ts";
import { type DecodeOptions, decodeGray, decodePcm, type Pcm } from "./decode.ts";
import { FLASH } from "./media.ts";

/** How far sound and picture are apart in flash-and-beep media that went through something. */
export interface SyncJudgement {
  /** Flash minus beep for each pair, in milliseconds. Positive: the sound comes before its picture. */
  readonly offsetsMs: readonly number[];
  readonly meanMs: number;
  /** Standard deviation. */
  readonly sdMs: number;
  readonly flashesS: readonly number[];
  readonly beepsS: readonly number[];
}

/**
 * Decodes media that shows {@link flashBeep} and measures its lip sync.
 *
 * Sound and picture are paired by the nearest onset, so offsets up to half a period are told apart.
 * @param at where the flashing picture lies in the decoded one; without it the whole picture counts.
 * @throws if there is no pair at all.
 */
export async function judgeSync(
  input: string,
  at?: Rect,
  options: DecodeOptions = {},
): Promise<SyncJudgement> {
  const flashesS = await findFlashes(input, at, options);
  const beepsS = findBeeps(await decodePcm(input, { ...options, channels: 1 }));
  const offsetsMs = flashesS.flatMap((flashS) => {
    const offsets = beepsS.map((beepS) => (flashS - beepS) * 1000);
    const nearest = offsets.reduce(
      (best, one) => (Math.abs(one) < Math.abs(best) ? one : best),
      Number.POSITIVE_INFINITY,
    );
    return Math.abs(nearest) < FLASH.periodMs / 2 ? [nearest] : [];
  });
  if (offsetsMs.length === 0)
    throw new Error(`no flash with a beep: ${flashesS.length} flashes, ${beepsS.length} beeps`);
  const meanMs = offsetsMs.reduce((sum, one) => sum + one, 0) / offsetsMs.length;
  const variance = offsetsMs.reduce((sum, one) => sum + (one - meanMs) ** 2, 0) / offsetsMs.length;
  return { offsetsMs, meanMs, sdMs: Math.sqrt(variance), flashesS, beepsS };
}

/** Stamps of the first bright picture of each flash. A flash that already shines in the first picture is left out. */
export async function findFlashes(input: string, at?: Rect, options: DecodeOptions = {}): Promise<number[]> {
  const crop = at ? `crop=${at.width}:${at.height}:${at.x}:${at.y}:exact=1,` : "";
  const decoded = decodeGray(
    input,
    { width: 8, height: 8 },
    `format=gray,${crop}scale=8:8:flags=area`,
    options,
  );
  const lumas: number[] = [];
  for await (const picture of decoded.pictures) {
    lumas.push(picture.reduce((sum, one) => sum + one, 0) / picture.length);
  }
  const middle =
    (lumas.reduce((a, b) => Math.max(a, b), 0) + lumas.reduce((a, b) => Math.min(a, b), 255)) / 2;
  return lumas.flatMap((luma, n) => {
    const before = lumas[n - 1];
    return before !== undefined && before < middle && luma >= middle ? [decoded.ptsS[n] ?? Number.NaN] : [];
  });
}

/**
 * Times at which beeps start: where the strength of the beep's frequency in a window of 6 ms around an instant
 * passes half of its full strength, which is exactly where half of the window is filled.
 */
export function findBeeps({ samples, sampleRate, blocks }: Pcm): number[] {
  const strength = bandStrength(samples, sampleRate);
  const full = strength.reduce((most, one) => Math.max(most, one), 0);
  if (full < 0.01) return [];
  const onsets: number[] = [];
  let last = Number.NEGATIVE_INFINITY;
  for (let n = 1; n < strength.length; n++) {
    const passes = (strength[n - 1] ?? 0) < full / 2 && (strength[n] ?? 0) >= full / 2;
    // Coding noise around the threshold may pass it again within the same beep.
    if (passes && n - last > (FLASH.lengthMs / 1000) * sampleRate) {
      onsets.push(timeOf(n, sampleRate, blocks));
      last = n;
    }
  }
  return onsets;
}

/** The amplitude of the beep's frequency around each sample: a sliding sum of the samples times its phasor. */
function bandStrength(samples: Float32Array, sampleRate: number): Float32Array {
  const half = Math.round(0.003 * sampleRate);
  const step = (2 * Math.PI * FLASH.beepHz) / sampleRate;
  const real = new Float64Array(samples.length + 1);
  const imaginary = new Float64Array(samples.length + 1);
  for (let n = 0; n < samples.length; n++) {
    real[n + 1] = (real[n] ?? 0) + (samples[n] ?? 0) * Math.cos(step * n);
    imaginary[n + 1] = (imaginary[n] ?? 0) + (samples[n] ?? 0) * Math.sin(step * n);
  }
  return Float32Array.from(samples, (_, n) => {
    const from = Math.max(0, n - half);
    const to = Math.min(samples.length, n + half);
    return (
      Math.hypot((real[to] ?? 0) - (real[from] ?? 0), (imaginary[to] ?? 0) - (imaginary[from] ?? 0)) / half
    );
  });
}

/** The time of a sample, by the stamp of the block it is in: gaps between blocks count. */
function timeOf(sample: number, sampleRate: number, blocks: Pcm["blocks"]): number {
  const block = blocks.findLast(({ atSample }) => atSample <= sample);
  return block ? block.ptsS + (sample - block.atSample) / sampleRate : sample / sampleRate;
}
