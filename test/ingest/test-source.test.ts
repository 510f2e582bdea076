import { afterEach, describe, expect, test } from "vitest";
import { frameTime, rational } from "../../src/core/rational.ts";
import { seconds, us } from "../../src/core/time.ts";
import { isSound } from "../../src/ingest/raw.ts";
import { openTestSource, type TestSourceOptions } from "../../src/ingest/test-source.ts";
import { LiveClock, VirtualClock } from "../../src/media/clock.ts";
import type { AudioBlock } from "../../src/media/frame.ts";
import { NativeFrame } from "../../src/native/frame.ts";
import { type Gray, judgeCounters, readCounter } from "../kit/counter.ts";

/** What a test needs of a picture after its frame is gone. */
interface Seen extends Gray {
  readonly ptsUs: number;
}

/** Runs a source for `count` pictures on a clock that never waits. */
async function play(
  options: Omit<TestSourceOptions, "clock">,
  count: number,
): Promise<{ pictures: Seen[]; sound: AudioBlock[] }> {
  const source = openTestSource({ clock: new VirtualClock(), leadUs: seconds(3600), ...options });
  const pictures: Seen[] = [];
  const sound: AudioBlock[] = [];
  for await (const item of source) {
    if (isSound(item)) {
      sound.push(item);
      continue;
    }
    using frame = item as NativeFrame;
    const { widthPx: width, heightPx: height, ptsUs } = frame;
    const stride = frame.raw.linesize[0] ?? width;
    pictures.push({ data: Uint8Array.from(frame.raw.data?.[0] ?? []), width, height, stride, ptsUs });
    if (pictures.length >= count) break;
  }
  return { pictures, sound };
}

const lumaAt = ({ data, stride = 0 }: Seen, x: number, y: number): number => data[y * stride + x] ?? -1;

afterEach(() => expect(NativeFrame.live).toBe(0));

describe("counter", () => {
  const sizes = [
    { widthPx: 1280, heightPx: 720 },
    { widthPx: 640, heightPx: 360 },
    { widthPx: 322, heightPx: 182 },
  ];
  test.each(sizes)("numbers every picture at $widthPx x $heightPx", async (size) => {
    const { pictures } = await play({ pattern: "counter", source: 7, ...size }, 70);
    const read = pictures.map((one) =>
      readCounter(one, { x: 0, y: 0, width: one.width, height: one.height }),
    );
    expect(read.every((one) => one?.source === 7)).toBe(true);
    expect(judgeCounters(read)).toMatchObject({
      unreadable: 0,
      first: 0,
      last: 69,
      missed: [],
      repeated: [],
    });
  });

  test("stamps its pictures on the exact grid of its rate", async () => {
    const frameRate = rational("30000/1001");
    const { pictures } = await play({ pattern: "counter", frameRate }, 100);
    expect(pictures.map((one) => one.ptsUs)).toEqual(pictures.map((_, index) => frameTime(index, frameRate)));
  });
});

describe("flashbeep", () => {
  for (const rate of ["30", "25", "30000/1001"]) {
    test(`beeps with the first sample of each flash at ${rate} frames per second`, async () => {
      const { pictures, sound } = await play({ pattern: "flashbeep", frameRate: rational(rate) }, 130);
      const flashes = pictures.filter((one) => lumaAt(one, 600, 300) > 200).map((one) => one.ptsUs);
      expect(flashes.length).toBeGreaterThan(3);
      const left = sound.flatMap((block) => [...block.samples].filter((_, index) => index % 2 === 0));
      // A sine begins with a zero, so the beep's first sample is the one before the first that is heard.
      const onsets = left.flatMap((value, at) =>
        value !== 0 && left.slice(Math.max(0, at - 500), at).every((one) => one === 0) ? [at - 1] : [],
      );
      expect(onsets.slice(0, flashes.length)).toEqual(flashes.map((at) => Math.round(at * 0.048)));
      const second = left.slice((onsets[1] ?? 0) - 100, (onsets[1] ?? 0) + 4000);
      expect(second.findLastIndex((value) => value !== 0)).toBeLessThanOrEqual(100 + 1920);
    });
  }
});

