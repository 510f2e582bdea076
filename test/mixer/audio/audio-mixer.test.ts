import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { us } from "../../../src/core/time.ts";
import { AudioMixer, MIXER_AHEAD_US } from "../../../src/mixer/audio/audio-mixer.ts";
import { block, difference, generator, left, noise, roughness, tone } from "./signal.ts";
import { speech } from "./speech.ts";

const TICKS = 50;
const LENGTH = (TICKS + 1) * 960;

const at = (sample: number) => us((sample * 1e6) / 48_000);

/** Second difference of a sine. */
const bend = (hz: number, amplitude: number): number => amplitude * ((2 * Math.PI * hz) / 48_000) ** 2;

/** Gives `pcm` to a source from mix sample `start` on, in blocks of `size`. */
function give(mixer: AudioMixer, id: string, pcm: Float32Array, { start = 0, size = 960 } = {}): void {
  const length = pcm.length / 2;
  for (let i = 0; i < length; i += size)
    mixer.push(id, block(pcm, i, Math.min(length, i + size)), at(start + i));
}

/** Runs ticks [from, to) and joins what `pick` reads after each. */
function collect(
  mixer: AudioMixer,
  from: number,
  to: number,
  pick: () => Float32Array = () => new Float32Array(0),
): Float32Array {
  const out = new Float32Array((to - from) * 1920);
  for (let n = from; n < to; n++) {
    const { mix } = mixer.tick(n);
    const picked = pick();
    out.set(picked.length > 0 ? picked : mix, (n - from) * 1920);
  }
  return out;
}

