import { afterEach, describe, expect, test } from "vitest";
import { us } from "../../src/core/time.ts";
import { AudioDecoder } from "../../src/decode/audio.ts";
import { CHANNELS, TICK_SAMPLES } from "../../src/media/frame.ts";
import type { AudioStreamInfo } from "../../src/media/stream-info.ts";
import { AudioMixer, TICK_US } from "../../src/mixer/audio/audio-mixer.ts";
import { Picture } from "../../src/native/picture.ts";
import { EncodePool } from "../../src/session/encode-pool.ts";
import type { View } from "../../src/session/view.ts";
import { emptyView, encodeContext, Listener, outputSpec, viewState } from "./stage.ts";

const VIDEO = { bitrateBps: 100_000 } as const;
const video = (over: object = {}) =>
  outputSpec({ id: "o", kind: "file", path: "a.mp4", video: { ...VIDEO, ...over } }).video;
const listener = (id: string, audio: object = {}) =>
  outputSpec({ id, kind: "rtp", host: "127.0.0.1", audioPort: 9, view: null, audio });

const mixer = new AudioMixer({ maxSpeakers: 4 });
const views: View[] = [];
const poolOf = (of: AudioMixer = mixer): EncodePool => new EncodePool(of, 0, encodeContext());
function viewOf(id = "main"): View {
  const view = emptyView(viewState({ id }));
  views.push(view);
  return view;
}
afterEach(() => {
  for (const view of views.splice(0)) view.close();
});

/** A second of sound for each source, louder than anything that counts as silence. */
function speak(sources: AudioMixer, ids: readonly string[]): void {
  for (const [index, id] of ids.entries()) {
    sources.add(id);
    const samples = new Float32Array(48_000 * CHANNELS);
    for (let i = 0; i < samples.length; i++) samples[i] = 0.2 * Math.sin((i >> 1) * 0.05 * (index + 1));
    sources.push(id, { ptsUs: us(0), samples, arrivalUs: us(0), discontinuity: false }, us(0));
  }
}

describe("video encoders", () => {
  test("outputs that wish the same share one; each difference opens its own", async () => {
    const pool = poolOf();
    const view = viewOf();
    const first = pool.video(view, video());
    expect(pool.video(view, video())).toBe(first);
    const others = [
      video({ bitrateBps: 200_000 }),
      video({ width: 80 }),
      video({ fps: 5 }),
      video({ bframes: 1 }),
    ];
    const opened = others.map((wish) => pool.video(view, wish));
    expect(new Set([first, ...opened]).size).toBe(5);
    expect(pool.video(viewOf("other"), video())).not.toBe(first);
    await pool.sweep();
  });

  test("an encoder that lost its last output is out of its view: nothing is drawn for it any more", async () => {
    const pool = poolOf();
    const view = viewOf();
    const [a, b] = [new Listener(), new Listener()];
    pool.video(view, video()).add(a);
    pool.video(view, video()).add(b);
    await pool.release(a);
    expect(view.isWatched).toBe(true);
    await view.tick(0);
    await Promise.all([...view.encodes].map((encode) => encode.idle()));
    await pool.release(b);
    expect(view.isWatched).toBe(false);
    expect([...pool.videos]).toEqual([]);
    expect(a.packets).toEqual([]);
    expect(b.stampsUs).toEqual([0]);
  });

  test("an output that changes encoder gets every picture once, from a key frame on", async () => {
    const pool = poolOf();
    const view = viewOf();
    const [mover, stays] = [new Listener(), new Listener()];
    pool.video(view, video()).add(mover);
    pool.video(view, video({ bitrateBps: 300_000 })).add(stays);
    for (let i = 0; i < 5; i++) await view.tick(0);
    const moved = pool.moveVideo(view, video({ bitrateBps: 300_000 }), mover);
    await view.tick(0);
    await moved;
    for (let i = 0; i < 5; i++) await view.tick(0);
    await pool.finish(us(0));
    expect(mover.stampsUs).toEqual(Array.from({ length: 11 }, (_, i) => i * 40_000));
    const from = mover.packets.findLastIndex(({ keyFrame }) => keyFrame);
    expect(from).toBeGreaterThan(4);
  });

  test("an encoder that is waited for is not swept away, and an output that leaves meanwhile stays away", async () => {
    const pool = poolOf();
    const view = viewOf();
    const [mover, leaver, other] = [new Listener(), new Listener(), new Listener()];
    pool.video(view, video()).add(mover);
    pool.video(view, video()).add(leaver);
    pool.video(view, video({ width: 80 })).add(other);
    await view.tick(0);
    const moves = [mover, leaver].map((user) => pool.moveVideo(view, video({ bitrateBps: 300_000 }), user));
    await Promise.all([pool.release(other), pool.release(leaver), ...moves]);
    await view.tick(0);
    await pool.finish(us(0));
    expect(mover.stampsUs).toEqual([0, 40_000]);
    expect(leaver.stampsUs).not.toContain(40_000);
  });
});

