import { describe, expect, test } from "vitest";
import { us } from "../../../src/core/time.ts";
import { AudioMixer } from "../../../src/mixer/audio/audio-mixer.ts";
import { LoudnessMeter } from "../../../src/mixer/audio/loudness.ts";
import { LoudnessLeveller } from "../../../src/mixer/audio/loudness-leveller.ts";
import { block, noise } from "./signal.ts";
import { speech } from "./speech.ts";

/** Gain in dB after each 100 ms of `pcm`. */
function gains(leveller: LoudnessLeveller, pcm: Float32Array): number[] {
  const found: number[] = [];
  for (let i = 0; i + 1920 <= pcm.length; i += 1920) {
    leveller.push(Float64Array.from(pcm.subarray(i, i + 1920)));
    if (i % 9600 === 0) found.push(leveller.gainDb);
  }
  return found;
}

describe("LoudnessLeveller", () => {
  const cases = [
    { name: "quiet speech", level: 0.1, target: -16 },
    { name: "loud speech", level: 1.0, target: -23 },
  ];
  for (const { name, level, target } of cases) {
    test(`brings ${name} to ${target} LUFS`, () => {
      const pcm = speech(20, { level });
      using mixer = new AudioMixer({ maxSpeakers: 4, loudness: target });
      mixer.add("a");
      for (let i = 0; i < 9; i++) mixer.push("a", block(pcm, i * 48_000, (i + 1) * 48_000), us(i * 1e6));
      const meter = new LoudnessMeter();
      for (let n = 0; n < 900; n++) {
        if (n % 50 === 0)
          mixer.push("a", block(pcm, (n / 50 + 9) * 48_000, (n / 50 + 10) * 48_000), us((n / 50 + 9) * 1e6));
        const { mix } = mixer.tick(n);
        if (n >= 400) meter.push(mix);
      }
      expect(Math.abs(meter.integrated - target)).toBeLessThan(1.5);
    });
  }

  test("moves less than 0.5 dB within a word of 300 ms, once it has found its place", () => {
    const steps = gains(new LoudnessLeveller(-16), speech(20, { level: 0.1 })).slice(60);
    for (let i = 3; i < steps.length; i++)
      expect(Math.abs((steps[i] ?? 0) - (steps[i - 3] ?? 0))).toBeLessThan(0.5);
  });

  test("does not pump up the noise of a pause", () => {
    const leveller = new LoudnessLeveller(-16);
    const before = gains(leveller, speech(10, { level: 0.5 })).at(-1) ?? 0;
    const after = gains(leveller, noise(20 * 48_000, 0.002)).at(-1) ?? 0;
    expect(Math.abs(after - before)).toBeLessThan(0.5);
  });

  test("meets a quieter voice that takes over", () => {
    const leveller = new LoudnessLeveller(-20);
    const loud = gains(leveller, speech(10, { level: 0.4 })).at(-1) ?? 0;
    const quiet = gains(leveller, speech(30, { level: 0.05 })).at(-1) ?? 0;
    expect(quiet - loud).toBeGreaterThan(12);
  });

  test("stays within its bounds, and leaves silence alone", () => {
    expect(gains(new LoudnessLeveller(-5), speech(30, { level: 0.02 })).at(-1)).toBeLessThanOrEqual(18);
    expect(gains(new LoudnessLeveller(-40), noise(30 * 48_000, 1)).at(-1)).toBeGreaterThanOrEqual(-24);
    expect(gains(new LoudnessLeveller(-16), new Float32Array(960_000)).at(-1)).toBe(0);
  });

  test("without a target goes back as slowly, and then leaves levels alone", () => {
    const leveller = new LoudnessLeveller(-16);
    const levelled = gains(leveller, speech(10, { level: 0.05 })).at(-1) ?? 0;
    expect(levelled).toBeGreaterThan(6);
    leveller.target = undefined;
    const back = gains(leveller, speech(20, { level: 0.05 }));
    expect(Math.abs((back[9] ?? 0) - levelled)).toBeLessThan(3);
    expect(back.at(-1)).toBe(0);
    expect(leveller.gain).toBe(1);
  });
});