describe("time", () => {
  test.each([0, 1, 480, 12_345])(
    "a file that starts at sample %i comes out bit for bit, in its place",
    (start) => {
      using mixer = new AudioMixer({ maxSpeakers: 4 });
      const pcm = noise(LENGTH, 0.3);
      mixer.add("file");
      give(mixer, "file", pcm, { start, size: 1024 });
      const out = collect(mixer, 0, TICKS);
      expect(out.subarray(0, start * 2).every((x) => x === 0)).toBe(true);
      expect(difference(out.subarray(start * 2), pcm.subarray(0, out.length - start * 2))).toBe(0);
    },
  );

  test("a click is heard at its time, also by those who have sums of their own", () => {
    using mixer = new AudioMixer({ maxSpeakers: 4 });
    const pcm = new Float32Array(LENGTH * 2);
    pcm[2 * 30_000] = 0.8;
    mixer.add("a");
    mixer.add("b");
    give(mixer, "a", pcm);
    give(mixer, "b", new Float32Array(LENGTH * 2));
    const handles = [
      mixer.want(),
      mixer.want({ without: "b" }),
      mixer.want({ only: "a" }),
      mixer.want({ matrix: { a: 1 } }),
    ];
    for (let n = 0; n < TICKS; n++) {
      mixer.tick(n);
      for (const { pcm: heard } of handles) {
        const peak = heard.findIndex((x) => Math.abs(x) > 0.7);
        expect(peak).toBe(n === Math.floor(30_000 / 960) ? 2 * (30_000 % 960) : -1);
      }
    }
  });

  test("needs no more than 3 ms beyond the tick", () => {
    using mixer = new AudioMixer({ maxSpeakers: 4 });
    const pcm = noise(LENGTH, 0.3);
    mixer.add("a");
    const ahead = (MIXER_AHEAD_US * 48) / 1000;
    const out = new Float32Array(40 * 1920);
    mixer.push("a", block(pcm, 0, ahead), at(0));
    for (let n = 0; n < 40; n++) {
      mixer.push("a", block(pcm, n * 960 + ahead, (n + 1) * 960 + ahead), at(n * 960 + ahead));
      out.set(mixer.tick(n).mix, n * 1920);
    }
    expect(difference(out, pcm.subarray(0, out.length))).toBe(0);
  });

  test("begins at any index, and leaves out ticks that are left out", () => {
    using mixer = new AudioMixer({ maxSpeakers: 4 });
    const pcm = noise(LENGTH, 0.3);
    mixer.add("a");
    give(mixer, "a", pcm, { start: 100_000 * 960 });
    const first = collect(mixer, 100_000, 100_010);
    expect(difference(first, pcm.subarray(0, first.length))).toBe(0);
    const later = collect(mixer, 100_020, 100_030);
    expect(difference(later.subarray(1000), pcm.subarray(20 * 1920 + 1000, 30 * 1920))).toBe(0);
    expect(() => mixer.tick(100_029)).toThrowError(expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" }));
  });

  test("the operator's trim moves a source", () => {
    using mixer = new AudioMixer({ maxSpeakers: 4 });
    const pcm = noise(LENGTH, 0.3);
    mixer.add("a", { delayMs: 125 });
    give(mixer, "a", pcm);
    const out = collect(mixer, 0, TICKS);
    expect(difference(out.subarray(12_000), pcm.subarray(0, out.length - 12_000))).toBe(0);
  });
});

describe("sums", () => {
  test("mix-minus is the sum of the others, exactly, whatever gains and mutes do", () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const random = generator(seed);
        using mixer = new AudioMixer({ maxSpeakers: 8 });
        const ids = ["a", "b", "c", "d", "e"];
        for (const [k, id] of ids.entries()) {
          mixer.add(id);
          give(mixer, id, noise(12 * 960, 0.05, seed + k), { start: Math.floor(random() * 2000) });
        }
        const without = ids.map((id) => mixer.want({ without: id }));
        const only = ids.map((id) => mixer.want({ only: id }));
        for (let n = 0; n < 10; n++) {
          const id = ids[Math.floor(random() * 5)] ?? "a";
          if (random() < 0.5) mixer.update(id, { muted: random() < 0.5, gain: 2 * random() });
          const { mix } = mixer.tick(n);
          for (let i = 0; i < mix.length; i += 37) {
            const parts = only.map(({ pcm }) => pcm[i] ?? 0);
            const total = parts.reduce((sum, part) => sum + part, 0);
            expect(Math.abs((mix[i] ?? 0) - total)).toBeLessThan(1e-7);
            for (const [k, { pcm }] of without.entries()) {
              expect(Math.abs((pcm[i] ?? 0) - (total - (parts[k] ?? 0)))).toBeLessThan(1e-7);
            }
          }
        }
      }),
      { numRuns: 15 },
    );
  });

  test("a participant hears nothing at all of themselves", () => {
    using mixer = new AudioMixer({ maxSpeakers: 4 });
    mixer.add("me");
    mixer.add("you");
    using mine = mixer.want({ without: "me" });
    const [me, you] = [noise(LENGTH, 0.2, 1), noise(LENGTH, 0.2, 2)];
    give(mixer, "me", me);
    give(mixer, "you", you);
    const heard = collect(mixer, 0, TICKS, () => mine.pcm);
    expect(difference(heard, you.subarray(0, heard.length))).toBe(0);
    expect(mine.shared).toBe(false);
  });

  test("who is not mixed gets the shared mix itself, the same array", () => {
    using mixer = new AudioMixer({ maxSpeakers: 4 });
    mixer.add("a");
    give(mixer, "a", noise(LENGTH, 0.2));
    using listener = mixer.want({ without: "nobody" });
    using all = mixer.want();
    const sound = mixer.tick(0);
    expect(listener.pcm).toBe(sound.mix);
    expect(all.pcm).toBe(sound.mix);
    expect([listener.shared, all.shared, sound.isShared("nobody"), sound.isShared("a")]).toEqual([
      true,
      true,
      true,
      false,
    ]);
    expect(sound.without("nobody")).toBe(sound.mix);
  });

  test("a sum that nobody wants is a clear error", () => {
    using mixer = new AudioMixer({ maxSpeakers: 4 });
    mixer.add("a");
    give(mixer, "a", noise(LENGTH, 0.2));
    const sound = mixer.tick(0);
    const missing = expect.objectContaining({ code: "ERR_NOT_FOUND" });
    expect(() => sound.without("a")).toThrowError(missing);
    expect(() => sound.only("a")).toThrowError(missing);
    expect(() => sound.matrix({ a: 1 })).toThrowError(missing);
    expect(() => mixer.want({ without: "a", only: "a" })).toThrowError(
      expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" }),
    );
  });

  test("equal requests share one sum, which is gone with its last handle", () => {
    using mixer = new AudioMixer({ maxSpeakers: 4 });
    const one = mixer.want({ matrix: { a: 1, b: 2 } });
    const two = mixer.want({ matrix: { b: 2, a: 1 } });
    expect(one.pcm).toBe(two.pcm);
    expect(mixer.mixStats().sums).toBe(1);
    one[Symbol.dispose]();
    one[Symbol.dispose]();
    expect(mixer.mixStats().sums).toBe(1);
    two[Symbol.dispose]();
    expect(mixer.mixStats().sums).toBe(0);
  });

  test("an isolated source sounds also while it is not mixed, but not while it is muted", () => {
    using mixer = new AudioMixer({ maxSpeakers: 1 });
    for (const id of ["a", "b"]) mixer.add(id, { policy: "speaker", gain: 0.5 });
    give(mixer, "a", tone(LENGTH, 50, 0.4));
    give(mixer, "b", new Float32Array(LENGTH * 2));
    using only = mixer.want({ only: "a" });
    for (let n = 0; n < 20; n++) mixer.tick(n);
    expect(mixer.stats("a").mixed).toBe(false);
    expect(Math.max(...only.pcm)).toBeCloseTo(0.2, 2);
    mixer.update("a", { muted: true });
    for (let n = 20; n < 25; n++) mixer.tick(n);
    expect(Math.max(...only.pcm)).toBe(0);
  });

  test("a matrix has gains of its own", () => {
    using mixer = new AudioMixer({ maxSpeakers: 4 });
    const [a, b] = [noise(LENGTH, 0.1, 1), noise(LENGTH, 0.1, 2)];
    for (const id of ["a", "b", "c", "__proto__"]) mixer.add(id);
    give(mixer, "a", a);
    give(mixer, "b", b);
    give(mixer, "c", noise(LENGTH, 0.1, 3));
    using matrix = mixer.want({ matrix: { a: 0.5, b: 2 } });
    const out = collect(mixer, 0, 10, () => matrix.pcm);
    const want = Float32Array.from(out, (_, i) => 0.5 * (a[i] ?? 0) + 2 * (b[i] ?? 0));
    expect(difference(out, want)).toBeLessThan(1e-7);
  });

  test("changing what a handle wants cross-fades", () => {
    using mixer = new AudioMixer({ maxSpeakers: 4 });
    mixer.add("a");
    give(mixer, "a", tone(LENGTH, 300, 0.4));
    using handle = mixer.want({ matrix: { a: 1 } });
    const out: number[] = [];
    for (let n = 0; n < 40; n++) {
      if (n === 10) handle.change({ matrix: { a: 0.1 } });
      if (n === 20) handle.change({ without: "a" });
      if (n === 30) handle.change({});
      mixer.tick(n);
      // One tick warms the new sum up, one cross-fades.
      expect(handle.shared).toBe(n > 31);
      out.push(...handle.pcm);
    }
    expect(roughness(left(Float32Array.from(out)), 3)).toBeLessThan(1.5 * bend(300, 0.4));
    expect(Math.max(...out.slice(12 * 1920, 19 * 1920))).toBeCloseTo(0.04, 3);
    expect(Math.max(...out.slice(22 * 1920, 29 * 1920))).toBe(0);
    expect(mixer.mixStats().sums).toBe(1);
  });

  test("every sum holds -1 dBTP, with a limiter of its own", () => {
    using mixer = new AudioMixer({ maxSpeakers: 8 });
    for (const [k, id] of ["a", "b", "c"].entries()) {
      mixer.add(id, { gain: 2 });
      give(mixer, id, tone(LENGTH, 400 + 60 * k, 0.4));
    }
    using minus = mixer.want({ without: "a" });
    using only = mixer.want({ only: "a" });
    const peaks = [0, 0, 0];
    for (let n = 0; n < TICKS; n++) {
      const { mix } = mixer.tick(n);
      for (const [k, pcm] of [mix, minus.pcm, only.pcm].entries()) peaks[k] = Math.max(peaks[k] ?? 0, ...pcm);
    }
    const ceiling = 10 ** (-1 / 20);
    for (const peak of peaks) expect(peak).toBeLessThanOrEqual(ceiling);
    expect(peaks[0]).toBeGreaterThan(0.8);
    expect(peaks[2]).toBeCloseTo(0.8, 3);
    expect(mixer.mixStats().truePeakDb).toBeLessThan(-0.9);
  });
});