test("an encoder that becomes too slow is told once for as long as it is", async () => {
  const pool = new EncodePool(mixer, 0, { ...encodeContext(), sync: false });
  const encode = pool.video(viewOf(), video());
  encode.add(new Listener());
  let index = 0;
  const offer = async (count: number): Promise<void> => {
    for (const end = index + count; index < end; index++)
      void encode.offer(Picture.solid(160, 96, { y: 40, u: 128, v: 128 }), us(index * 40_000));
    await encode.idle();
  };
  const told: number[] = [];
  for (const count of [5, 100, 100, 5, 100]) {
    await offer(count);
    told.push(pool.overloads().length);
  }
  expect(told).toEqual([0, 1, 0, 0, 1]);
  await pool.finish(us(0));
});

describe("encoders that hold pictures back", () => {
  const reordered = (over: object = {}) => video({ bframes: 2, preset: "ultrafast", ...over });
  const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, i) => (from + i) * 40_000);
  const shown = (user: Listener) => user.stampsUs.toSorted((a, b) => a - b);
  const ticks = async (view: View, count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await view.tick(0);
  };

  test("hold them back for two pictures", async () => {
    const [pool, view, user] = [poolOf(), viewOf(), new Listener()];
    pool.video(view, reordered()).add(user);
    await ticks(view, 9);
    await Promise.all([...pool.videos].map((encode) => encode.idle()));
    expect(user.packets.length).toBeLessThan(9);
    expect(user.stampsUs).not.toEqual(shown(user));
    await pool.finish(us(0));
    expect(shown(user)).toEqual(numbers(9));
  });

  for (const company of [false, true]) {
    const how = company ? "with others on its encoder" : "alone on its encoder";
    test(`an output that leaves, ${how}, gets all up to then; who stays gets all`, async () => {
      const [pool, view, user, stays] = [poolOf(), viewOf(), new Listener(), new Listener()];
      pool.video(view, reordered()).add(user);
      if (company) pool.video(view, reordered()).add(stays);
      await ticks(view, 9);
      const released = pool.release(user);
      await ticks(view, 5);
      await released;
      expect(shown(user)).toEqual(numbers(9));
      await pool.finish(us(0));
      expect(shown(user)).toEqual(numbers(9));
      if (company) expect(shown(stays)).toEqual(numbers(14));
    });

    test(`an output that changes encoder, ${how}, gets every picture once and in order`, async () => {
      const [pool, view, user, stays] = [poolOf(), viewOf(), new Listener(), new Listener()];
      pool.video(view, reordered()).add(user);
      if (company) pool.video(view, reordered()).add(stays);
      await ticks(view, 9);
      const moved = pool.moveVideo(view, reordered({ bitrateBps: 300_000 }), user);
      await ticks(view, 8);
      await moved;
      // And once more, onto an encoder that is in the middle of others' pictures, or of its own again.
      const back = pool.moveVideo(view, reordered(), user);
      await ticks(view, 8);
      await back;
      await pool.finish(us(0));
      expect(shown(user)).toEqual(numbers(25));
      const keys = user.packets.filter(({ keyFrame }) => keyFrame).map(({ ptsUs }) => ptsUs);
      expect(keys).toEqual([0, 9 * 40_000, 17 * 40_000]);
      for (const [index, { dtsUs }] of user.packets.entries())
        expect(dtsUs).toBeGreaterThan(user.packets[index - 1]?.dtsUs ?? Number.NEGATIVE_INFINITY);
      if (company) expect(shown(stays)).toEqual(numbers(25));
    });
  }

  test("the mix ends while one changes and another leaves: both get all", async () => {
    const [pool, view, mover, leaver] = [poolOf(), viewOf(), new Listener(), new Listener()];
    for (const user of [mover, leaver, new Listener()]) pool.video(view, reordered()).add(user);
    await ticks(view, 8);
    const moved = pool.moveVideo(view, reordered({ bitrateBps: 300_000 }), mover);
    const released = pool.release(leaver);
    await ticks(view, 1);
    await pool.finish(us(0));
    await Promise.all([moved, released]);
    expect([shown(mover), shown(leaver)]).toEqual([numbers(9), numbers(8)]);
  });

  test("an output that leaves before its first picture, and one that changes then", async () => {
    const [pool, view, mover, leaver] = [poolOf(), viewOf(), new Listener(), new Listener()];
    for (const user of [mover, leaver]) pool.video(view, reordered()).add(user);
    await Promise.all([
      pool.release(leaver),
      pool.moveVideo(view, reordered({ bitrateBps: 300_000 }), mover),
    ]);
    view.skipTo(us(10_000_000));
    await ticks(view, 3);
    await pool.finish(us(0));
    expect(leaver.packets).toEqual([]);
    expect(shown(mover)).toEqual(numbers(3, 251));
  });
});

