import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { frameTime } from "../../src/core/rational.ts";
import { openRecording, type RecordingOptions } from "../../src/egress/file.ts";
import type { Manifest } from "../../src/egress/manifest.ts";
import { LiveClock, VirtualClock } from "../../src/media/clock.ts";
import {
  bytesToShowAt,
  chirps,
  chromium,
  ffprobe,
  frameNumbers,
  gstreamer,
  gstreamerDuration,
  packetTimes,
} from "./recording-judges.ts";
import { encodeMedia, type Media, type MediaWish } from "./recording-media.ts";

const TEN_YEARS_MS = 315_532_800_000;
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tessera-recording-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function begin(path: string, { streams }: Media, more: Partial<RecordingOptions> = {}) {
  const fixed = { startWallMs: TEN_YEARS_MS, mix: "m", output: "o", wait: true, clock: new VirtualClock() };
  const recording = openRecording({ path, streams, ...fixed, ...more });
  return { recording, events: Array.fromAsync(recording.events) };
}

async function record(name: string, media: Media): Promise<string> {
  const path = join(folder, name);
  const { recording } = begin(path, media, { overwrite: true });
  for (const packet of media.packets) recording.push(packet);
  await recording.close();
  return path;
}

const counting = (from: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => from + index);
const ntsc = { num: 30_000, den: 1001 };

