import { describe, expect, test } from "vitest";
import { GainRamp, RAMP_SAMPLES } from "../../../src/mixer/audio/gain-ramp.ts";
import { left, noise, roughness, tone } from "./signal.ts";

describe("GainRamp", () => {
  test("at 1 leaves samples bit for bit, at 0 none", () => {
    const pcm = noise(960);
    const out = new Float32Array(1920);
    new GainRamp(1).apply(pcm, out);
    expect(out).toEqual(pcm);
    new GainRamp(0).apply(pcm, out);
    expect(out.every((x) => x === 0)).toBe(true);
  });

  test("changes over 10 ms, also across ticks and back in the middle, without a click", () => {
    const ramp = new GainRamp(1);
    const pcm = tone(4800, 400, 0.8);
    for (const [n, gain] of [1, 0, 2, 0.5, 0.5, 1, 1].entries()) {
      // Ticks of 300 samples, so that each change comes in the middle of the one before.
      ramp.set(gain);
      const part = pcm.subarray(n * 600, (n + 1) * 600);
      ramp.apply(part, part);
    }
    expect(roughness(left(pcm).subarray(0, 2100))).toBeLessThan(
      2.5 * 0.8 * ((2 * Math.PI * 400) / 48_000) ** 2,
    );
    expect(ramp.settled).toBe(true);
    expect(ramp.current).toBe(1);
  });

  test("is there after 10 ms", () => {
    const ramp = new GainRamp(0);
    ramp.set(0.25);
    const pcm = new Float32Array(1920).fill(1);
    ramp.apply(pcm, pcm);
    expect(pcm[0]).toBeLessThan(1e-5);
    expect(pcm[RAMP_SAMPLES]).toBeCloseTo(0.125, 3);
    expect(pcm[2 * RAMP_SAMPLES]).toBe(0.25);
  });
});