describe("audio encoders", () => {
  test("everyone who hears the same shares one encode, and the last to leave closes it", async () => {
    const pool = poolOf();
    const users = [new Listener(), new Listener(), new Listener()] as const;
    pool.connectAudio(listener("a"), users[0]);
    pool.connectAudio(listener("b"), users[1]);
    pool.connectAudio(listener("c", { bitrateBps: 24_000 }), users[2]);
    expect(pool.audioEncodes).toBe(2);
    for (const user of users) await pool.release(user);
    expect(pool.audioEncodes).toBe(0);
  });

  test("the last to leave gets what is still inside", async () => {
    const pool = poolOf();
    const user = new Listener();
    pool.connectAudio(outputSpec({ id: "o", kind: "file", path: "a.mp4", view: null }), user);
    for (let tick = 0; tick < 20; tick++) pool.tick(tick, us(tick * TICK_US));
    const before = user.packets.length * 1024;
    expect(before).toBeLessThan(20 * TICK_SAMPLES);
    await pool.release(user);
    // The first 1024 samples prime the decoder.
    expect(user.packets.length * 1024).toBeGreaterThanOrEqual(20 * TICK_SAMPLES + 1024);
  });

  test("a speaker's own encode begins at the tick at which it takes over: no stamp is left out or comes twice", async () => {
    using sounds = new AudioMixer({ maxSpeakers: 4 });
    const pool = poolOf(sounds);
    const user = new Listener();
    pool.connectAudio(listener("a", { without: "anna" }), user);
    let tick = 0;
    const run = (ticks: number): void => {
      for (const end = tick + ticks; tick < end; tick++) {
        sounds.tick(tick);
        pool.tick(tick, us(tick * TICK_US));
      }
    };
    run(5);
    speak(sounds, ["anna", "bert"]);
    run(100);
    expect(pool.audioEncodes).toBe(2);
    run(400);
    expect(pool.audioEncodes).toBe(1);
    await pool.finish(us(0));
    const steps = user.stampsUs.slice(1).map((at, i) => at - (user.stampsUs[i] ?? 0));
    expect([...new Set(steps.map((step) => Math.round(step / 100) * 100))]).toEqual([TICK_US]);
  });

  test("a listener who leaves takes the sum made for them along", async () => {
    using sounds = new AudioMixer({ maxSpeakers: 4 });
    const pool = poolOf(sounds);
    speak(sounds, ["anna"]);
    const user = new Listener();
    pool.connectAudio(listener("a", { without: "anna" }), user);
    sounds.tick(0);
    pool.tick(0, us(0));
    expect(sounds.mixStats().sums).toBe(2);
    await pool.release(user);
    expect(sounds.mixStats().sums).toBe(0);
  });
});