describe("changes do not click", () => {
  const changes: readonly {
    readonly name: string;
    readonly act: (mixer: AudioMixer) => void;
    readonly back: (mixer: AudioMixer) => void;
  }[] = [
    {
      name: "mute and unmute",
      act: (m) => m.update("a", { muted: true }),
      back: (m) => m.update("a", { muted: false }),
    },
    { name: "gain", act: (m) => m.update("a", { gain: 0.05 }), back: (m) => m.update("a", { gain: 1 }) },
    {
      name: "remove and add",
      act: (m) => m.remove("a"),
      back: (m) => {
        m.add("a");
        give(m, "a", tone(LENGTH, 300, 0.4, 3210), { start: 30 * 960 + 333 });
      },
    },
    {
      name: "becoming one of many who is gated, and speaking no more",
      act: (m) => {
        m.update("a", { policy: "speaker" });
        for (const id of ["x", "y"]) {
          m.add(id, { policy: "speaker" });
          give(m, id, new Float32Array(LENGTH * 2));
        }
      },
      back: (m) => m.remove("x"),
    },
  ];
  for (const { name, act, back } of changes) {
    test(name, () => {
      using mixer = new AudioMixer({ maxSpeakers: 2 });
      mixer.add("a");
      mixer.add("b");
      give(mixer, "a", tone(LENGTH, 300, 0.4));
      give(mixer, "b", tone(LENGTH, 200, 0.2));
      using minus = mixer.want({ without: "b" });
      using only = mixer.want({ only: "a" });
      const heard: number[][] = [[], [], []];
      for (let n = 0; n < TICKS; n++) {
        if (n === 15) act(mixer);
        if (n === 30) back(mixer);
        const { mix } = mixer.tick(n);
        for (const [k, pcm] of [mix, minus.pcm, only.pcm].entries()) heard[k]?.push(...pcm);
      }
      for (const pcm of heard) {
        expect(roughness(left(Float32Array.from(pcm)), 3)).toBeLessThan(
          1.35 * (bend(300, 0.4) + bend(200, 0.2)),
        );
      }
    });
  }

  test("going over between the shared mix and one's own sum, and back, under a limiter at work", () => {
    using mixer = new AudioMixer({ maxSpeakers: 2 });
    for (const id of ["music", "loud"]) mixer.add(id);
    for (const id of ["me", "x", "y"]) mixer.add(id, { policy: "speaker" });
    const length = 400 * 960;
    give(mixer, "music", tone(length, 210, 0.8));
    give(mixer, "loud", tone(length, 330, 0.7));
    for (const id of ["x", "y"]) give(mixer, id, new Float32Array(length * 2));
    const voice = new Float32Array(length * 2);
    voice.set(speech(2, { level: 0.5 }), 96_000);
    give(mixer, "me", voice);
    using mine = mixer.want({ without: "me" });
    const states: boolean[] = [];
    const out: number[] = [];
    for (let n = 0; n < 390; n++) {
      const sound = mixer.tick(n);
      expect(mine.shared).toBe(mine.pcm === sound.mix);
      if (states.at(-1) !== mine.shared) states.push(mine.shared);
      out.push(...mine.pcm);
    }
    expect(states).toEqual([true, false, true]);
    // The tones under a limiter bend more than by themselves; a click would be far above.
    expect(roughness(left(Float32Array.from(out)), 1000)).toBeLessThan(
      1.6 * (bend(210, 0.8) + bend(330, 0.7)),
    );
  });
});