describe("a whole recording", () => {
  const cases: { file: string; wish: MediaWish; chromiumShows?: boolean }[] = [
    { file: "plain.mp4", wish: {} },
    { file: "plain.mkv", wish: {} },
    { file: "reordered.mp4", wish: { bframes: 2, rate: ntsc, preset: "veryfast" } },
    { file: "reordered.mkv", wish: { bframes: 2, rate: ntsc } },
    { file: "fast.mp4", wish: { preset: "veryfast", rate: { num: 60, den: 1 }, frames: 240 } },
    { file: "midway.mp4", wish: { rate: { num: 25, den: 1 }, firstFrame: 12_345 } },
    { file: "hevc.mp4", wish: { video: "hevc" }, chromiumShows: false },
    { file: "hevc.mkv", wish: { video: "hevc", bframes: 2 }, chromiumShows: false },
    { file: "av1.mp4", wish: { video: "av1", audio: "opus" } },
    { file: "av1.mkv", wish: { video: "av1", audio: "opus" } },
    { file: "vp9.mp4", wish: { video: "vp9", audio: "flac" } },
    { file: "vp8.mkv", wish: { video: "vp8", audio: "opus" } },
  ];

  test.each(cases)(
    "$file is played by ffmpeg, GStreamer and Chromium",
    async ({ file, wish, chromiumShows = true }) => {
      const { rate = { num: 30, den: 1 }, frames = 180, firstFrame = 0 } = wish;
      const path = await record(file, encodeMedia(wish));
      const want = counting(firstFrame, frames);
      const durationS = frameTime(frames, rate) / 1e6;

      const { numbers, complaints } = await frameNumbers(path);
      expect(complaints).toBe("");
      expect(numbers).toEqual(want);
      const probe = await ffprobe(path);
      expect(probe.warnings).toBe("");
      expect(probe.startS).toBe(0);
      // The last block of sound may reach past the last picture.
      expect(probe.durationS).toBeGreaterThanOrEqual(durationS - 0.001);
      expect(probe.durationS).toBeLessThan(durationS + 0.1);
      expect(await gstreamer(path)).toMatchObject({ numbers: want, complaints: "" });
      // ffprobe tells the picture's length, GStreamer that of the longest track.
      expect(await gstreamerDuration(path)).toBeCloseTo(probe.durationS, 1);
      const played = await chromium(path);
      expect(played.error).toBeUndefined();
      expect(played.duration).toBeCloseTo(probe.durationS, 1);
      expect(played.playedS).toBeGreaterThan(0.5);
      expect(played.soughtS).toBeCloseTo(played.duration - 0.5, 1);
      if (chromiumShows) expect(played.videoWidth).toBe(160);
    },
    60_000,
  );

  test.each([
    { rate: { num: 30, den: 1 } },
    { rate: ntsc },
    { rate: { num: 25, den: 1 } },
    { rate: ntsc, bframes: 3 },
  ])("mp4 stamps are exact at $rate.num/$rate.den", async (wish) => {
    const path = await record("exact.mp4", encodeMedia({ ...wish, frames: 150 }));
    const video = (await packetTimes(path, "v")).sort((a, b) => a.pts - b.pts);
    expect(video.map(({ pts }) => pts)).toEqual(
      counting(0, 150).map((index) => Number(((index * wish.rate.den) / wish.rate.num).toFixed(6))),
    );
    const all = await packetTimes(path, "a");
    const audio = all.filter(({ pts }) => pts >= 0);
    // What warms up a decoder stands before 0 and is not heard.
    expect(all.length - audio.length).toBe(1);
    expect(audio.map(({ pts }) => pts)).toEqual(
      audio.map((_, index) => Number(((index * 1024) / 48_000).toFixed(6))),
    );
    expect([...video, ...audio].filter(({ dts, pts }) => dts < 0 || pts < dts)).toEqual([]);
    rmSync(path);
  });

  test("mkv stamps are within 25 us", async () => {
    const path = await record("exact.mkv", encodeMedia({ rate: ntsc, frames: 150 }));
    for (const [index, { pts }] of (await packetTimes(path, "v")).entries()) {
      expect(Math.abs(pts - (index * 1001) / 30_000)).toBeLessThanOrEqual(0.0000255);
    }
  });

  test.each(["mp4", "mkv"])("%s: sound stands to the sample", async (extension) => {
    for (const audio of ["aac", "opus", "flac"] as const) {
      const path = await record(`${audio}.${extension}`, encodeMedia({ audio }));
      // A Matroska file does not have what an encoder's look-ahead needs before time 0, and with it the very first chirp.
      const heard = (await chirps(path)).filter((at) => at > 0);
      expect(heard.slice(0, 5), audio).toEqual([48_000, 96_000, 144_000, 192_000, 240_000]);
    }
  });

  test("colour, pixel shape and rate are told", async () => {
    for (const file of ["plain.mp4", "plain.mkv"]) {
      const { streams } = await ffprobe(join(folder, file));
      expect(streams[0]).toMatchObject({
        color_range: "tv",
        color_space: "bt709",
        color_primaries: "bt709",
        color_transfer: "bt709",
        avg_frame_rate: "30/1",
        width: 160,
        height: 96,
      });
      expect(streams[1]).toMatchObject({ sample_rate: "48000", channels: 1 });
    }
  });

  test.each(["mp4", "mkv"])("%s with sound alone, with picture alone", async (extension) => {
    const sound = await record(`sound.${extension}`, encodeMedia({ video: undefined }));
    expect((await chirps(sound)).slice(0, 5)).toEqual([48_000, 96_000, 144_000, 192_000, 240_000]);
    const picture = await record(`picture.${extension}`, encodeMedia({ audio: undefined }));
    expect((await frameNumbers(picture)).numbers).toEqual(counting(0, 180));
    for (const path of [sound, picture]) {
      const { durationS, streams } = await ffprobe(path);
      expect(durationS).toBeCloseTo(6, 1);
      expect(streams).toHaveLength(1);
    }
  });

  test.each(["mp4", "mkv"])("%s: Chromium finds its place in any codec", async (extension) => {
    for (const [video, gop] of [
      ["vp9", 60],
      ["vp9", 30],
      ["av1", 60],
      ["av1", 30],
      ["h264", 30],
    ] as const) {
      const path = await record(
        `seek-${video}-${gop}.${extension}`,
        encodeMedia({ video, gop, frames: 300 }),
      );
      const played = await chromium(path);
      expect(played, `${video} ${gop}`).toMatchObject({ videoWidth: 160 });
      expect(played.soughtS).toBeCloseTo(played.duration - 0.5, 1);
    }
  });

  test.each([30, 60])(
    "an hour with a key frame every %i pictures opens from its index, not from a scan",
    async (gop) => {
      const media = encodeMedia({ frames: 1800, gop, audio: "opus", video: "vp9" });
      const path = join(folder, "hour.mp4");
      const { recording } = begin(path, media);
      for (let minute = 0; minute < 60; minute++) {
        for (const packet of media.packets) {
          if (packet.ptsUs >= 60e6 || (minute > 0 && packet.ptsUs < 0)) continue;
          const shift = minute * 60e6;
          recording.push({
            ...packet,
            ptsUs: (packet.ptsUs + shift) as never,
            dtsUs: (packet.dtsUs + shift) as never,
          });
        }
        await recording.drained();
      }
      await recording.close();
      const played = await chromium(path);
      expect(played.error).toBeUndefined();
      expect(played.duration).toBeCloseTo(3600, 0);
      expect(played.soughtS).toBeCloseTo(played.duration - 0.5, 1);
      const { size } = statSync(path);
      expect(played.openedAfterBytes).toBeLessThan(size / 4);
      expect(await bytesToShowAt(path, 3590)).toBeLessThan(size / 4);
    },
    60_000,
  );
});

