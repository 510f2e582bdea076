import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { judgeCounters } from "../kit/counter.ts";
import { decodePcm } from "../kit/decode.ts";
import { Folder } from "../kit/folder.ts";
import { silences } from "../kit/judge.ts";
import { counterVideo, makeMedia, tone } from "../kit/media.ts";
import { requirePeer } from "../kit/peers.ts";
import { toneLevelDb } from "../kit/spectrum.ts";
import { readSources, upTo } from "./counting.ts";
import { inputs, mixWell, outputs } from "./program.ts";

const SIZE = { width: 640, height: 360 };
const GRIDS = [3, 2, 1].map((count) => ({ ...SIZE, count }));
const SMALL = ["--size", "640x360", "--fast"];
const X264 = ["-c:v", "libx264", "-preset", "veryfast"];

/** What the mix of these files shows of each, how it sounds, and what the program said of it. */
async function mixed(files: readonly string[], args: readonly string[] = []) {
  using folder = new Folder();
  const file = folder.file("out.mkv");
  const result = await mixWell([...inputs(...files), ...SMALL, ...args, ...outputs(file)]);
  const sources = await readSources(file, GRIDS);
  return { ...result, sources, sound: await decodePcm(file) };
}

requirePeer("ffmpeg")("time in files as they are", () => {
  test("B-frames and an open GOP in TS", async () => {
    const codec = ["-bf", "3", "-x264opts", "open-gop=1:keyint=15:b-pyramid=normal"];
    const input = await counterVideo({ seconds: 3, container: "ts", codec });
    const { sources } = await mixed([input]);
    expect(sources[0]?.numbers).toEqual(upTo(90));
  });

  test.each([
    ["VP8 in WebM", "webm", []],
    ["VP9 in Matroska", "mkv", ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"]],
    ["HEVC in MP4", "mp4", ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"]],
    ["MPEG-2 in TS", "ts", ["-c:v", "mpeg2video", "-b:v", "4M"]],
    ["MPEG-4 in AVI", "avi", ["-c:v", "mpeg4", "-b:v", "4M"]],
    ["FLV", "flv", []],
  ])("%s", async (_, container, codec) => {
    const { sources } = await mixed([await counterVideo({ seconds: 2, container, codec })]);
    expect(sources[0]?.numbers).toEqual(upTo(60));
  });

  test("a variable frame rate: each picture for as long as it lasts", async () => {
    const steady = await counterVideo({ seconds: 3 });
    const filter = "select='not(eq(mod(n\\,7)\\,2)+eq(mod(n\\,7)\\,3))'";
    const input = await makeMedia(["-i", steady, "-vf", filter, "-vsync", "vfr", ...X264, "-bf", "0"], "mkv");
    const { sources } = await mixed([input]);
    const isThere = (n: number): boolean => n % 7 !== 2 && n % 7 !== 3;
    const want = upTo(90).map((n) => upTo(n + 1).findLast(isThere));
    expect(sources[0]?.numbers.slice(0, 88)).toEqual(want.slice(0, 88));
  });

  test("a change of size in the middle of the stream", async () => {
    using folder = new Folder();
    const parts = [
      await counterVideo({ seconds: 2, container: "ts" }),
      await counterVideo({ seconds: 2, container: "ts", width: 320, height: 240, first: 60 }),
      await counterVideo({ seconds: 2, container: "ts", width: 848, height: 480, first: 120 }),
    ];
    const shifted = parts.map((part, index) =>
      makeMedia(["-i", part, "-c", "copy", "-copyts", "-output_ts_offset", `${2 * index}`], "ts"),
    );
    const joined = folder.file("joined.ts");
    writeFileSync(joined, Buffer.concat((await Promise.all(shifted)).map((part) => readFileSync(part))));
    const { sources } = await mixed([joined, await counterVideo({ seconds: 6, source: 1 })]);
    expect(sources[1]?.numbers).toEqual(upTo(180));
    const judged = judgeCounters(sources[0]?.readings ?? []);
    expect(judged).toMatchObject({ first: 0, last: 179, missed: [], backward: [] });
  });

  test("stamps that jump ahead by an hour in the middle: sound and picture go on, together", async () => {
    using folder = new Folder();
    const parts = [
      await counterVideo({ seconds: 2, container: "ts", tone: 440 }),
      await counterVideo({ seconds: 2, container: "ts", tone: 440, first: 60 }),
    ];
    const jumped = await makeMedia(
      ["-i", parts[1] ?? "", "-c", "copy", "-copyts", "-output_ts_offset", "3600"],
      "ts",
    );
    const joined = folder.file("joined.ts");
    writeFileSync(joined, Buffer.concat([parts[0] ?? "", jumped].map((part) => readFileSync(part))));
    const { sources, summary } = await mixed([joined, await counterVideo({ seconds: 5, source: 1 })]);
    expect(summary.frames).toBe(150);
    expect(sources[1]?.numbers).toEqual(upTo(150));
    const judged = judgeCounters(sources[0]?.readings ?? []);
    expect(judged).toMatchObject({ first: 0, last: 119, missed: [], backward: [] });
  });

  test("sound first, picture a second later; sound that ends early", async () => {
    const counted = await counterVideo({ seconds: 2 });
    const beeping = await tone(440, { seconds: 2 });
    const late = ["-itsoffset", "1", "-i", counted, "-i", beeping, "-map", "0:v", "-map", "1:a"];
    const input = await makeMedia([...late, "-c:v", "copy", "-c:a", "flac"], "mkv");
    const { sources, sound } = await mixed([input]);
    const readings = sources[0]?.readings ?? [];
    expect(readings.slice(0, 29).every((one) => one === null)).toBe(true);
    expect(readings.slice(30).map((one) => one?.number)).toEqual(upTo(60));
    expect(toneLevelDb(sound.samples.subarray(24_000, 72_000), 440)).toBeGreaterThan(-16);
    const [quiet] = silences(sound, { belowDb: -60, minMs: 500 });
    expect(quiet?.fromMs).toBeGreaterThan(1980);
    expect(quiet?.fromMs).toBeLessThan(2060);
  });
});

requirePeer("ffmpeg")("broken files beside good ones", () => {
  test("missing, empty, garbage, truncated, text, a folder: each its own error, and nobody else's loss", async () => {
    using folder = new Folder();
    const bad = (name: string, bytes: Uint8Array): string => {
      writeFileSync(folder.file(name), bytes);
      return folder.file(name);
    };
    const whole = readFileSync(await counterVideo({ seconds: 3, source: 5 }));
    const noise = Uint8Array.from({ length: 200_000 }, (_, n) => (n * 2_654_435_761) >>> 13);
    mkdirSync(folder.file("folder.mp4"));
    const broken = [
      folder.file("missing.mp4"),
      bad("empty.mp4", new Uint8Array()),
      bad("garbage.mp4", noise),
      bad("cut.mp4", whole.subarray(0, whole.length / 3)), // Its index stood at the end.
      bad("readme.mp4", Buffer.from("# Not a film\n".repeat(100))),
      folder.file("folder.mp4"),
    ];
    const good = await counterVideo({ seconds: 3 });
    const { sources, events, code, summary } = await mixed([good, ...broken]);
    expect(code).toBe(0);
    expect(sources[0]?.numbers).toEqual(upTo(90));
    expect(summary).toMatchObject({ frames: 90, repeated: 0, dropped: 0 });
    const errors = events.flatMap((event) =>
      event.type === "source.offline" && event.error ? [[event.source, event.error.code]] : [],
    );
    expect(Object.fromEntries(errors)).toEqual({
      in2: "ERR_PEER_UNREACHABLE",
      in3: "ERR_MEDIA_INVALID",
      in4: "ERR_MEDIA_INVALID",
      in5: "ERR_MEDIA_INVALID",
      in6: "ERR_MEDIA_INVALID",
      in7: "ERR_MEDIA_INVALID",
    });
  });

  test("a file that stops in the middle plays to there", async () => {
    using folder = new Folder();
    const whole = readFileSync(await counterVideo({ seconds: 3, source: 1, container: "ts" }));
    const cut = folder.file("cut.ts");
    writeFileSync(cut, whole.subarray(0, Math.floor(whole.length / 2)));
    const { sources } = await mixed([await counterVideo({ seconds: 3 }), cut]);
    expect(sources[0]?.numbers).toEqual(upTo(90));
    const last = sources[1]?.numbers.at(-1) ?? 0;
    expect(last).toBeGreaterThan(20);
    expect(last).toBeLessThan(70);
    expect(judgeCounters(sources[1]?.readings ?? []).missed).toEqual([]);
  });

  test.each(["ts", "mkv", "mp4"])(
    "bytes flipped all over a %s cost its own pictures only",
    async (container) => {
      using folder = new Folder();
      const hurt = folder.file(`hurt.${container}`);
      copyFileSync(await counterVideo({ seconds: 3, source: 1, container, tone: 440 }), hurt);
      const bytes = readFileSync(hurt);
      for (let at = 3000; at < bytes.length; at += 997) bytes[at] = (bytes[at] ?? 0) ^ 0x55;
      writeFileSync(hurt, bytes);
      const { sources } = await mixed([await counterVideo({ seconds: 3 }), hurt], ["--duration", "3"]);
      expect(sources[0]?.numbers).toEqual(upTo(90));
    },
  );
});
