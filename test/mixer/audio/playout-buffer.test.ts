import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { us } from "../../../src/core/time.ts";
import { PlayoutBuffer } from "../../../src/mixer/audio/playout-buffer.ts";
import { driftRun, TONE_ROUGHNESS } from "./drift-run.ts";
import { block, difference, generator, left, noise, roughness, tone } from "./signal.ts";
import { speech } from "./speech.ts";

const SECOND = 48_000;

/** Mix time of a sample position, in microseconds. */
const at = (sample: number) => us((sample * 1e6) / SECOND);

/** Pulls ticks [from, to) into one array. */
function pull(buffer: PlayoutBuffer, from: number, to: number): Float32Array {
  const out = new Float32Array((to - from) * 1920);
  for (let n = from; n < to; n++)
    buffer.pull(out.subarray((n - from) * 1920, (n - from + 1) * 1920), us(n * 20_000));
  return out;
}

describe("a constant mapping", () => {
  const cases = [
    { name: "from mix time 0", start: 0, size: 1024 },
    { name: "late, in the middle of a tick", start: 12_345, size: 1024 },
    { name: "blocks of one tick", start: 960, size: 960 },
    { name: "tiny blocks", start: 7, size: 64 },
    { name: "one huge block", start: 4801, size: 2 * SECOND },
  ];
  for (const { name, start, size } of cases) {
    test(`comes out bit for bit, zeros before: ${name}`, () => {
      using buffer = new PlayoutBuffer();
      const pcm = noise(2 * SECOND);
      for (let i = 0; i < 2 * SECOND; i += size)
        buffer.push(block(pcm, i, Math.min(2 * SECOND, i + size)), at(start + i));
      const out = pull(buffer, 0, 100);
      expect(roughness(left(out), 0, start)).toBe(0);
      const heard = out.subarray(start * 2);
      expect(difference(heard, pcm.subarray(0, heard.length))).toBe(0);
      expect(buffer.stats()).toMatchObject({ lateMs: 0, underruns: 0, splices: 0, driftPpm: 0 });
    });
  }

  test("does not depend on how blocks are cut or when they are pushed", () => {
    const pcm = noise(SECOND);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1 << 30 }), fc.integer({ min: 0, max: 3000 }), (seed, start) => {
        using buffer = new PlayoutBuffer();
        const random = generator(seed);
        const out = new Float32Array(40 * 1920);
        let given = 0;
        for (let n = 0; n < 40; n++) {
          const needed = (n + 1) * 960 - start;
          while (given < needed || random() < 0.3) {
            const next = Math.min(SECOND, given + 1 + Math.floor(random() * 2000));
            if (next === given) break;
            buffer.push(block(pcm, given, next), at(start + given));
            given = next;
          }
          buffer.pull(out.subarray(n * 1920, (n + 1) * 1920), us(n * 20_000));
        }
        const heard = out.subarray(start * 2);
        expect(difference(heard, pcm.subarray(0, heard.length))).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test("stamps rounded to milliseconds make no gap, no click and no change", () => {
    using buffer = new PlayoutBuffer();
    const pcm = noise(30 * SECOND);
    const out: Float32Array[] = [];
    for (let i = 0, n = 0; i + 1024 <= pcm.length / 2; i += 1024) {
      const rounded = Math.round((i * 1000) / SECOND) * 1000;
      buffer.push(block(pcm, i, i + 1024, { ptsUs: rounded }), us(rounded + 40_000));
      for (; (n + 1) * 960 <= i; n++) out.push(pull(buffer, n, n + 1));
    }
    for (const [n, tick] of out.entries()) {
      const from = n * 1920 - 40 * 96;
      if (from >= 0) expect(difference(tick, pcm.subarray(from, from + 1920))).toBe(0);
    }
    expect(out.length).toBeGreaterThan(1400);
  });
});

describe("drift", () => {
  const cases = [
    { ppm: 200, seconds: 60, jitterMs: 0 },
    { ppm: -200, seconds: 60, jitterMs: 3 },
    { ppm: 50, seconds: 90, jitterMs: 1 },
    { ppm: 1000, seconds: 60, jitterMs: 0 },
    { ppm: -1000, seconds: 60, jitterMs: 2 },
  ];
  for (const { ppm, seconds, jitterMs } of cases) {
    test(`${ppm} ppm with ${jitterMs} ms of jitter for ${seconds} s stays in place, without a click`, () => {
      const { underruns, lateMs, splices, driftPpm, worstMs, roughness, worstSnrDb } = driftRun(
        ppm,
        seconds,
        jitterMs,
      );
      expect({ underruns, lateMs, splices }).toEqual({ underruns: 0, lateMs: 0, splices: 0 });
      expect(worstMs).toBeLessThan(Math.abs(ppm) > 200 ? 6 : 3.5);
      expect(Math.abs(driftPpm + ppm)).toBeLessThan(jitterMs > 0 ? 60 : 10);
      expect(roughness).toBeLessThan(1.03 * TONE_ROUGHNESS);
      expect(worstSnrDb).toBeGreaterThan(jitterMs > 0 ? 40 : 55);
    });
  }
});

describe("a changed playout delay", () => {
  const cases = [
    { name: "a burst of 300 ms is given back", from: 500, to: 200, withinS: 4 },
    { name: "a second is given back within 10 s", from: 1200, to: 200, withinS: 10 },
    { name: "the delay grows by 150 ms", from: 100, to: 250, withinS: 4 },
    { name: "a small step of 20 ms", from: 100, to: 80, withinS: 3 },
  ];
  for (const { name, from, to, withinS } of cases) {
    test(`${name} by stretching, at the same pitch and without a click`, () => {
      using buffer = new PlayoutBuffer();
      const length = 20 * SECOND;
      const pcm = tone(length, 437, 0.5);
      const out: Float32Array[] = [];
      let back = -1;
      for (let n = 0, given = 0; n < 900; n++) {
        const delay = (n < 100 ? from : to) * 48;
        for (; given < (n + 10) * 960 - Math.min(delay, 4800) && given + 960 < length; given += 960) {
          buffer.push(block(pcm, given, given + 960), at(given + delay));
        }
        out.push(pull(buffer, n, n + 1));
        const { errorMs } = buffer.stats();
        if (n > 110 && back < 0 && Math.abs(errorMs) < 3) back = n - 100;
        if (back > 0 && n > 100 + withinS * 50) expect(Math.abs(errorMs)).toBeLessThan(3);
      }
      expect(back).toBeGreaterThan(0);
      expect(back).toBeLessThanOrEqual(withinS * 50);
      expect(buffer.stats()).toMatchObject({ underruns: 0, jumps: 0, lateMs: 0 });
      const mono = left(Float32Array.from(out.flatMap((tick) => [...tick])));
      // A cross-fade between two phases of a tone bends it a little; a click would be a hundred times the tone's own.
      const own = 0.5 * ((2 * Math.PI * 437) / SECOND) ** 2;
      expect(roughness(mono, from * 48 + 480)).toBeLessThan(3 * own);
    });
  }

  test("speech that is stretched both ways stays as smooth as it was, and as loud", () => {
    using buffer = new PlayoutBuffer();
    const pcm = speech(20, { level: 0.3 });
    const out = new Float32Array(900 * 1920);
    for (let n = 0, given = 0; n < 900; n++) {
      const delay = (n < 100 || n > 400 ? 24_000 : 9600) + (n % 7 === 0 ? 30 : 0);
      for (; given < (n + 3) * 960; given += 960)
        buffer.push(block(pcm, given, given + 960), at(given + delay));
      buffer.pull(out.subarray(n * 1920, (n + 1) * 1920), us(n * 20_000));
    }
    expect(buffer.stats().splices).toBeGreaterThan(30);
    expect(buffer.stats()).toMatchObject({ underruns: 0, jumps: 0 });
    expect(roughness(left(out))).toBeLessThan(1.1 * roughness(left(pcm)));
    const energy = (values: Float32Array): number =>
      values.reduce((sum, x) => sum + x * x, 0) / values.length;
    const [played, given] = [energy(out.subarray(48_000 * 4)), energy(pcm.subarray(0, 800 * 1920))];
    expect(Math.abs(10 * Math.log10(played / given))).toBeLessThan(1);
  });

  test("five seconds are jumped over, with a fade", () => {
    using buffer = new PlayoutBuffer();
    const pcm = tone(20 * SECOND, 437, 0.5);
    const out: Float32Array[] = [];
    for (let n = 0, given = 0; n < 600; n++) {
      for (; given < Math.min((n + 10) * 960, 19 * SECOND); given += 960) {
        buffer.push(block(pcm, given, given + 960), at(given + (n < 100 ? 9600 : 9600 + 5 * SECOND)));
      }
      out.push(pull(buffer, n, n + 1));
    }
    expect(buffer.stats().jumps).toBe(1);
    expect(Math.abs(buffer.stats().errorMs)).toBeLessThan(1);
    const mono = left(Float32Array.from(out.flatMap((tick) => [...tick])));
    expect(roughness(mono, 9700)).toBeLessThan(0.01);
  });
});

describe("holes and seams", () => {
  const own = 0.5 * ((2 * Math.PI * 437) / SECOND) ** 2;

  test("a hole of 200 ms in the stamps is a hole, in place, faded", () => {
    using buffer = new PlayoutBuffer();
    const pcm = tone(4 * SECOND, 437, 0.5);
    buffer.push(block(pcm, 0, SECOND), at(0));
    buffer.push(block(pcm, SECOND + 9600, 3 * SECOND), at(SECOND + 9600));
    const out = pull(buffer, 0, 140);
    expect(difference(out.subarray(0, SECOND * 2), pcm.subarray(0, SECOND * 2))).toBe(0);
    const resumed = SECOND + 9600 + 240;
    expect(difference(out.subarray(resumed * 2), pcm.subarray(resumed * 2, out.length))).toBe(0);
    expect(
      left(out)
        .slice(SECOND + 480, SECOND + 9600)
        .every((x) => x === 0),
    ).toBe(true);
    expect(roughness(left(out))).toBeLessThan(2 * own);
  });

  test("a discontinuity that comes early cross-fades to its own place", () => {
    using buffer = new PlayoutBuffer();
    const [one, two] = [tone(SECOND, 437, 0.5), tone(SECOND, 800, 0.3, 17)];
    buffer.push(block(one, 0, SECOND), at(0));
    buffer.push(block(two, 0, SECOND, { ptsUs: 77_000_000, discontinuity: true }), at(20_000));
    const out = pull(buffer, 0, 70);
    expect(difference(out.subarray(0, 40_000), one.subarray(0, 40_000))).toBe(0);
    expect(difference(out.subarray(40_480, 60_000), two.subarray(480, 20_000))).toBe(0);
    expect(roughness(left(out), 3)).toBeLessThan(0.3 * ((2 * Math.PI * 800) / SECOND) ** 2 + own);
    expect(buffer.stats().jumps).toBe(1);
  });

  test("an underrun fades out over concealment and in again, and late sound is dropped and counted", () => {
    using buffer = new PlayoutBuffer();
    const pcm = tone(4 * SECOND, 437, 0.5);
    buffer.push(block(pcm, 0, SECOND), at(0));
    const before = pull(buffer, 0, 60);
    for (let i = SECOND; i < 3 * SECOND; i += 960) buffer.push(block(pcm, i, i + 960), at(i));
    const out = Float32Array.from([...before, ...pull(buffer, 60, 140)]);
    expect(roughness(left(out))).toBeLessThan(2 * own);
    expect(
      left(out)
        .slice(SECOND + 240, 60 * 960)
        .every((x) => x === 0),
    ).toBe(true);
    const resumed = 60 * 960 + 240;
    expect(difference(out.subarray(resumed * 2), pcm.subarray(resumed * 2, out.length))).toBe(0);
    expect(buffer.stats()).toMatchObject({ lateMs: 200, underruns: 1 });
  });

  test("an underrun of noise ends without a click at the tick's edge", () => {
    using buffer = new PlayoutBuffer();
    buffer.push(block(tone(960 * 3, 120, 0.9), 0, 960 * 3), at(0));
    const mono = left(pull(buffer, 0, 6));
    expect(roughness(mono)).toBeLessThan(0.9 * ((2 * Math.PI * 120) / SECOND) ** 2 * 12);
  });

  test("sound that was heard already is dropped and counted", () => {
    using buffer = new PlayoutBuffer();
    const pcm = noise(2 * SECOND);
    buffer.push(block(pcm, 0, SECOND), at(0));
    buffer.push(block(pcm, SECOND - 9600, SECOND - 4800), at(SECOND - 9600));
    buffer.push(block(pcm, SECOND - 4800, SECOND + 4800), at(SECOND - 4800));
    const out = pull(buffer, 0, 54);
    expect(difference(out, pcm.subarray(0, out.length))).toBe(0);
    expect(buffer.stats().repeatedMs).toBeCloseTo(200, 6);
  });

  test("ticks that are left out are lost, and only they", () => {
    using buffer = new PlayoutBuffer();
    const pcm = tone(2 * SECOND, 437, 0.5);
    buffer.push(block(pcm, 0, 2 * SECOND), at(0));
    pull(buffer, 0, 10);
    const out = pull(buffer, 20, 30);
    expect(difference(out.subarray(480), pcm.subarray(20 * 1920 + 480, 30 * 1920))).toBe(0);
    expect(() => pull(buffer, 29, 30)).toThrowError(
      expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" }),
    );
  });
});

describe("bounds", () => {
  test("holds ten seconds, and drops what is beyond, counted", () => {
    using buffer = new PlayoutBuffer();
    const pcm = noise(SECOND);
    for (let s = 0; s < 30; s++) buffer.push({ ...block(pcm, 0, SECOND), ptsUs: us(s * 1e6) }, us(s * 1e6));
    const { heldMs, overflowMs } = buffer.stats();
    expect(heldMs).toBe(10_000);
    expect(overflowMs).toBe(20_000);
  });

  test("hostile stamps neither throw nor pile up", () => {
    const extreme = fc.oneof(
      fc.integer({ min: -1e6, max: 2e6 }),
      fc.constantFrom(-9e15, 9e15, Number.MAX_SAFE_INTEGER, 0, Number.NaN, Number.POSITIVE_INFINITY),
    );
    const step = fc.record({
      pts: extreme,
      playout: extreme,
      samples: fc.integer({ min: 0, max: 3000 }),
      discontinuity: fc.boolean(),
      pulls: fc.integer({ min: 0, max: 3 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        using buffer = new PlayoutBuffer();
        const out = new Float32Array(1920);
        let n = 0;
        for (const { pts, playout, samples, discontinuity, pulls } of steps) {
          const pcm = new Float32Array(samples * 2).fill(0.5);
          buffer.push({ ptsUs: us(pts), samples: pcm, arrivalUs: us(0), discontinuity }, us(playout));
          for (let k = 0; k < pulls; k++, n++) {
            buffer.pull(out, us(n * 20_000));
            for (const x of out) if (!(Math.abs(x) < 2)) throw new Error(`heard ${x}`);
          }
          expect(buffer.stats().heldMs).toBeLessThanOrEqual(10_000);
        }
      }),
      { numRuns: 200 },
    );
  });
});
