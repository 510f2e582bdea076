import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cell, edge, evenRound, inset, ratio } from "../../src/layout/edges.ts";

describe("edge", () => {
  const cases = [
    { at: 0, length: 1280, want: 0 },
    { at: 1, length: 1280, want: 1280 },
    { at: "1/3", length: 1280, want: 426 }, // 426.67 -> 213.33 pairs
    { at: "2/3", length: 1280, want: 854 }, // 853.33 -> 426.67 pairs
    { at: "5/6", length: 1280, want: 1066 },
    { at: "5/6", length: 720, want: 600 },
    { at: "1/2", length: 854, want: 428 }, // 427: halves go up
    { at: "1/7", length: 640, want: 92 },
    { at: 0.1, length: 854, want: 86 },
    { at: "0.1", length: 854, want: 86 },
    { at: "81/256", length: 1280, want: 406 }, // 405
    { at: "999999/999999", length: 8192, want: 8192 },
  ];
  for (const { at, length, want } of cases) {
    test(`${at} of ${length} is ${want}`, () => expect(edge(length, ratio(at))).toBe(want));
  }
});

test("evenRound is exact for any sign and for ratios that floating point would tip over", () => {
  expect(evenRound(-1, 1)).toBe(0);
  expect(evenRound(-3, 1)).toBe(-2);
  expect(evenRound(3, 1)).toBe(4);
  expect(evenRound(2_999_999_999_999, 1_000_000_000_000)).toBe(2);
  expect(evenRound(3_000_000_000_000, 1_000_000_000_000)).toBe(4);
});

/** Compared with whole-number arithmetic that has no limit. */
test("a sum of fractions lies where exact arithmetic puts it", () => {
  const share = fc.tuple(fc.integer({ min: 0, max: 999_999 }), fc.integer({ min: 1, max: 999_999 }));
  fc.assert(
    fc.property(share, share, fc.integer({ min: 8, max: 4096 }), ([a, b], [c, d], half) => {
      fc.pre(a / b + c / d <= 1);
      const axis = { length: 2 * half, gap: 0, margin: 0 };
      const { start, size } = cell(axis, ratio(`${a}/${b}`), ratio(`${c}/${d}`));
      const exact = (num: bigint, den: bigint) => 2n * ((2n * num * BigInt(half) + den) / (2n * den));
      expect(BigInt(start)).toBe(exact(BigInt(a), BigInt(b)));
      const num = BigInt(a) * BigInt(d) + BigInt(c) * BigInt(b);
      expect(BigInt(start + size)).toBe(exact(num, BigInt(b) * BigInt(d)));
    }),
    { numRuns: 3000 },
  );
});

describe("gap and margin", () => {
  const axis = { length: 1280, gap: 8, margin: 20 };
  const third = (index: number) => inset(axis, cell(axis, ratio(`${index}/3`), ratio("1/3")));

  test("equal fractions stay equal, the gap is exact, the margin is around", () => {
    // 1280 - 2 * 20 - 2 * 8 = 1224 = 3 * 408
    expect([third(0), third(1), third(2)]).toEqual([
      { start: 20, size: 408 },
      { start: 436, size: 408 },
      { start: 852, size: 408 },
    ]);
  });

  test("a slot narrower than the gap keeps two pixels", () => {
    const wide = { length: 100, gap: 40, margin: 0 };
    expect(inset(wide, cell(wide, ratio("1/2"), ratio("1/100"))).size).toBe(2);
    expect(inset(wide, cell(wide, ratio("99/100"), ratio("1/100")))).toEqual({ start: 98, size: 2 });
  });
});
