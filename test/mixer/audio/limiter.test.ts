import { describe, expect, test } from "vitest";
import { LIMITER_DELAY_SAMPLES, Limiter } from "../../../src/mixer/audio/limiter.ts";
import { left, noise, roughness, softNoise, tone } from "./signal.ts";

/** Runs interleaved sound through a limiter, tick by tick. */
function run(pcm: Float32Array, limiter = new Limiter(), size = 1920): Float32Array {
  const out = new Float32Array(pcm.length);
  for (let i = 0; i < pcm.length; i += size) {
    const to = Math.min(pcm.length, i + size);
    limiter.process(Float64Array.from(pcm.subarray(i, to)), out.subarray(i, to));
  }
  return out;
}

/** True peak by four times oversampling with 64 taps: an independent and sharper judge than the limiter's own. */
function truePeakDb(mono: Float32Array): number {
  const half = 32;
  let peak = 0;
  for (let phase = 0; phase < 4; phase++) {
    const taps = Array.from({ length: 2 * half }, (_, t) => {
      const x = t - half + 1 - phase / 4;
      const sinc = x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
      return sinc * Math.cos((Math.PI * x) / (2 * half + 1)) ** 2;
    });
    for (let i = half; i < mono.length - half; i++) {
      let sum = 0;
      for (let t = 0; t < 2 * half; t++) sum += (taps[t] ?? 0) * (mono[i - half + 1 + t] ?? 0);
      peak = Math.max(peak, Math.abs(sum));
    }
  }
  return 20 * Math.log10(peak);
}

const sum = (...parts: Float32Array[]): Float32Array =>
  Float32Array.from(parts[0] ?? [], (_, i) => parts.reduce((total, part) => total + (part[i] ?? 0), 0));

describe("Limiter", () => {
  test("only delays what stays below the ceiling, bit for bit, whatever the block size", () => {
    const pcm = noise(9600, 0.4);
    for (const size of [1920, 288, 2 * 77]) {
      const out = run(pcm, new Limiter(), size);
      expect(out.subarray(LIMITER_DELAY_SAMPLES * 2)).toEqual(
        pcm.subarray(0, pcm.length - LIMITER_DELAY_SAMPLES * 2),
      );
      expect(out.subarray(0, LIMITER_DELAY_SAMPLES * 2).every((x) => x === 0)).toBe(true);
    }
  });

  const impulse = new Float32Array(9600);
  impulse.fill(3, 4000, 4002);
  const cases = [
    {
      name: "three tones that add up to 1.7",
      pcm: sum(tone(9600, 440, 0.6), tone(9600, 523, 0.6), tone(9600, 659, 0.5)),
    },
    { name: "noise at twice full scale", pcm: softNoise(9600, 3) },
    {
      name: "a tone at a quarter of the rate, whose peaks lie between samples",
      pcm: tone(9600, 12_000, 1.4, 0.5),
    },
    {
      name: "high tones between samples",
      pcm: sum(tone(9600, 11_025, 0.7, 0.3), tone(9600, 15_000, 0.6, 0.2)),
    },
    { name: "a square wave", pcm: tone(9600, 100, 1).map((x) => (x > 0 ? 1.5 : -1.5)) },
    { name: "one impulse", pcm: impulse },
    { name: "a sudden start at 16 times full scale", pcm: sum(new Float32Array(9600), tone(4800, 700, 16)) },
  ];
  for (const { name, pcm } of cases) {
    test(`holds -1 dBTP: ${name}`, () => expect(truePeakDb(left(run(pcm)))).toBeLessThanOrEqual(-0.95));
  }

  test("does not turn down more than it must", () => {
    expect(truePeakDb(left(run(tone(9600, 1000, 2))).subarray(2000))).toBeGreaterThan(-1.2);
  });

  test("takes hold and lets go without a click", () => {
    const pcm = tone(48_000, 500, 1).map((x, i) => {
      const at = i >> 1;
      // The level itself rises and falls within 2 ms, as speech does.
      const edge = 0.5 - 0.5 * Math.cos(Math.PI * Math.min(1, Math.max(0, (at - 12_000) / 96)));
      return x * (0.5 + 1.5 * edge);
    });
    const own = 2 * ((2 * Math.PI * 500) / 48_000) ** 2;
    expect(roughness(left(run(pcm.subarray(0, 70_000))), 1000)).toBeLessThan(1.5 * own);
  });

  test("is itself again after limiting", () => {
    const limiter = new Limiter();
    run(tone(9600, 300, 3), limiter);
    run(new Float32Array(192_000), limiter);
    expect(limiter.gain).toBe(1);
    const pcm = noise(9600, 0.4);
    const out = run(pcm, limiter);
    expect(out.subarray(LIMITER_DELAY_SAMPLES * 2)).toEqual(
      pcm.subarray(0, pcm.length - LIMITER_DELAY_SAMPLES * 2),
    );
  });

  test("a copy goes on exactly alike", () => {
    const [one, two] = [new Limiter(), new Limiter()];
    run(noise(2000, 2), one);
    two.copy(one);
    const pcm = noise(9600, 1.5, 7);
    expect(run(pcm, two)).toEqual(run(pcm, one));
  });
});
