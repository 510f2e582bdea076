import { describe, expect, test } from "vitest";
import { LevelMeter } from "../../../src/mixer/audio/level-meter.ts";
import { LoudnessMeter } from "../../../src/mixer/audio/loudness.ts";
import { noise, tone } from "./signal.ts";

function measure(...parts: Float32Array[]): LoudnessMeter {
  const meter = new LoudnessMeter();
  for (const pcm of parts) for (let i = 0; i < pcm.length; i += 1920) meter.push(pcm.subarray(i, i + 1920));
  return meter;
}

describe("LoudnessMeter", () => {
  // EBU Tech 3341 table 1: a stereo sine of 1 kHz at -23 dBFS peak is -23 LUFS in every window.
  test.each([-23, -33])("reads a stereo tone at %i dBFS as that many LUFS", (level) => {
    const meter = measure(tone(4 * 48_000, 1000, 10 ** (level / 20)));
    for (const value of [meter.momentary, meter.shortTerm, meter.integrated])
      expect(value).toBeCloseTo(level, 1);
  });

  test("gates out what is 10 LU below the rest (EBU Tech 3341 case 3, shortened)", () => {
    const at = (level: number, seconds: number) => tone(seconds * 48_000, 1000, 10 ** (level / 20));
    expect(measure(at(-36, 3), at(-23, 30), at(-36, 3)).integrated).toBeCloseTo(-23, 1);
  });

  test("gates out silence, absolutely (case 4, shortened)", () => {
    const at = (level: number, seconds: number) => tone(seconds * 48_000, 1000, 10 ** (level / 20));
    const meter = measure(at(-72, 2), at(-36, 3), at(-23, 30), at(-36, 3), at(-72, 2));
    expect(meter.integrated).toBeCloseTo(-23, 1);
  });

  test("silence has no loudness, pushed or skipped", () => {
    const meter = new LoudnessMeter();
    meter.push(new Float32Array(1920));
    meter.pushSilence(48_000);
    expect(meter.momentary).toBe(Number.NEGATIVE_INFINITY);
    expect(meter.integrated).toBe(Number.NEGATIVE_INFINITY);
    expect(meter.truePeakDb).toBe(-127);
    expect(meter.steps).toBe(10);
  });

  test("sees peaks between samples (Tech 3341 case 15: a quarter of the rate at 45 degrees)", () => {
    const between = tone(9600, 12_000, 0.5, 0.5);
    expect(20 * Math.log10(Math.max(...between))).toBeCloseTo(-9.03, 1);
    const { truePeakDb } = measure(between);
    expect(truePeakDb).toBeGreaterThan(-6.4);
    expect(truePeakDb).toBeLessThan(-5.8);
  });

  test("keeps the greatest peak, wherever the block borders lie", () => {
    const pcm = noise(48_000, 0.3);
    pcm[41_278] = 0.9;
    const whole = measure(pcm).truePeakDb;
    const meter = new LoudnessMeter();
    for (let i = 0; i < pcm.length; i += 2 * 147) meter.push(pcm.subarray(i, i + 2 * 147));
    expect(meter.truePeakDb).toBeCloseTo(whole, 9);
    expect(whole).toBeGreaterThan(-1);
  });
});

describe("LevelMeter (RFC 6464)", () => {
  const cases = [
    { name: "silence", pcm: new Float32Array(1920), dbov: 127 },
    {
      name: "a full-scale square wave",
      pcm: new Float32Array(1920).map((_, i) => (i & 64 ? 1 : -1)),
      dbov: 0,
    },
    { name: "a full-scale sine", pcm: tone(960, 1000, 1), dbov: 3 },
    { name: "a sine at -20 dBFS", pcm: tone(960, 1000, 0.1), dbov: 23 },
    { name: "louder than full scale", pcm: tone(960, 1000, 4), dbov: 0 },
    { name: "nothing", pcm: new Float32Array(0), dbov: 127 },
  ];
  for (const { name, pcm, dbov } of cases) {
    test(name, () => {
      const meter = new LevelMeter();
      meter.measure(pcm);
      expect(meter.dbov).toBe(dbov);
    });
  }
});
