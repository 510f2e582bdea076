import { describe, expect, test } from "vitest";
import { RateResampler } from "../../src/native/resampler.ts";

/** Feeds a tone of `hz` in ticks, with the speed that `ppmAt` gives for each. */
function run(resampler: RateResampler, hz: number, ticks: number, ppmAt: readonly number[]): Float32Array {
  const out: number[] = [];
  for (let n = 0; n < ticks; n++) {
    resampler.setPpm(ppmAt[Math.floor((n * ppmAt.length) / ticks)] ?? 0);
    for (let i = 0; i < 960; i++) {
      resampler.input[2 * i] = 0.5 * Math.sin((2 * Math.PI * hz * (n * 960 + i)) / 48_000);
      resampler.input[2 * i + 1] = 0.25;
    }
    const got = resampler.convert(960, 2048);
    for (let i = 0; i < got; i++) out.push(resampler.output[2 * i] ?? 0);
  }
  return Float32Array.from(out);
}

describe("RateResampler", () => {
  test("at speed 0 the output is the input, sample upon sample", () => {
    using resampler = new RateResampler();
    const out = run(resampler, 1000, 50, [0]);
    let worst = 0;
    for (let i = 100; i < out.length; i++) {
      worst = Math.max(worst, Math.abs((out[i] ?? 0) - 0.5 * Math.sin((2 * Math.PI * 1000 * i) / 48_000)));
    }
    expect(worst).toBeLessThan(2e-4);
    expect(out.length + resampler.delaySamples).toBeCloseTo(48_000, 3);
    expect(resampler.delaySamples).toBeLessThan(32);
  });

  test.each([1000, 200, 10, -10, -200, -1000])("%i ppm makes that much more sound", (ppm) => {
    using resampler = new RateResampler();
    const out = run(resampler, 1000, 1000, [ppm]);
    const made = (out.length + resampler.delaySamples) / 960_000 - 1;
    expect(Math.abs(made * 1e6 - ppm)).toBeLessThan(2);
  });

  test("the speed may change at any time without a click", () => {
    using resampler = new RateResampler();
    const out = run(resampler, 1000, 200, [0, 1500, -1500, 3, 0, 700, -20]);
    let most = 0;
    for (let i = 102; i < out.length; i++) {
      most = Math.max(most, Math.abs((out[i] ?? 0) - 2 * (out[i - 1] ?? 0) + (out[i - 2] ?? 0)));
    }
    expect(most).toBeLessThan(1.02 * 0.5 * ((2 * Math.PI * 1000) / 48_000) ** 2);
  });

  test("a reset forgets all sound and speed", () => {
    using resampler = new RateResampler();
    const first = run(resampler, 440, 20, [300]);
    resampler.reset();
    expect(run(resampler, 440, 20, [300])).toEqual(first);
  });

  test("what does not fit into the output stays inside", () => {
    using resampler = new RateResampler();
    resampler.input.fill(0.5);
    expect(resampler.convert(960, 100)).toBe(100);
    expect(resampler.delaySamples).toBeCloseTo(860, 3);
    expect(resampler.convert(0, 2048)).toBeGreaterThan(820);
  });

  test("thousands are born and freed without growth", () => {
    const cycle = (): void => {
      using resampler = new RateResampler();
      resampler.setPpm(100);
      resampler.convert(960, 2048);
    };
    for (let i = 0; i < 100; i++) cycle();
    const before = process.memoryUsage.rss();
    for (let i = 0; i < 600; i++) cycle();
    expect(process.memoryUsage.rss() - before).toBeLessThan(30e6);
    const twice = new RateResampler();
    twice[Symbol.dispose]();
    expect(() => twice[Symbol.dispose]()).not.toThrow();
  });
});
