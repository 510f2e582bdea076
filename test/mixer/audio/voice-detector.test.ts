import { describe, expect, test } from "vitest";
import { VoiceDetector } from "../../../src/mixer/audio/voice-detector.ts";
import { generator, noise, tone } from "./signal.ts";
import { speech } from "./speech.ts";

/** Share of ticks taken for speech, in percent, and the first of them. */
function detect(pcm: Float32Array, from = 0): { readonly percent: number; readonly first: number } {
  const detector = new VoiceDetector();
  let [speaking, first, ticks] = [0, -1, 0];
  for (let i = 0, n = 0; i + 1920 <= pcm.length; i += 1920, n++) {
    if (!detector.push(pcm.subarray(i, i + 1920)) || n < from) continue;
    speaking += 1;
    if (first < 0) first = n;
  }
  ticks = Math.floor(pcm.length / 1920) - from;
  return { percent: (100 * speaking) / ticks, first };
}

const after = (silentS: number, pcm: Float32Array): Float32Array =>
  Float32Array.from([...new Float32Array(silentS * 96_000), ...pcm]);

describe("VoiceDetector", () => {
  test.each([90, 130, 210, 300])("hears a voice of %i Hz within 200 ms, and most of it", (pitchHz) => {
    const { percent, first } = detect(after(1, speech(8, { pitchHz, level: 0.1 })));
    expect(first).toBeLessThan(60);
    expect(first).toBeGreaterThanOrEqual(49);
    expect(percent).toBeGreaterThan(70);
  });

  test("hears a voice over noise 10 dB below it", () => {
    const voice = speech(8, { level: 0.2 });
    const hiss = noise(8 * 48_000, 0.04);
    expect(detect(voice.map((x, i) => x + (hiss[i] ?? 0))).percent).toBeGreaterThan(60);
  });

  const random = generator(5);
  const keys = new Float32Array(10 * 96_000);
  for (let t = 0.2; t < 9.8; t += 0.12 + 0.2 * random()) {
    const start = Math.floor(t * 48_000) * 2;
    for (let i = 0; i < 1200; i++) keys[start + i] = 0.4 * (random() - 0.5) * Math.exp(-i / 300);
  }
  const noises = [
    { name: "silence", pcm: new Float32Array(5 * 96_000) },
    { name: "white noise", pcm: noise(10 * 48_000, 0.2) },
    { name: "mains hum", pcm: tone(10 * 48_000, 100, 0.2) },
    { name: "a keyboard", pcm: keys },
  ];
  for (const { name, pcm } of noises) {
    // The first seconds teach it the noise.
    test(`does not take ${name} for a voice`, () => expect(detect(pcm, 150).percent).toBeLessThan(5));
  }

  test("lets go within 300 ms of the last word", () => {
    const detector = new VoiceDetector();
    const voice = speech(3);
    for (let i = 0; i + 1920 <= voice.length; i += 1920) detector.push(voice.subarray(i, i + 1920));
    let ticks = 0;
    for (; detector.speaking && ticks < 100; ticks++) detector.push(new Float32Array(1920));
    expect(ticks).toBeLessThan(20);
    for (let i = 0; i < 20; i++) detector.pushSilence();
    expect(detector.speaking).toBe(false);
  });
});
