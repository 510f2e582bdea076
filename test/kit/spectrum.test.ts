import { expect, test } from "vitest";
import { channelOf, fft, levelDb, peakDb, spectrumPeaks, toneLevelDb } from "./spectrum.ts";

const sine = (hz: number, amplitude: number, count = 48_000) =>
  Float32Array.from({ length: count }, (_, n) => amplitude * Math.sin((2 * Math.PI * hz * n) / 48_000));
const sum = (a: Float32Array, b: Float32Array) => a.map((sample, n) => sample + (b[n] ?? 0));

test("levels are those of the textbook", () => {
  expect(levelDb(sine(1000, 1))).toBeCloseTo(-3.01, 2);
  expect(levelDb(new Float32Array(100).fill(1))).toBeCloseTo(0, 5);
  expect(levelDb(new Float32Array(100))).toBe(Number.NEGATIVE_INFINITY);
  expect(peakDb(sine(1000, 0.5))).toBeCloseTo(-6.02, 1);
});

test("tells two tones apart, the louder first, with their levels", () => {
  const both = sum(sine(1000, 0.5), sine(3000, 0.05));
  const [first, second] = spectrumPeaks(both, { count: 2 });
  expect(first?.hz).toBeCloseTo(1000, -1);
  expect(second?.hz).toBeCloseTo(3000, -1);
  expect(toneLevelDb(both, 1000)).toBeCloseTo(-9.03, 1);
  expect(toneLevelDb(both, 3000)).toBeCloseTo(-29.03, 1);
  expect(toneLevelDb(both, 2000)).toBeLessThan(-100);
});

test("the transform agrees with its definition", () => {
  const input = Float64Array.from({ length: 16 }, (_, n) => Math.sin(n * n));
  const [real, imaginary] = [input.slice(), new Float64Array(16)];
  fft(real, imaginary);
  for (let bin = 0; bin < 16; bin++) {
    const want = input.reduce((total, value, n) => total + value * Math.cos((2 * Math.PI * bin * n) / 16), 0);
    expect(real[bin]).toBeCloseTo(want, 9);
  }
});

test("takes one channel out of interleaved samples", () => {
  expect([...channelOf(Float32Array.of(1, 2, 3, 4, 5, 6), 1, 2)]).toEqual([2, 4, 6]);
});
