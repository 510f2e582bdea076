import { us } from "../../../src/core/time.ts";
import type { AudioBlock } from "../../../src/media/frame.ts";

/** A stereo sine, left and right alike, `amplitude` at `hz`; phase continues from sample `from`. */
export function tone(samples: number, hz = 1000, amplitude = 0.5, from = 0): Float32Array {
  const out = new Float32Array(samples * 2);
  for (let i = 0; i < samples; i++) {
    out[2 * i] = amplitude * Math.sin((2 * Math.PI * hz * (from + i)) / 48_000);
    out[2 * i + 1] = out[2 * i] ?? 0;
  }
  return out;
}

/** Deterministic white noise in [-amplitude, amplitude], channels apart. */
export function noise(samples: number, amplitude = 0.5, seed = 1): Float32Array {
  const random = generator(seed);
  return Float32Array.from({ length: samples * 2 }, () => amplitude * (2 * random() - 1));
}

/** Noise without what lies near half the rate, as everything that was ever through a codec. */
export function softNoise(samples: number, amplitude = 0.5, seed = 1): Float32Array {
  const white = noise(samples, amplitude, seed);
  return white.map((x, i) => 0.25 * (white[i - 4] ?? 0) + 0.5 * (white[i - 2] ?? 0) + 0.25 * x);
}

/** Numbers in [0, 1) that depend on `seed` alone. */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Samples [from, to) of interleaved stereo as a block; stamp defaults to the sample's own time. */
export function block(
  pcm: Float32Array,
  from: number,
  to: number,
  options: { readonly ptsUs?: number; readonly discontinuity?: boolean } = {},
): AudioBlock {
  const ptsUs = us(options.ptsUs ?? (from * 1e6) / 48_000);
  return {
    ptsUs,
    samples: pcm.slice(from * 2, to * 2),
    arrivalUs: ptsUs,
    discontinuity: options.discontinuity ?? false,
  };
}

/** Left channel of interleaved stereo. */
export const left = (pcm: Float32Array): Float32Array => pcm.filter((_, i) => i % 2 === 0);

/** Greatest second difference of one channel in [from, to): what a click raises. */
export function roughness(mono: Float32Array, from = 0, to = mono.length): number {
  let most = 0;
  for (let i = Math.max(2, from); i < to; i++) {
    most = Math.max(most, Math.abs((mono[i] ?? 0) - 2 * (mono[i - 1] ?? 0) + (mono[i - 2] ?? 0)));
  }
  return most;
}

/** Greatest absolute difference of two arrays of equal length. */
export function difference(a: Float32Array, b: Float32Array): number {
  let most = a.length === b.length ? 0 : Number.POSITIVE_INFINITY;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs((a[i] ?? 0) - (b[i] ?? 0)));
  return most;
}

/**
 * How pure a tone is, in dB: energy of the best-fitting sine near `hz` over the rest. The frequency is fitted too,
 * because a corrected clock shifts it.
 */
export function toneSnrDb(mono: Float32Array, hz: number, from: number, to: number): number {
  let [low, high] = [hz - 4, hz + 4];
  // The rest is a smooth valley around the true frequency.
  for (let i = 0; i < 40; i++) {
    const [a, b] = [low + (high - low) / 3, high - (high - low) / 3];
    if (residual(mono, a, from, to) < residual(mono, b, from, to)) high = b;
    else low = a;
  }
  let energy = 0;
  for (let i = from; i < to; i++) energy += (mono[i] ?? 0) ** 2;
  return 10 * Math.log10(energy / residual(mono, (low + high) / 2, from, to));
}

/** Energy left when the best sine of exactly `hz` is taken away, by least squares. */
function residual(mono: Float32Array, hz: number, from: number, to: number): number {
  let [cc, ss, cs, xc, xs, xx] = [0, 0, 0, 0, 0, 0];
  const step = (2 * Math.PI * hz) / 48_000;
  for (let i = from; i < to; i++) {
    const c = Math.cos(step * (i - from));
    const s = Math.sin(step * (i - from));
    const x = mono[i] ?? 0;
    cc += c * c;
    ss += s * s;
    cs += c * s;
    xc += x * c;
    xs += x * s;
    xx += x * x;
  }
  const determinant = cc * ss - cs * cs;
  const a = (xc * ss - xs * cs) / determinant;
  const b = (xs * cc - xc * cs) / determinant;
  return Math.max(1e-12, xx - a * xc - b * xs);
}
