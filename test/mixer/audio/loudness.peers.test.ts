import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { LoudnessMeter } from "../../../src/mixer/audio/loudness.ts";
import { softNoise, tone } from "./signal.ts";

const folder = mkdtempSync(join(tmpdir(), "loudness-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What ffmpeg's ebur128 says of raw 48 kHz stereo float, each 100 ms and at the end. */
function reference(pcm: Float32Array): {
  momentary: number[];
  shortTerm: number[];
  integrated: number;
  peak: number;
} {
  const path = join(folder, "pcm.f32");
  writeFileSync(path, new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.byteLength));
  const input = ["-hide_banner", "-nostats", "-f", "f32le", "-ar", "48000", "-ac", "2", "-i", path];
  const filter = "ebur128=peak=true:metadata=1,ametadata=print:file=-";
  const printed = execFileSync("ffmpeg", [...input, "-af", filter, "-f", "null", "-"], {
    encoding: "utf8",
    stdio: "pipe",
  });
  const all = (key: string) =>
    [...printed.matchAll(new RegExp(`lavfi\\.r128\\.${key}=(\\S+)`, "g"))].map(([, value]) => Number(value));
  const peaks = [...all("true_peaks_ch0"), ...all("true_peaks_ch1")];
  return {
    momentary: all("M"),
    shortTerm: all("S"),
    integrated: all("I").at(-1) ?? Number.NaN,
    peak: Math.max(...peaks),
  };
}

/** Noise and tones that swell and pause like speech, with loud bits, channels apart. */
function programme(seconds: number): Float32Array {
  const pcm = softNoise(seconds * 48_000, 0.6, 3);
  const hum = tone(seconds * 48_000, 180, 0.3);
  for (let i = 0; i < pcm.length; i++) {
    const t = Math.floor(i / 2) / 48_000;
    const syllable =
      Math.max(0, Math.sin(2 * Math.PI * 3 * t)) * (t % 7 < 5 ? 1 : 0.003) * (t % 11 < 3 ? 0.2 : 1);
    pcm[i] = ((pcm[i] ?? 0) + (hum[i] ?? 0)) * syllable * (i % 2 === 0 ? 1 : 0.6);
  }
  return pcm;
}

describe("LoudnessMeter beside ffmpeg's ebur128", () => {
  const cases = [
    { name: "programme of 25 s", pcm: programme(25) },
    { name: "quiet programme", pcm: programme(12).map((x) => x * 0.02) },
    { name: "high tones, loud", pcm: tone(5 * 48_000, 9_377, 0.9).map((x, i) => x * Math.min(1, i / 9600)) },
    { name: "noise", pcm: softNoise(5 * 48_000, 0.7) },
  ];
  for (const { name, pcm } of cases) {
    test(`${name}: momentary, short-term, integrated within 0.1 LU, true peak within 0.3 dB`, () => {
      const { momentary, shortTerm, integrated, peak } = reference(pcm);
      const meter = new LoudnessMeter();
      let [worstMomentary, worstShort, compared] = [0, 0, 0];
      for (let i = 0, step = 0; i < pcm.length; i += 960) {
        meter.push(pcm.subarray(i, i + 960));
        if (meter.steps === step) continue;
        step = meter.steps;
        const [m = -200, s = -200] = [momentary[step - 1], shortTerm[step - 1]];
        if (step >= 4 && m > -60) worstMomentary = Math.max(worstMomentary, Math.abs(meter.momentary - m));
        if (step >= 30 && s > -60) worstShort = Math.max(worstShort, Math.abs(meter.shortTerm - s));
        compared += step >= 30 ? 1 : 0;
      }
      expect(compared).toBeGreaterThan(15);
      expect(worstMomentary).toBeLessThan(0.1);
      expect(worstShort).toBeLessThan(0.1);
      expect(Math.abs(meter.integrated - integrated)).toBeLessThan(0.1);
      expect(Math.abs(meter.truePeakDb - 20 * Math.log10(peak))).toBeLessThan(0.3);
    });
  }
});