describe("an output whose sound is changed", () => {
  const recording = (audio: object = {}) =>
    outputSpec({ id: "a", kind: "file", path: "a.mp4", view: null, audio });
  const cases = [
    { codec: "aac", specOf: recording, periodUs: (1024 * 1e6) / 48_000 },
    { codec: "opus", specOf: (audio: object = {}) => listener("a", audio), periodUs: TICK_US },
  ];
  const ways = [
    { how: "alone on its encoder", others: [], wish: { matrix: { anna: 0.9 } } },
    { how: "with another on its encoder", others: [{}], wish: { matrix: { anna: 0.9 } } },
    { how: "to what another hears", others: [{ matrix: { anna: 0.9 } }], wish: { matrix: { anna: 0.9 } } },
    { how: "that does without somebody", others: [{}], wish: { without: "bert" } },
  ];
  for (const { codec, specOf, periodUs } of cases) {
    for (const { how, others, wish } of ways) {
      test(`${codec}, ${how}: no packet is missing or twice, and the sound does not dip`, async () => {
        using sounds = new AudioMixer({ maxSpeakers: 4 });
        const pool = poolOf(sounds);
        speak(sounds, ["anna"]);
        const user = new Listener();
        const company = others.map((audio) => ({ spec: specOf(audio), user: new Listener() }));
        pool.connectAudio(specOf(), user);
        for (let tick = 0; tick < 40; tick++) {
          // Its frames, if it has an encoder of its own, do not begin where the first one's do.
          if (tick === 3) for (const other of company) pool.connectAudio(other.spec, other.user);
          if (tick === 17) pool.reconnectAudio(specOf(wish), user);
          sounds.tick(tick);
          pool.tick(tick, us(tick * TICK_US));
        }
        await pool.finish(us(0));
        for (const { stampsUs } of [user, ...company.map((other) => other.user)]) {
          const steps = stampsUs.slice(1).map((at, i) => at - (stampsUs[i] ?? 0));
          expect(Math.min(...steps)).toBeGreaterThan(periodUs - 2);
          expect(Math.max(...steps)).toBeLessThan(periodUs + 2);
        }
        expect(quietest(user)).toBeGreaterThan(0.15);
      });
    }
  }

  test("to what it is already stays where it is", async () => {
    const pool = poolOf();
    const users = [new Listener(), new Listener()];
    for (const user of users) pool.connectAudio(recording(), user);
    for (const user of users) pool.reconnectAudio(recording(), user);
    expect(pool.audioEncodes).toBe(1);
    await pool.finish(us(0));
  });

  test("is heard as asked for, and so are the others as before", async () => {
    using sounds = new AudioMixer({ maxSpeakers: 4 });
    const pool = poolOf(sounds);
    speak(sounds, ["anna"]);
    const [changed, same] = [new Listener(), new Listener()];
    for (const user of [changed, same]) pool.connectAudio(recording(), user);
    pool.reconnectAudio(recording({ matrix: { anna: 0.5 } }), changed);
    const late = new Listener();
    pool.connectAudio(recording(), late);
    expect(pool.audioEncodes).toBe(2);
    for (let tick = 0; tick < 40; tick++) {
      sounds.tick(tick);
      pool.tick(tick, us(tick * TICK_US));
    }
    await pool.finish(us(0));
    for (const [user, peak] of [
      [changed, 0.1],
      [same, 0.2],
      [late, 0.2],
    ] as const)
      expect(quietest(user)).toBeCloseTo(peak, 1.5);
  });
});

/** The peak of the quietest 5 ms that a player hears between 200 and 600 ms. */
function quietest({ packets }: Listener): number {
  using decoder = AudioDecoder.open(packets[0]?.info as AudioStreamInfo);
  const peaks = new Map<number, number>();
  for (const packet of packets) {
    for (const { ptsUs, samples } of decoder.decode(packet)) {
      for (const [i, sample] of samples.entries()) {
        const at = Math.floor((ptsUs + ((i >> 1) * 1e6) / 48_000) / 5000);
        if (at >= 40 && at < 120) peaks.set(at, Math.max(peaks.get(at) ?? 0, Math.abs(sample)));
      }
    }
  }
  return Math.min(...peaks.values());
}