describe("a room", () => {
  const voices = [speech(6, { pitchHz: 110, seed: 1 }), speech(6, { pitchHz: 210, seed: 2 })];

  test("of ten mixes who speaks, names the speaker, and gives each of them a sum of their own", () => {
    using mixer = new AudioMixer({ maxSpeakers: 3 });
    const ids = Array.from({ length: 10 }, (_, k) => `p${k}`);
    const handles = ids.map((id) => {
      mixer.add(id, { policy: "speaker" });
      give(mixer, id, noise(7 * 48_000, 0.0005, id.charCodeAt(1)));
      return mixer.want({ without: id });
    });
    // p1 speaks from the second second on; p7 from the fourth on, when p1 is still at it.
    const [one, two] = voices;
    for (let i = 0; i < 300; i++) {
      const noisy = (id: string, pcm: Float32Array | undefined, from: number) => {
        const start = (i - from) * 960;
        if (pcm === undefined || start < 0 || start + 960 > pcm.length / 2) return;
        mixer.push(`${id}v`, block(pcm, start, start + 960, { ptsUs: i * 20_000 }), us(i * 20_000));
      };
      if (i === 0) for (const id of ["p1v", "p7v"]) mixer.add(id, { policy: "speaker" });
      noisy("p1", one, 50);
      noisy("p7", two, 150);
    }
    const seen: (string | null)[] = [];
    const at: number[] = [];
    for (let n = 0; n < 300; n++) {
      const { speaker, speakers, talkers, mix } = mixer.tick(n);
      if (speaker !== seen.at(-1)) {
        seen.push(speaker);
        at.push(n);
      }
      expect(talkers).toBe(speakers.length);
      expect(talkers).toBeLessThanOrEqual(3);
      for (const handle of handles) if (handle.shared) expect(handle.pcm).toBe(mix);
      // Speech begins at tick 50; at most three ticks of it are lost to the gate.
      if (n === 49) expect(speakers).toEqual([]);
      if (n === 56) expect(speakers).toEqual(["p1v"]);
      if (n === 140) expect(speakers).toEqual(["p1v"]);
      if (n === 220) expect(speakers).toEqual(["p1v", "p7v"]);
    }
    expect(seen.slice(0, 2)).toEqual([null, "p1v"]);
    expect(at[1]).toBeLessThan(50 + 25);
    for (const handle of handles) handle[Symbol.dispose]();
  });

  test("levels, loudness and playout are told per source and for the mix", () => {
    using mixer = new AudioMixer({ maxSpeakers: 3 });
    mixer.add("a", { gain: 0.5 });
    give(mixer, "a", tone(5 * 48_000, 1000, 0.1));
    for (let n = 0; n < 200; n++) mixer.tick(n);
    const { levelDbov, lufs, truePeakDb, mixed, playout } = mixer.stats("a");
    expect({ levelDbov, mixed }).toEqual({ levelDbov: 23, mixed: true });
    expect(lufs.integrated).toBeCloseTo(-20, 1);
    expect(truePeakDb).toBeCloseTo(-20, 1);
    expect(playout).toMatchObject({ errorMs: 0, lateMs: 0 });
    expect(mixer.mixStats().lufs.integrated).toBeCloseTo(-26, 1);
  });

  test("the number of speakers may change while it runs", () => {
    using mixer = new AudioMixer({ maxSpeakers: 3 });
    for (const id of ["a", "b", "c"]) {
      mixer.add(id, { policy: "speaker" });
      give(mixer, id, new Float32Array(LENGTH * 2));
    }
    expect(mixer.tick(0).speakers).toEqual(["a", "b", "c"]);
    mixer.configure({ maxSpeakers: 2 });
    expect(mixer.tick(1).speakers).toEqual([]);
    mixer.configure({ maxSpeakers: 4 });
    expect(mixer.tick(2).talkers).toBe(3);
    expect(() => mixer.configure({ maxSpeakers: 1.5 })).toThrowError(
      expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" }),
    );
  });

  test("sources are added once and removed at any time", () => {
    using mixer = new AudioMixer({ maxSpeakers: 3 });
    mixer.add("a");
    expect(() => mixer.add("a")).toThrowError(expect.objectContaining({ code: "ERR_EXISTS" }));
    mixer.remove("a");
    mixer.remove("a");
    expect(() => mixer.update("a", { gain: 2 })).toThrowError(
      expect.objectContaining({ code: "ERR_NOT_FOUND" }),
    );
    mixer.push("a", block(tone(960), 0, 960), us(0));
    expect(mixer.tick(0).mix.every((x) => x === 0)).toBe(true);
    expect(() => new AudioMixer({ maxSpeakers: 0 })).toThrowError(
      expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" }),
    );
  });
});

