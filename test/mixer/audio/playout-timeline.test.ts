import { describe, expect, test } from "vitest";
import { us } from "../../../src/core/time.ts";
import { PlayoutBuffer, type PlayoutStats } from "../../../src/mixer/audio/playout-buffer.ts";
import { SourceTimeline } from "../../../src/mixer/timeline.ts";
import { generator, tone } from "./signal.ts";

const BLOCK = 960;

/** What a listener of a live tone heard, and when. */
interface Heard extends PlayoutStats {
  /** Greatest second difference after the first second. */
  readonly roughness: number;
  /** Share of samples in silence, after the first second. */
  readonly silent: number;
  /** Held ahead of what is played, in ms, at the end of each second. */
  readonly heldEachS: readonly number[];
}

/**
 * A live source of 437 Hz over a network: block k is made at k * 20 ms and arrives `lateMs[k]` after it is complete,
 * in order. The real timeline places it, and ticks are pulled 23 ms after they begin, as a live mix does.
 */
function listen(seconds: number, lateMs: (k: number) => number, ppm = 0): Heard {
  using buffer = new PlayoutBuffer();
  const timeline = new SourceTimeline({ mode: "live", startUs: us(0), delayMs: { min: 20, max: 1000 } });
  const pcm = tone((seconds + 1) * 48_000, 437, 0.5);
  const out = new Float32Array(1920);
  const held: number[] = [];
  let [last, before, roughness, silent, k, arrived] = [0, 0, 0, 0, 0, 0];
  for (let n = 0; n < seconds * 50; n++) {
    const now = n * 20_000 + 23_000;
    for (;;) {
      arrived = Math.max(arrived, ((k + 1) * 20_000) / (1 + ppm * 1e-6) + lateMs(k) * 1000);
      if (arrived > now) break;
      // Stamps count the source's own samples.
      const ptsUs = us(k * 20_000);
      const sourceUs = timeline.place("audio", ptsUs, us(20_000), false);
      timeline.observe(sourceUs, us(arrived));
      const samples = pcm.subarray(k * BLOCK * 2, (k + 1) * BLOCK * 2);
      const block = { ptsUs: sourceUs, samples, arrivalUs: us(arrived), discontinuity: false };
      buffer.push(block, us(sourceUs + timeline.shiftUs));
      k += 1;
    }
    timeline.advance(us(now));
    buffer.pull(out, us(n * 20_000));
    for (let i = 0; i < 1920; i += 2) {
      const x = out[i] ?? 0;
      if (n > 50) roughness = Math.max(roughness, Math.abs(x - 2 * last + before));
      if (n > 50 && x === 0 && last === 0) silent += 1 / ((seconds - 1) * 48_000);
      [before, last] = [last, x];
    }
    if (n % 50 === 49) held.push(buffer.stats().heldMs);
  }
  return { ...buffer.stats(), roughness, silent, heldEachS: held };
}

const own = 0.5 * ((2 * Math.PI * 437) / 48_000) ** 2;

describe("a live source through its timeline", () => {
  test("on a steady network is heard without any loss or change", () => {
    const heard = listen(20, () => 0);
    expect(heard).toMatchObject({ underruns: 0, lateMs: 0, splices: 0, jumps: 0 });
    expect(heard.roughness).toBeLessThan(1.01 * own);
  });

  test("with 15 ms of jitter is heard without a click", () => {
    const random = generator(3);
    const late = Array.from({ length: 4000 }, () => 15 * random());
    const heard = listen(40, (k) => late[k] ?? 0);
    expect(heard.silent).toBeLessThan(0.01);
    expect(heard.roughness).toBeLessThan(3 * own);
  });

  test("after a stall of 400 ms plays on, and gives the delay back within 20 s, by stretching", () => {
    // Ten seconds in, nothing comes for 400 ms, then everything at once.
    const heard = listen(35, (k) => (k >= 500 && k < 520 ? (520 - k) * 20 : 0));
    expect(heard.underruns).toBe(1);
    expect(heard.roughness).toBeLessThan(3 * own);
    const [before = 0, after = 0, end = 0] = [
      heard.heldEachS[8],
      heard.heldEachS[11],
      heard.heldEachS.at(-1),
    ];
    expect(after - before).toBeGreaterThan(300);
    expect(Math.abs(end - before)).toBeLessThan(40);
    expect(heard.splices).toBeGreaterThan(10);
    expect(heard.silent).toBeLessThan(0.015);
    expect(Math.abs(heard.errorMs)).toBeLessThan(3);
  });

  test.each([200, -200])("whose clock is off by %i ppm is resampled, not cut", (ppm) => {
    const random = generator(9);
    const late = Array.from({ length: 7000 }, () => 4 * random());
    const heard = listen(120, (k) => late[k] ?? 0, ppm);
    expect(heard.splices).toBe(0);
    expect(heard.underruns).toBeLessThanOrEqual(2);
    expect(heard.roughness).toBeLessThan(1.5 * own);
    expect(Math.abs(heard.errorMs)).toBeLessThan(5);
    expect(Math.abs(heard.driftPpm + ppm)).toBeLessThan(100);
    const [early = 0, end = 0] = [heard.heldEachS[20], heard.heldEachS.at(-1)];
    expect(Math.abs(end - early)).toBeLessThan(25);
  });
});
