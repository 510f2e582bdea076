import { expect, test } from "vitest";
import { judgeCounters } from "../kit/counter.ts";
import { decodePcm } from "../kit/decode.ts";
import { judgeSync } from "../kit/flash-beep.ts";
import { Folder } from "../kit/folder.ts";
import { gaps, picturePts, probe } from "../kit/judge.ts";
import { counterVideo, flashBeep, rateOf } from "../kit/media.ts";
import { requirePeer } from "../kit/peers.ts";
import { runToEnd } from "../kit/process.ts";
import { peakDb } from "../kit/spectrum.ts";
import { readSources, upTo } from "./counting.ts";
import { inputs, mixWell, outputs } from "./program.ts";

const SIZE = { width: 640, height: 360 };
const SMALL = ["--size", "640x360"];

const counters = (count: number, options: Parameters<typeof counterVideo>[0] = {}): Promise<string[]> =>
  Promise.all(upTo(count).map((source) => counterVideo({ seconds: 3, source, ...options })));

requirePeer("ffmpeg")("every picture once", () => {
  test.each([1, 2, 4, 9])("%i counters at 30 in 30, into MP4 and Matroska at once", async (count) => {
    using folder = new Folder();
    const files = [folder.file("a.mp4"), folder.file("a.mkv")];
    const { summary } = await mixWell([
      ...inputs(...(await counters(count))),
      ...SMALL,
      ...outputs(...files),
      "--fast",
    ]);
    expect(summary).toMatchObject({ frames: 90, repeated: 0, late: 0, dropped: 0, durationS: 3 });
    expect(summary.encoders.map(({ frames }) => frames)).toEqual([90]); // Two files, one encoder.
    expect(summary.decoders.map(({ frames }) => frames)).toEqual(upTo(count).map(() => 90));
    for (const file of files) {
      const sources = await readSources(file, [{ ...SIZE, count }]);
      for (const { numbers } of sources) expect(numbers).toEqual(upTo(90));
      expect(gaps(await picturePts(file), 1 / 30)).toEqual([]);
      expect((await probe(file)).audio).toMatchObject({ codec_name: "aac", channels: 2 });
    }
  });

  test("30000/1001 in a view of 30000/1001, with sound in the inputs", async () => {
    using folder = new Folder();
    const file = folder.file("a.mp4");
    const fps = "30000/1001";
    const { summary } = await mixWell([
      ...inputs(...(await counters(2, { fps, tone: 440 }))),
      ...SMALL,
      ...["--fps", fps, "--fast"],
      ...outputs(file),
    ]);
    expect(summary.frames).toBe(90);
    for (const { numbers } of await readSources(file, [{ ...SIZE, count: 2 }]))
      expect(numbers).toEqual(upTo(90));
    expect((await probe(file)).video?.r_frame_rate).toBe(fps);
  });

  test("25 in 30: all of them, and every fifth twice", async () => {
    using folder = new Folder();
    const file = folder.file("a.mp4");
    const { summary } = await mixWell([
      ...inputs(...(await counters(2, { fps: 25 }))),
      ...SMALL,
      ...outputs(file),
      "--fast",
    ]);
    expect(summary.frames).toBe(90);
    for (const { readings } of await readSources(file, [{ ...SIZE, count: 2 }])) {
      const judged = judgeCounters(readings);
      expect(judged).toMatchObject({ unreadable: 0, first: 0, last: 74, missed: [], backward: [] });
      expect(judged.repeated).toHaveLength(15);
    }
  });

  test("60 in 30: every second one", async () => {
    using folder = new Folder();
    const file = folder.file("a.mp4");
    await mixWell([...inputs(...(await counters(1, { fps: 60 }))), ...SMALL, ...outputs(file), "--fast"]);
    const [source] = await readSources(file, [{ ...SIZE, count: 1 }]);
    const steps = source?.numbers.slice(1).map((number, index) => number - (source.numbers[index] ?? 0));
    expect(source?.numbers).toHaveLength(90);
    expect(new Set(steps)).toEqual(new Set([2]));
  });

  test("an input that ends leaves the layout, and costs the others nothing", async () => {
    using folder = new Folder();
    const file = folder.file("a.mkv");
    const lengths = [4, 2, 3];
    const made = lengths.map((seconds, source) => counterVideo({ seconds, source }));
    const { summary, events } = await mixWell([
      ...inputs(...(await Promise.all(made))),
      ...SMALL,
      ...outputs(file),
      "--fast",
    ]);
    expect(summary).toMatchObject({ frames: 120, repeated: 0 });
    const grids = [3, 2, 1].map((count) => ({ ...SIZE, count }));
    const sources = await readSources(file, grids);
    expect(sources.map(({ numbers }) => numbers)).toEqual(lengths.map((seconds) => upTo(30 * seconds)));
    // Who stays has the canvas: the last second shows source 0 over all of it.
    const whole = await readSources(file, [{ ...SIZE, count: 1 }]);
    expect(whole[0]?.numbers).toEqual(upTo(120).slice(90));
    const left = events.filter(({ type }) => type === "source.offline");
    expect(left).toMatchObject([
      { source: "in2", ended: true },
      { source: "in3", ended: true },
      { source: "in1", ended: true },
    ]);
  });

  test("--duration cuts exactly, and outlasts the inputs", async () => {
    using folder = new Folder();
    const [short, long] = [folder.file("short.mp4"), folder.file("long.mp4")];
    const [input = ""] = await counters(1);
    const cut = await mixWell([...inputs(input), ...SMALL, ...outputs(short), "--fast", "--duration", "1.5"]);
    expect(cut.summary).toMatchObject({ frames: 45, durationS: 1.5 });
    expect((await readSources(short, [{ ...SIZE, count: 1 }]))[0]?.numbers).toEqual(upTo(45));
    await mixWell([...inputs(input), ...SMALL, ...outputs(long), "--fast", "--duration", "4"]);
    const { readings, numbers } = (await readSources(long, [{ ...SIZE, count: 1 }]))[0] ?? {};
    expect(numbers).toEqual(upTo(90));
    expect(readings).toHaveLength(120);
  });

  test("an input that loops begins again, and every round is whole", async () => {
    using folder = new Folder();
    const file = folder.file("a.mp4");
    const input = await counterVideo({ seconds: 1, tone: 440 });
    await mixWell([...inputs(`${input},loop`), ...SMALL, ...outputs(file), "--fast", "--duration", "4"]);
    const [source] = await readSources(file, [{ ...SIZE, count: 1 }]);
    expect(source?.readings).toHaveLength(120);
    const numbers = source?.numbers ?? [];
    // AAC frames outlast the second, and nothing of them is cut: a round may wait for its sound, on its last picture.
    const changes = numbers.filter((number, n) => number !== numbers[n - 1]);
    expect(changes).toEqual(upTo(changes.length).map((n) => n % 30));
    expect(changes.length).toBeGreaterThan(100);
  });

  test("a view of one picture a second, of pictures that last longer than most", async () => {
    using folder = new Folder();
    const file = folder.file("a.mp4");
    const slow = await counterVideo({ seconds: 4, fps: "2/3", source: 1 });
    await mixWell([
      ...inputs(...(await counters(1)), slow, "test:moving"),
      ...SMALL,
      ...["--fps", "1", "--fast", "--duration", "3"],
      ...outputs(file),
    ]);
    const [quick, lazy] = await readSources(file, [{ ...SIZE, count: 3 }]);
    expect(quick?.numbers).toEqual([14, 44, 74]); // The newest before each tick and a half.
    expect(lazy?.numbers).toEqual([0, 0, 1]);
  });

  test("--fast twice gives the same pictures and the same sound", async () => {
    using folder = new Folder();
    const made = [counterVideo({ seconds: 3, tone: 440 }), flashBeep({ seconds: 3, fps: 25 })];
    const files = [folder.file("1.mkv"), folder.file("2.mkv")];
    const sums: string[] = [];
    for (const file of files) {
      await mixWell([...inputs(...(await Promise.all(made))), ...SMALL, ...outputs(file), "--fast"]);
      sums.push((await runToEnd("ffmpeg", ["-v", "error", "-i", file, "-f", "framemd5", "-"])).stdout);
    }
    expect(sums[0]?.split("\n").length).toBeGreaterThan(200);
    expect(sums[1]).toBe(sums[0]);
  });

  test("no input has sound: the track is there, whole and silent; --no-audio leaves it out", async () => {
    using folder = new Folder();
    const [silent, none] = [folder.file("silent.mp4"), folder.file("none.mp4")];
    const [input = ""] = await counters(1);
    await mixWell([...inputs(input), ...SMALL, ...outputs(silent), "--fast"]);
    const { samples } = await decodePcm(silent);
    expect(samples.length / 48_000).toBeGreaterThan(2.98);
    expect(samples.length / 48_000).toBeLessThan(3.03);
    expect(peakDb(samples)).toBeLessThan(-90);
    await mixWell([...inputs(input), ...SMALL, ...outputs(none), "--fast", "--no-audio"]);
    const probed = await probe(none);
    expect(probed.audio).toBeUndefined();
    expect((await readSources(none, [{ ...SIZE, count: 1 }]))[0]?.numbers).toEqual(upTo(90));
  });
});