test("a source that gives no numbers harms nobody else", () => {
  using mixer = new AudioMixer({ maxSpeakers: 4 });
  mixer.add("good");
  mixer.add("bad");
  const good = noise(LENGTH, 0.2);
  give(mixer, "good", good);
  const bad = new Float32Array(LENGTH * 2).map(
    (_, i) => [Number.NaN, Number.POSITIVE_INFINITY, -1e30, 0][i % 4] ?? 0,
  );
  give(mixer, "bad", bad);
  const out = collect(mixer, 0, TICKS);
  expect(difference(out, good.subarray(0, out.length))).toBe(0);
  expect(mixer.stats("bad").playout.silencedSamples).toBe((bad.length * 3) / 4);
  for (const settings of [
    { gain: Number.NaN },
    { gain: -1 },
    { delayMs: Number.POSITIVE_INFINITY },
    { priority: Number.NaN },
  ]) {
    expect(() => mixer.update("good", settings)).toThrowError(
      expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" }),
    );
  }
});

test("the same sound comes out, however it is cut into blocks", () => {
  const run = (seed: number): Float32Array => {
    const random = generator(seed);
    using mixer = new AudioMixer({ maxSpeakers: 2, loudness: -20 });
    const sources = ["a", "b", "c"].map((id, k) => ({
      id,
      pcm: speech(3, { pitchHz: 100 + 40 * k, seed: k + 1 }),
      given: 0,
    }));
    for (const { id } of sources) mixer.add(id, { policy: "speaker" });
    const out: number[] = [];
    for (let n = 0; n < 120; n++) {
      for (const source of sources) {
        while (source.given < (n + 1) * 960 + 144) {
          const next = source.given + 1 + Math.floor(random() * 2000);
          mixer.push(source.id, block(source.pcm, source.given, next), at(source.given));
          source.given = next;
        }
      }
      out.push(...mixer.tick(n).mix);
    }
    return Float32Array.from(out);
  };
  expect(run(1)).toEqual(run(2));
});

