import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { VoiceDetector } from "../../../src/mixer/audio/voice-detector.ts";
import { noise } from "./signal.ts";

const SPEECH = "../shared/media/speech-jfk.flac";
const missing = !existsSync(SPEECH);
if (missing) console.warn(`SKIPPED: no ${SPEECH}; the voice detector is not tried on a recorded voice`);

/** The recording at 48 kHz stereo float. */
function recorded(): Float32Array {
  const options = ["-v", "error", "-i", SPEECH, "-f", "f32le", "-ar", "48000", "-ac", "2", "-"];
  const bytes = execFileSync("ffmpeg", options, { maxBuffer: 1 << 28 });
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

describe.skipIf(missing)("VoiceDetector on a recorded speech", () => {
  const cases = [
    { name: "clean", amplitude: 0, hits: 90 },
    { name: "in white noise", amplitude: 0.03, hits: 85 },
  ];
  for (const { name, amplitude, hits } of cases) {
    test(`hears most of the loud ticks: ${name}`, () => {
      const voice = recorded();
      const hiss = noise(voice.length / 2, amplitude);
      const detector = new VoiceDetector();
      let [loud, heard] = [0, 0];
      for (let i = 0; i + 1920 <= voice.length; i += 1920) {
        const clean = voice.subarray(i, i + 1920);
        const speaking = detector.push(clean.map((x, k) => x + (hiss[i + k] ?? 0)));
        const energy = clean.reduce((sum, x) => sum + x * x, 0) / 1920;
        if (energy < 10 ** -3) continue;
        loud += 1;
        if (speaking) heard += 1;
      }
      expect(loud).toBeGreaterThan(200);
      expect((100 * heard) / loud).toBeGreaterThan(hits);
    });
  }
});
