import { us } from "../../../src/core/time.ts";
import { PlayoutBuffer, type PlayoutStats } from "../../../src/mixer/audio/playout-buffer.ts";
import { generator, tone, toneSnrDb } from "./signal.ts";

const SECOND = 48_000;

/** Greatest second difference of the 1 kHz tone that {@link driftRun} plays. */
export const TONE_ROUGHNESS: number = 0.5 * ((2 * Math.PI * 1000) / SECOND) ** 2;

/** What a source with a wrong clock sounded like. */
export interface DriftRun extends PlayoutStats {
  /** Farthest from its place after the first second. */
  readonly worstMs: number;
  /** Greatest second difference. */
  readonly roughness: number;
  /** Worst of 200 ms looked at each five seconds. */
  readonly worstSnrDb: number;
}

/** Plays a 1 kHz tone whose clock is off by `ppm`, with stamps off by up to `jitterMs` in whole milliseconds. */
export function driftRun(ppm: number, seconds: number, jitterMs: number): DriftRun {
  using buffer = new PlayoutBuffer();
  const random = generator(ppm + 5000);
  const pcm = tone(960, 1000, 0.5);
  const recent = new Float32Array(SECOND);
  const tick = new Float32Array(1920);
  let [pushed, worstMs, roughness, worstSnrDb] = [0, 0, 0, 200];
  let [last, before] = [0, 0];
  for (let n = 0; n < seconds * 50; n++) {
    // The source's crystal makes 48000 * (1 + ppm) samples in a second of mix time.
    while (pushed / (1 + ppm * 1e-6) < (n + 5) * 960) {
      const jitter = Math.round((random() - 0.5) * 2 * jitterMs) * 1000;
      const ptsUs = us((pushed * 1e6) / SECOND / (1 + ppm * 1e-6) + jitter);
      buffer.push({ ptsUs, samples: pcm, arrivalUs: ptsUs, discontinuity: false }, us(ptsUs + 40_000));
      pushed += 960;
    }
    buffer.pull(tick, us(n * 20_000));
    for (let i = 0; i < 960; i++) {
      const x = tick[2 * i] ?? 0;
      if (n > 2) roughness = Math.max(roughness, Math.abs(x - 2 * last + before));
      [before, last] = [last, x];
      recent[(n % 50) * 960 + i] = x;
    }
    if (n > 50) worstMs = Math.max(worstMs, Math.abs(buffer.stats().errorMs));
    if (n % 250 === 249) worstSnrDb = Math.min(worstSnrDb, toneSnrDb(recent, 1000, 0, 9600));
  }
  return { ...buffer.stats(), worstMs, roughness, worstSnrDb };
}
