import { describe, expect, test } from "vitest";
import { us } from "../../../src/core/time.ts";
import { AudioMixer } from "../../../src/mixer/audio/audio-mixer.ts";
import { block, difference, noise, tone } from "./signal.ts";

const TICKS = 50;
const LENGTH = (TICKS + 1) * 960;

function collect(mixer: AudioMixer, ticks: number): Float32Array {
  const out = new Float32Array(ticks * 1920);
  for (let n = 0; n < ticks; n++) out.set(mixer.tick(n).mix, n * 1920);
  return out;
}

describe("AudioMixer", () => {
  test("gives one file back bit for bit, from mix time 0", () => {
    using mixer = new AudioMixer({ maxSpeakers: 4 });
    const pcm = noise(LENGTH, 0.3);
    mixer.add("file");
    for (let at = 0; at < LENGTH; at += 1024) {
      mixer.push("file", block(pcm, at, Math.min(LENGTH, at + 1024)), us((at * 1e6) / 48_000));
    }
    expect(difference(collect(mixer, TICKS), pcm.subarray(0, TICKS * 1920))).toBe(0);
  });

  test("a participant hears the mix without themselves, exactly", () => {
    using mixer = new AudioMixer({ maxSpeakers: 4 });
    const [a, b] = [noise(LENGTH, 0.2, 1), tone(LENGTH, 440, 0.2)];
    mixer.add("a");
    mixer.add("b");
    using forA = mixer.want({ without: "a" });
    mixer.push("a", block(a, 0, LENGTH), us(0));
    mixer.push("b", block(b, 0, LENGTH), us(0));
    for (let n = 0; n < TICKS; n++) {
      const sound = mixer.tick(n);
      expect(difference(forA.pcm, b.subarray(n * 1920, (n + 1) * 1920))).toBeLessThan(2 ** -50);
      expect(forA.shared).toBe(false);
      expect(sound.without("a")).toBe(forA.pcm);
    }
  });
});