describe("a recording whose process is killed", () => {
  test.each(["mp4", "mkv"])(
    "%s plays, and lost at most 2 s",
    async (extension) => {
      const path = join(folder, `killed.${extension}`);
      const script = join(import.meta.dirname, "recording-child.ts");
      const child = spawn(process.execPath, [script, path], { stdio: ["ignore", "pipe", "inherit"] });
      let givenUs = 0;
      child.stdout.on("data", (bytes: Buffer) => {
        givenUs = Number(bytes.toString().trim().split("\n").at(-1));
        if (givenUs >= 4_700_000) child.kill("SIGKILL");
      });
      expect((await once(child, "close"))[1]).toBe("SIGKILL");

      const { numbers, complaints } = await frameNumbers(path);
      expect(complaints).toBe("");
      expect(numbers).toEqual(counting(0, numbers.length));
      expect(givenUs / 1e6 - numbers.length / 30).toBeLessThan(2);
      expect((await gstreamer(path)).numbers).toEqual(numbers);
      const played = await chromium(path);
      expect(played).toMatchObject({ videoWidth: 160 });
      expect(played.playedS).toBeGreaterThan(0.5);

      // Whoever comes after goes on beside it.
      const before = readFileSync(path);
      const next = encodeMedia({ firstFrame: 300, frames: 60 });
      const { recording, events } = begin(path, next, { previousNode: "node-1" });
      for (const packet of next.packets) recording.push(packet);
      await recording.close();
      expect((await events).at(-2)).toMatchObject({
        type: "finished",
        path: join(folder, `killed.2.${extension}`),
      });
      expect(readFileSync(path).equals(before)).toBe(true);
      const manifest = JSON.parse(readFileSync(join(folder, manifestName(extension)), "utf8")) as Manifest;
      expect(manifest.previousNode).toBe("node-1");
      expect(manifest.parts.map(({ file, closed }) => ({ file, closed }))).toEqual([
        { file: `killed.${extension}`, closed: false },
        { file: `killed.2.${extension}`, closed: true },
      ]);
      const end = manifest.parts[0]?.durationUs ?? 0;
      expect(end / 1e6).toBeCloseTo(numbers.length / 30, 1);
      expect(manifest.gaps).toEqual([{ startPtsUs: end, durationUs: 10_000_000 - end }]);
    },
    60_000,
  );

  test("while it ended an mp4, anywhere in the index at its end", async () => {
    const path = await record("half.mp4", encodeMedia({ bframes: 2 }));
    const whole = readFileSync(path);
    // The last thing written is the size of the mdat around it all.
    whole.write("\0\0\0\x10free", whole.readUInt32BE(0), "latin1");
    for (const missing of [0, 500]) {
      writeFileSync(path, whole.subarray(0, whole.length - missing));
      expect((await frameNumbers(path)).numbers).toEqual(counting(0, 180));
      expect((await gstreamer(path)).numbers).toEqual(counting(0, 180));
    }
  });

  const manifestName = (extension: string): string =>
    extension === "mp4" ? "killed.json" : "killed.mkv.json";
});