requirePeer("ffmpeg")("flash and beep", () => {
  test.each([
    { input: 30, view: 30, container: "mp4", mean: 10, sd: 5 },
    { input: 30, view: 30, container: "mkv", mean: 10, sd: 5 },
    { input: "30000/1001", view: "30000/1001", container: "mp4", mean: 10, sd: 5 },
    { input: 25, view: 30, container: "mp4", mean: 20, sd: 12 },
    { input: 60, view: 30, container: "mp4", mean: 20, sd: 12 },
    { input: "30000/1001", view: 30, container: "mkv", mean: 20, sd: 12 },
  ])("$input in $view, $container: within $mean ms, sd $sd", async ({ input, view, container, mean, sd }) => {
    using folder = new Folder();
    const file = folder.file(`a.${container}`);
    const flashing = await flashBeep({ seconds: 8, fps: input });
    await mixWell([
      ...inputs(flashing, await counterVideo({ seconds: 3 })),
      ...SMALL,
      ...["--fps", `${view}`, "--fast"],
      ...outputs(file),
    ]);
    // It stands in the left half beside the counter, and on the whole canvas once that has ended.
    const judged = await judgeSync(file, { x: 100, y: 150, width: 120, height: 60 });
    expect(judged.offsetsMs).toHaveLength(7);
    expect(Math.abs(judged.meanMs)).toBeLessThanOrEqual(mean);
    expect(judged.sdMs).toBeLessThanOrEqual(sd);
    // And both where they belong: the flash of second n within a picture of second n.
    for (const [index, flashS] of judged.flashesS.entries())
      expect(Math.abs(flashS - (index + 1))).toBeLessThanOrEqual(1 / rateOf(view) + 0.001);
  });
});