test("bars are seven columns that keep still", async () => {
  const { pictures } = await play({ pattern: "bars" }, 3);
  const row = (one: Seen | undefined): number[] =>
    [0, 1, 2, 3, 4, 5, 6].map((bar) => (one === undefined ? -1 : lumaAt(one, 90 + bar * 183, 400)));
  expect(row(pictures[0])).toEqual([180, 168, 145, 133, 63, 51, 28]);
  expect(row(pictures[2])).toEqual(row(pictures[0]));
});

test("the moving pattern moves, and leaves no trace behind", async () => {
  const { pictures } = await play({ pattern: "moving", widthPx: 320, heightPx: 180 }, 241);
  const bright = ({ data }: Seen): number => data.reduce((sum, luma) => sum + (luma === 210 ? 1 : 0), 0);
  const counts = pictures.map(bright);
  expect(Math.min(...counts)).toBeGreaterThan(200);
  expect(new Set(counts).size).toBe(1);
  expect(pictures[10]?.data).not.toEqual(pictures[0]?.data);
  expect(pictures[240]?.data).toEqual(pictures[0]?.data);
});

test("a tone goes on without seam, silence is silent", async () => {
  const { sound } = await play({ pattern: "bars", tone: 440 }, 40);
  const left = sound.flatMap((block) => [...block.samples].filter((_, index) => index % 2 === 0));
  const wanted = left.map((_, index) => Math.fround(0.25 * Math.sin((2 * Math.PI * 440 * index) / 48_000)));
  expect(Math.max(...left.map((value, index) => Math.abs(value - (wanted[index] ?? 0))))).toBeLessThan(1e-6);
  const silent = await play({ pattern: "bars" }, 10);
  expect(silent.sound.every((block) => block.samples.every((value) => value === 0))).toBe(true);
});

test("pictures that somebody still holds are not drawn over", async () => {
  const source = openTestSource({ pattern: "counter", clock: new VirtualClock(), leadUs: seconds(60) });
  const held: NativeFrame[] = [];
  for await (const item of source) {
    if (!isSound(item)) held.push(item as NativeFrame);
    if (held.length === 40) break;
  }
  const numbers = held.map((frame) => {
    const gray = { data: frame.raw.data?.[0] ?? Buffer.alloc(0), width: 1280, height: 720 };
    return readCounter(
      { ...gray, stride: frame.raw.linesize[0] ?? 0 },
      { x: 0, y: 0, width: 1280, height: 720 },
    );
  });
  expect(numbers.map((one) => one?.number)).toEqual(held.map((_, index) => index));
  for (const frame of held) frame[Symbol.dispose]();
});

test("a live source keeps to its clock, costs little, and stops at once", async () => {
  const clock = new LiveClock();
  const source = openTestSource({ pattern: "moving", clock, tone: 300 });
  const before = process.cpuUsage();
  const late: number[] = [];
  for await (const item of source) {
    late.push(clock.now() - item.ptsUs);
    if (!isSound(item)) item[Symbol.dispose]();
    if (item.ptsUs >= 1_000_000) break;
  }
  const { user, system } = process.cpuUsage(before);
  expect(Math.min(...late)).toBeGreaterThanOrEqual(0);
  // 2 % of a core is 20 ms in this second; timers and the test's own work are in it, so allow for a slow machine.
  expect(user + system).toBeLessThan(100_000);
  expect(await source[Symbol.asyncIterator]().next()).toMatchObject({ done: true });
});

test("closing ends a reader that waits", async () => {
  const source = openTestSource({ pattern: "bars", clock: new VirtualClock(), leadUs: us(100) });
  const reader = (async () => {
    for await (const item of source) if (!isSound(item)) item[Symbol.dispose]();
  })();
  await source.close();
  await expect(reader).resolves.toBeUndefined();
});