/** A disk that can be frozen takes root and a loop device, which CI has; containers often have none. */
const isRoot = process.getuid?.() === 0;
const hasLoop = isRoot && spawnSync("losetup", ["--find"]).status === 0;

describe.runIf(hasLoop)("a disk that hangs (needs root and a loop device)", () => {
  test("costs its own recording only, and nobody waits for it", async () => {
    const [image, mount] = [join(folder, "hanging.img"), join(folder, "hanging")];
    mkdirSync(mount);
    execFileSync("truncate", ["-s", "32M", image]);
    execFileSync("mkfs.ext4", ["-q", image]);
    execFileSync("mount", ["-o", "loop", image, mount]);
    // Thaws it even if this process is gone: what hangs in the kernel cannot be killed.
    const guard = spawn("sh", ["-c", `sleep 30; fsfreeze -u ${mount}`], { detached: true, stdio: "ignore" });
    try {
      const media = encodeMedia({ frames: 600 });
      const hanging = begin(join(mount, "r.mp4"), media, { clock: new LiveClock(), wait: false });
      const healthy = begin(join(folder, "healthy.mp4"), media, { clock: new LiveClock(), wait: false });
      let [hasFailed, longestMs] = [false, 0];
      void hanging.events.then((events) => {
        hasFailed = events.at(-1)?.type === "failed";
      });
      for (const [index, packet] of media.packets.entries()) {
        if (packet.kind === "video" && packet.ptsUs === 4_000_000) {
          while (hanging.recording.stats().frames < 90) await setTimeout(10);
          execFileSync("fsfreeze", ["-f", mount]);
        }
        const before = performance.now();
        hanging.recording.push(packet);
        healthy.recording.push(packet);
        longestMs = Math.max(longestMs, performance.now() - before);
        if (index % 20 === 0) await setTimeout(5);
      }
      await healthy.recording.close();
      expect(hasFailed).toBe(true);
      expect(longestMs).toBeLessThan(100);
      expect(healthy.recording.stats()).toMatchObject({ frames: 600, dropped: 0 });
      expect((await hanging.events).slice(-2)).toMatchObject([
        { type: "partFailed", error: { code: "ERR_STORAGE", message: expect.stringContaining("too slow") } },
        { type: "failed", error: { code: "ERR_STORAGE" } },
      ]);
      execFileSync("fsfreeze", ["-u", mount]);
      await hanging.recording.close();
      const { numbers, complaints } = await frameNumbers(join(mount, "r.mp4"));
      expect(complaints).toBe("");
      expect(numbers).toEqual(counting(0, numbers.length));
      expect(numbers.length).toBeGreaterThanOrEqual(90);
    } finally {
      if (guard.pid !== undefined) process.kill(-guard.pid, "SIGKILL");
      try {
        execFileSync("fsfreeze", ["-u", mount], { stdio: "ignore" });
      } catch {
        // It was thawed.
      }
      execFileSync("umount", [mount]);
    }
  }, 60_000);

  test("a read-only one is a typed failure", async () => {
    const mount = join(folder, "read-only");
    mkdirSync(mount);
    execFileSync("mount", ["-t", "tmpfs", "-o", "ro", "tmpfs", mount]);
    try {
      const media = encodeMedia({ frames: 60 });
      const { recording, events } = begin(join(mount, "r.mp4"), media);
      for (const packet of media.packets) recording.push(packet);
      await recording.close();
      expect((await events).at(-1)).toMatchObject({
        type: "failed",
        error: { code: "ERR_STORAGE", message: expect.stringContaining("read-only") },
      });
    } finally {
      execFileSync("umount", [mount]);
    }
  });
});

