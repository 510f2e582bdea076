import { expect, test } from "vitest";
import { type MemorySample, memorySlope } from "./memory.ts";

/** Ten minutes at one sample a second: `bytesAt` in bytes, with a sawtooth of 20 MB as a garbage collector makes. */
const samples = (bytesAt: (minute: number) => number): MemorySample[] =>
  Array.from({ length: 600 }, (_, second) => ({
    atMs: second * 1000,
    bytes: 200e6 + bytesAt(second / 60) + (second % 20) * 1e6,
  }));

test("sees a leak of 1 MB a minute under a collector's sawtooth", () => {
  expect(memorySlope(samples((minute) => minute * 1e6))).toBeCloseTo(1, 0);
});

test("sees none where there is none", () => {
  expect(Math.abs(memorySlope(samples(() => 0)))).toBeLessThan(0.1);
});

test("leaves the warm-up out", () => {
  const warming = samples((minute) => Math.min(minute, 2) * 100e6);
  expect(memorySlope(warming)).toBeGreaterThan(5);
  expect(Math.abs(memorySlope(warming, 120_000))).toBeLessThan(0.2);
});

test("refuses to judge by a handful of samples", () => {
  expect(() => memorySlope(samples(() => 0).slice(0, 9))).toThrow(/too few/);
});
