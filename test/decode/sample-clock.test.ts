import { describe, expect, test } from "vitest";
import { us } from "../../src/core/time.ts";
import { type Placed, SampleClock } from "../../src/decode/sample-clock.ts";

const BLOCK = 1024;
const BLOCK_US = (BLOCK * 1e6) / 48_000;

/** Places `count` blocks whose stamps are off by `error(index)` microseconds. */
function run(
  count: number,
  error: (index: number) => number,
  clock: SampleClock = new SampleClock(),
): Placed[] {
  return Array.from({ length: count }, (_, index) => {
    const placed = clock.place(BLOCK, us(index * BLOCK_US + error(index)));
    if (placed === undefined) throw new Error("a block with a stamp has a place");
    return placed;
  });
}

const errorUs = (placed: readonly Placed[], index: number): number =>
  (placed[index]?.ptsUs ?? 0) - index * BLOCK_US;

describe("the place of sound", () => {
  test("is counted, whatever the rounding of stamps", () => {
    const placed = run(5000, (index) => Math.round((index * BLOCK_US) / 1000) * 1000 - index * BLOCK_US);
    for (const index of placed.keys()) expect(Math.abs(errorUs(placed, index))).toBeLessThanOrEqual(0.5);
    expect(placed.some(({ discontinuity }) => discontinuity)).toBe(false);
  });

  test("does not follow stamps that tremble by 15 ms", () => {
    const placed = run(5000, (index) => ((index * 7919) % 31) * 1000 - 15_000 + (index === 0 ? 15_000 : 0));
    const steps = placed.slice(1).map(({ ptsUs }, index) => ptsUs - (placed[index]?.ptsUs ?? 0));
    for (const step of steps) expect(Math.abs(step - BLOCK_US)).toBeLessThan(BLOCK_US * 0.0006 + 1);
    expect(placed.some(({ discontinuity }) => discontinuity)).toBe(false);
  });

  for (const ppm of [200, -200]) {
    test(`follows a clock that is ${ppm} ppm off, without a seam`, () => {
      const count = 28_125; // Ten minutes.
      const placed = run(count, (index) => index * BLOCK_US * ppm * 1e-6);
      const off = errorUs(placed, count - 1) - count * BLOCK_US * ppm * 1e-6;
      expect(Math.abs(off)).toBeLessThan(6000);
      expect(placed.some(({ discontinuity }) => discontinuity)).toBe(false);
    });
  }

  test("jumps with a gap, marked once", () => {
    const placed = run(100, (index) => (index < 50 ? 0 : 300_000));
    expect(placed.flatMap(({ discontinuity }, index) => (discontinuity ? [index] : []))).toEqual([50]);
    expect(errorUs(placed, 99)).toBe(300_000);
  });

  test("goes on over blocks without a stamp, and is unknown before the first stamp", () => {
    const clock = new SampleClock();
    expect(clock.place(960, undefined)).toBeUndefined();
    expect(clock.place(960, us(1000))).toEqual({ ptsUs: 1000, discontinuity: false });
    expect(clock.place(960, undefined)).toEqual({ ptsUs: 21_000, discontinuity: false });
    clock.jump();
    expect(clock.place(960, us(5000))).toEqual({ ptsUs: 5000, discontinuity: true });
  });
});