/** What is held after a collection of garbage; array buffers are freed behind the collector's back, so it looks thrice. */
async function heldBytes(): Promise<number> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 3; i++) {
    collect();
    await setImmediate();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    least = Math.min(least, heapUsed + arrayBuffers);
  }
  return least;
}

test("ten thousand ticks do not grow memory", async () => {
  using mixer = new AudioMixer({ maxSpeakers: 2, loudness: -20 });
  const ids = ["a", "b"];
  const handles = ids.map((id) => {
    mixer.add(id, { policy: "speaker" });
    return mixer.want({ without: id });
  });
  const pcm = speech(2);
  const tick = (n: number): void => {
    for (const [k, id] of ids.entries()) {
      const from = ((n + 11 * k) % 99) * 1920;
      const ptsUs = us(n * 20_000 + 40_000);
      mixer.push(
        id,
        { ptsUs, samples: pcm.subarray(from, from + 1920), arrivalUs: ptsUs, discontinuity: false },
        ptsUs,
      );
    }
    // A participant comes and goes all the time, with a sum of their own.
    if (n % 20 === 0) mixer.add("guest");
    if (n % 20 === 0) mixer.want({ only: "guest" })[Symbol.dispose]();
    if (n % 20 === 10) mixer.remove("guest");
    mixer.tick(n);
  };
  for (let n = 0; n < 2000; n++) tick(n);
  const before = await heldBytes();
  for (let n = 2000; n < 10_000; n++) tick(n);
  expect((await heldBytes()) - before).toBeLessThan(4e6);
  expect(mixer.mixStats().sums).toBe(2);
  for (const handle of handles) handle[Symbol.dispose]();
}, 60_000);
