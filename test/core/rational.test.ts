import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { InvalidArgumentError } from "../../src/core/error.ts";
import { equal, frameIndexAt, frameTime, period, rational, toNumber } from "../../src/core/rational.ts";
import { us } from "../../src/core/time.ts";

describe("rational", () => {
  const cases = [
    { from: 30, want: { num: 30, den: 1 } },
    { from: "30000/1001", want: { num: 30000, den: 1001 } },
    { from: 29.97, want: { num: 30000, den: 1001 } },
    { from: 23.976, want: { num: 24000, den: 1001 } },
    { from: 59.94, want: { num: 60000, den: 1001 } },
    { from: 12.5, want: { num: 25, den: 2 } },
    { from: "50/2", want: { num: 25, den: 1 } },
  ];
  for (const { from, want } of cases) test(`${from}`, () => expect(rational(from)).toEqual(want));

  for (const bad of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, "x", "1/0", "", "-3/2"]) {
    test(`refuses ${bad}`, () => expect(() => rational(bad)).toThrow(InvalidArgumentError));
  }
});

describe("frame times", () => {
  test("NTSC frames stand at n * 1001 / 30000 s, to the microsecond", () => {
    const ntsc = rational("30000/1001");
    expect([0, 1, 2, 3, 30_000].map((n) => frameTime(n, ntsc))).toEqual([
      0, 33_367, 66_733, 100_100, 1_001_000_000,
    ]);
  });

  test("stay exact after a year, where n * 1e6 * den passes 2^53", () => {
    const ntsc = rational("30000/1001");
    const year = 30_000 * 31_557;
    expect(frameTime(year, ntsc)).toBe(31_557 * 1001 * 1e6);
    expect(frameTime(year + 1, ntsc)).toBe(31_557 * 1001 * 1e6 + 33_367);
  });

  test("the index is the inverse of the time", () => {
    const rates = ["30/1", "25/1", "30000/1001", "24000/1001", "60/1", "10/1", "25/2"];
    fc.assert(
      fc.property(fc.nat(1e9), fc.constantFrom(...rates), (index, text) => {
        const rate = rational(text);
        const at = frameTime(index, rate);
        expect(frameIndexAt(at, rate)).toBe(index);
        expect(frameIndexAt(us(at - 1), rate)).toBe(index - 1);
      }),
      { seed: 1 },
    );
  });

  test("period, number and equality", () => {
    expect(period(rational(30))).toBe(33_333);
    expect(toNumber(rational("30000/1001"))).toBeCloseTo(29.97003, 5);
    expect(equal(rational("60/2"), rational(30))).toBe(true);
    expect(equal(rational("30000/1001"), rational(30))).toBe(false);
  });
});