describe.runIf(isRoot)("a disk that fills (needs root)", () => {
  test.each(["mp4", "mkv"])(
    "ends the %s with an event, and leaves it playable",
    async (extension) => {
      const mount = join(folder, `small-${extension}`);
      mkdirSync(mount);
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", mount]);
      try {
        const path = join(mount, `full.${extension}`);
        const media = encodeMedia({ frames: 900, noise: true, gop: 30 });
        const { recording, events } = begin(path, media, { clock: new LiveClock(), wait: false });
        const started = process.hrtime.bigint();
        let longestNs = 0n;
        for (const packet of media.packets) {
          const before = process.hrtime.bigint();
          recording.push(packet);
          const took = process.hrtime.bigint() - before;
          if (took > longestNs) longestNs = took;
          if (packet.kind === "video" && packet.keyFrame) await setTimeout(5);
        }
        await recording.close();
        expect(process.hrtime.bigint() - started).toBeLessThan(5_000_000_000n);
        expect(longestNs).toBeLessThan(100_000_000n);
        const told = await events;
        const [partFailed, failed] = told.slice(-2);
        const error = { code: "ERR_STORAGE", fault: "device", message: expect.stringContaining("full") };
        expect(partFailed).toMatchObject({ type: "partFailed", path, error });
        expect(failed).toMatchObject({ type: "failed", error });
        expect(recording.stats().dropped).toBeGreaterThan(0);

        const { numbers, complaints } = await frameNumbers(path);
        expect(complaints).toBe("");
        expect(numbers).toEqual(counting(0, numbers.length));
        expect(numbers.length).toBeGreaterThanOrEqual(30);
        expect(numbers.length).toBe(recording.stats().frames);
        expect((await ffprobe(path)).durationS).toBeCloseTo(numbers.length / 30, 1);
        expect((await gstreamer(path)).numbers).toEqual(numbers);
        const manifest = JSON.parse(readFileSync(join(mount, "full.json"), "utf8")) as Manifest;
        expect(manifest.parts).toMatchObject([{ closed: true, bytes: statSync(path).size }]);
      } finally {
        execFileSync("umount", [mount]);
      }
    },
    60_000,
  );
});

test.each(["mp4", "mkv"])("parts put together by ffmpeg are the recording: %s", async (extension) => {
  const media = encodeMedia({ frames: 300 });
  const path = join(folder, `pieces.${extension}`);
  const { recording, events } = begin(path, media, { segmentS: 3 });
  for (const packet of media.packets) recording.push(packet);
  await recording.close();
  const parts = (await events).flatMap((event) => (event.type === "finished" ? [event.path] : []));
  expect(parts.map((one) => basename(one))).toEqual(
    ["pieces", "pieces.2", "pieces.3"].map((name) => `${name}.${extension}`),
  );
  const numbers: number[] = [];
  for (const part of parts) {
    const seen = (await frameNumbers(part)).numbers;
    numbers.push(...seen);
    expect((await gstreamer(part)).numbers).toEqual(seen);
    // The decoder of an MP4 is warm when the part begins in the middle of a block: a chirp right there is heard whole.
    const heard = await chirps(part);
    const seconds = counting(0, Math.floor(seen.length / 30)).map((second) => second * 48_000);
    if (extension === "mp4") expect(heard.slice(0, seconds.length)).toEqual(seconds);
    for (const at of heard) expect(Math.abs(at - 48_000 * Math.round(at / 48_000))).toBeLessThanOrEqual(2);
  }
  expect(numbers).toEqual(counting(0, 300));
});
