import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, test } from "vitest";
import { VideoDecoder } from "../../src/decode/video.ts";
import { openFile } from "../../src/ingest/file.ts";
import { VirtualClock } from "../../src/media/clock.ts";
import type { Packet } from "../../src/media/packet.ts";
import type { Orientation, VideoStreamInfo } from "../../src/media/stream-info.ts";
import { NativeFrame } from "../../src/native/frame.ts";
import { makeMedia } from "../kit/media.ts";
import { requirePeer } from "../kit/peers.ts";
import { runToEnd } from "../kit/process.ts";
import { decodeAll, framesByFfmpeg, playFile, type Shown } from "./playing.ts";

const lavfi = (graph: string): readonly string[] => ["-f", "lavfi", "-i", graph];
const x264 = (parameters: string): readonly string[] => [
  ...["-c:v", "libx264", "-preset", "fast", "-pix_fmt", "yuv420p", "-x264-params", parameters],
];
const clip = (seconds = 2, size = "320x240"): readonly string[] =>
  lavfi(`testsrc2=size=${size}:rate=30:duration=${seconds}`);

const folder = await mkdtemp(join(tmpdir(), "tessera-decode-"));
afterAll(() => rm(folder, { recursive: true }));
afterEach(() => expect(NativeFrame.live).toBe(0));

/** Files one behind the other, as a transport stream may be. */
function joined(name: string, ...paths: readonly string[]): string {
  const path = join(folder, name);
  writeFileSync(path, Buffer.concat(paths.map((one) => readFileSync(one))));
  return path;
}

/** Packets of a file's picture alone. */
async function videoPackets(path: string): Promise<Packet[]> {
  const packets: Packet[] = [];
  for await (const packet of openFile({ path, clock: new VirtualClock(), sync: true })) {
    if (packet.kind === "video") packets.push(packet);
  }
  return packets;
}

const md5s = (pictures: readonly { readonly md5: string }[]): readonly string[] =>
  pictures.map(({ md5 }) => md5);
const steps = (pictures: readonly Shown[]): number[] =>
  pictures.slice(1).map(({ ptsUs }, index) => ptsUs - (pictures[index]?.ptsUs ?? 0));

/** The same MP4 file with another display matrix in its only track header. */
function withMatrix(mp4: Buffer, [a, b, c, d]: readonly [number, number, number, number]): Buffer {
  // Behind the box's type: version and flags, times, id, duration, reserved, layer, group, volume, reserved.
  const start = mp4.indexOf("tkhd") + 4 + 40;
  for (const [index, value] of [a, b, 0, c, d].entries()) mp4.writeInt32BE(value * 65_536, start + index * 4);
  return mp4;
}

/** MD5 of each picture as ffmpeg shows it to people. */
async function uprightByFfmpeg(path: string): Promise<readonly string[]> {
  const { stdout } = await runToEnd("ffmpeg", ["-v", "error", "-i", path, "-f", "framemd5", "-"]);
  const lines = stdout.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return lines.map((line) => line.split(",")[5]?.trim() ?? "");
}

requirePeer("ffmpeg")("geometry", () => {
  // Display matrices of ISO 14496-12 §6.2.2 (a, b, c, d of it), and how our orientation is done with ffmpeg's filters.
  const turns: readonly {
    matrix: readonly [number, number, number, number];
    want: Orientation;
    filter: string;
  }[] = [
    { matrix: [0, 1, -1, 0], want: { rotate: 90, mirror: false }, filter: "transpose=clock" },
    { matrix: [-1, 0, 0, -1], want: { rotate: 180, mirror: false }, filter: "hflip,vflip" },
    { matrix: [0, -1, 1, 0], want: { rotate: 270, mirror: false }, filter: "transpose=cclock" },
    { matrix: [-1, 0, 0, 1], want: { rotate: 0, mirror: true }, filter: "hflip" },
    { matrix: [1, 0, 0, -1], want: { rotate: 180, mirror: true }, filter: "hflip,vflip,hflip" },
    { matrix: [0, 1, 1, 0], want: { rotate: 90, mirror: true }, filter: "transpose=clock,hflip" },
    { matrix: [0, -1, -1, 0], want: { rotate: 270, mirror: true }, filter: "transpose=cclock,hflip" },
  ];
  for (const { matrix, want, filter } of turns) {
    test(`the matrix ${matrix} means ${filter}, as ffmpeg shows it`, async () => {
      const path = join(folder, `${matrix}.mp4`);
      writeFileSync(
        path,
        withMatrix(readFileSync(await makeMedia([...clip(1), ...x264("bframes=0")])), matrix),
      );
      const { pictures } = await playFile(path);
      expect(pictures[0]).toMatchObject({ orientation: want, widthPx: 320, heightPx: 240 });
      const [upright, turned] = [await uprightByFfmpeg(path), await framesByFfmpeg(path, { filter })];
      expect(md5s(turned)).toEqual(upright);
    });
  }

  test("pixels that are not square say so", async () => {
    const path = await makeMedia([...clip(1, "720x576"), "-vf", "setsar=64/45", ...x264("bframes=0")]);
    const { pictures } = await playFile(path);
    expect(pictures[0]?.pixelAspect).toBeCloseTo(64 / 45, 6);
  });
});

requirePeer("ffmpeg")("streams that change", () => {
  test("a size that changes in the middle changes the pictures, nothing else", async () => {
    const small = await makeMedia([...clip(1, "320x240"), ...x264("bframes=2")], "ts");
    const large = await makeMedia(
      [...clip(1, "640x360"), "-output_ts_offset", "1", ...x264("bframes=2")],
      "ts",
    );
    const { pictures, video } = await playFile(joined("sizes.ts", small, large));
    expect(pictures.map(({ widthPx }) => widthPx)).toEqual([...Array(30).fill(320), ...Array(30).fill(640)]);
    expect(video).toMatchObject({ decoded: 60, errors: 0 });
  });

  test("a counter of 33 bits that wraps goes on", async () => {
    const offset = String(2 ** 33 / 90_000 - 3);
    const sound = lavfi("sine=frequency=440:duration=4");
    const args = [...clip(4), ...sound, "-output_ts_offset", offset, ...x264("bframes=2"), "-c:a", "aac"];
    const { pictures, packets, blocks } = await playFile(await makeMedia(args, "ts"));
    expect(pictures.length).toBe(120);
    for (const step of steps(pictures)) expect(Math.abs(step - 33_333)).toBeLessThan(20);
    expect(packets.some(({ discontinuity }) => discontinuity)).toBe(false);
    const ends = blocks.map(({ ptsUs, samples }) => ptsUs + (samples.length / 2 / 48_000) * 1e6);
    for (const [index, { ptsUs }] of blocks.slice(1).entries())
      expect(Math.abs(ptsUs - (ends[index] ?? 0))).toBeLessThan(2);
  });

  test("stamps that restart are marked once for each stream", async () => {
    const sound = lavfi("sine=frequency=440:duration=2");
    const one = await makeMedia([...clip(2), ...sound, ...x264("bframes=2"), "-c:a", "aac"], "ts");
    const { packets, pictures } = await playFile(joined("restart.ts", one, one));
    const marks = packets.filter(({ discontinuity }) => discontinuity).map(({ kind }) => kind);
    expect([...marks].sort()).toEqual(["audio", "video"]);
    expect(pictures.length).toBe(120);
  });

  test("a change of codec parameters on a packet opens the decoder anew and loses no picture", async () => {
    const first = await videoPackets(await makeMedia([...clip(1), ...x264("bframes=3")], "mp4"));
    const second = await videoPackets(await makeMedia([...clip(1, "640x360"), ...x264("bframes=3")], "mkv"));
    const { pictures, video } = decodeAll([...first, ...second]);
    expect(pictures.map(({ widthPx }) => widthPx)).toEqual([...Array(30).fill(320), ...Array(30).fill(640)]);
    expect(video).toMatchObject({ decoded: 60, reopened: 1, errors: 0 });
  });
});

requirePeer("ffmpeg")("where decoding begins", () => {
  test("a stream joined in the middle shows nothing before its key frame, and nothing broken", async () => {
    const path = await makeMedia([...clip(3), ...x264("bframes=3:keyint=30:open-gop=1:scenecut=0")], "ts");
    const packets = await videoPackets(path);
    const whole = decodeAll(packets);
    const joinedLate = decodeAll([
      { ...packets[10], info: packets[0]?.info } as Packet,
      ...packets.slice(11),
    ]);
    const key = packets.findIndex(({ keyFrame }, index) => index > 10 && keyFrame);
    expect(joinedLate.video).toMatchObject({ waitedForKey: key - 10, errors: 0 });
    expect(joinedLate.pictures[0]?.ptsUs).toBe(packets[key]?.ptsUs);
    const wanted = whole.pictures.filter(({ ptsUs }) => ptsUs >= (packets[key]?.ptsUs ?? 0));
    expect(md5s(joinedLate.pictures)).toEqual(md5s(wanted));
  });

  test("an edit list that begins between key frames shows exactly its part", async () => {
    const whole = await makeMedia([...clip(4), ...x264("bframes=2:keyint=30:scenecut=0")]);
    const cut = await makeMedia(["-ss", "1.5", "-i", whole, "-t", "1", "-c", "copy"]);
    const [mine, theirs] = [await playFile(cut), await framesByFfmpeg(cut)];
    expect(mine.pictures[0]?.ptsUs).toBe(0);
    expect(md5s(mine.pictures)).toEqual(md5s(theirs));
    expect(mine.packets.some(({ discard }) => discard)).toBe(true);
  });

  test("each picture of a stream without B-frames comes with its packet", async () => {
    const path = await makeMedia([...clip(1), ...x264("bframes=0:rc-lookahead=0:sync-lookahead=0")]);
    const packets = await videoPackets(path);
    using decoder = VideoDecoder.open(packets[0]?.info as VideoStreamInfo);
    for (const packet of packets) {
      const frames = decoder.decode({ ...packet, arrivalUs: packet.ptsUs });
      expect(frames.map(({ ptsUs, arrivalUs }) => [ptsUs, arrivalUs])).toEqual([
        [packet.ptsUs, packet.ptsUs],
      ]);
      for (const frame of frames) frame[Symbol.dispose]();
    }
  });

  test("the form that runs on the thread pool gives the same pictures", async () => {
    const packets = await videoPackets(await makeMedia([...clip(1), ...x264("bframes=3")]));
    using decoder = VideoDecoder.open(packets[0]?.info as VideoStreamInfo);
    const stamps: number[] = [];
    const take = (frame: Disposable & { ptsUs: number }): void => {
      stamps.push(frame.ptsUs);
      frame[Symbol.dispose]();
    };
    for (const packet of packets) for (const frame of await decoder.decodeAsync(packet)) take(frame);
    for (const frame of decoder.flush()) take(frame);
    expect(stamps).toEqual(decodeAll(packets).pictures.map(({ ptsUs }) => ptsUs));
  });
});

requirePeer("ffmpeg")("pictures that need treatment", () => {
  const interlace = "tinterlace=mode=interleave_top,fieldorder=tff";
  const fields = lavfi("testsrc2=size=320x240:rate=50:duration=2");
  const codecs = [
    { name: "MPEG-2", args: ["-c:v", "mpeg2video", "-flags", "+ilme+ildct", "-b:v", "3M"] },
    { name: "H.264", args: [...x264("tff=1:bframes=2")] },
  ];
  for (const { name, args } of codecs) {
    test(`${name} that is interlaced is deinterlaced as ffmpeg does it`, async () => {
      const path = await makeMedia([...fields, "-vf", interlace, ...args], "ts");
      const wanted = await framesByFfmpeg(path, { filter: "bwdif=mode=send_frame:deint=interlaced" });
      const { pictures, video } = await playFile(path);
      expect(video).toMatchObject({ decoded: 50, deinterlaced: 50, untreated: 0 });
      // The first has none before it to compare with, and versions of the filter differ in what they make of that.
      expect(md5s(pictures).slice(1)).toEqual(md5s(wanted).slice(1));
      for (const step of steps(pictures)) expect(step).toBe(40_000);
      const both = await playFile(path, { deinterlace: "field" });
      expect(both.pictures.length).toBe(100);
      for (const step of steps(both.pictures)) expect(Math.abs(step - 20_000)).toBeLessThan(2);
    });
  }

  test("what turns progressive is left alone again", async () => {
    const before = await makeMedia([...fields, "-vf", interlace, ...(codecs[0]?.args ?? [])], "ts");
    const args = [...lavfi("testsrc2=size=320x240:rate=25:duration=4"), "-output_ts_offset", "2"];
    const after = await makeMedia([...args, "-c:v", "mpeg2video", "-b:v", "3M"], "ts");
    const path = joined("film.ts", before, after);
    const { pictures, video } = await playFile(path);
    // The seam between the two files damages one packet.
    expect(pictures.length).toBe((await framesByFfmpeg(path)).length);
    expect(pictures.length).toBeGreaterThan(148);
    expect(video).toMatchObject({ untreated: 0 });
    expect(video?.deinterlaced).toBeLessThanOrEqual(50);
    expect(md5s(pictures).slice(-100)).toEqual(md5s(await framesByFfmpeg(after)));
  });

  // Grey of a luminance in SMPTE ST 2084, 10 bit limited: 100 nits is 509, 203 nits (reference white) 572, 1000 nits 723.
  const greys = [
    { nits: 0, code: 64, from: 16, to: 17 },
    { nits: 10, code: 331, from: 40, to: 110 },
    { nits: 100, code: 509, from: 130, to: 225 },
    { nits: 1000, code: 723, from: 190, to: 236 },
  ];
  test("HDR is tone-mapped: dark stays dark, bright does not burn out, order is kept", async () => {
    const lumas: number[] = [];
    for (const { code, from, to } of greys) {
      const grey = `color=c=black:size=320x240:rate=10:duration=0.5,format=yuv420p10le,geq=lum=${code}:cb=512:cr=512`;
      const hdr = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:range=limited:log-level=error";
      const args = [...lavfi(grey), "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", hdr];
      const { pictures, video } = await playFile(await makeMedia(args, "mkv"));
      expect(video).toMatchObject({ toneMapped: 5, untreated: 0 });
      const luma = pictures[2]?.luma ?? 0;
      expect(luma).toBeGreaterThanOrEqual(from);
      expect(luma).toBeLessThanOrEqual(to);
      lumas.push(luma);
    }
    expect(lumas).toEqual([...lumas].sort((a, b) => a - b));
  });

  test("alpha is shown over black", async () => {
    const half =
      "color=c=white:size=320x240:rate=10:duration=0.5,format=yuva444p10le,geq=lum=940:cb=512:cr=512:a=512";
    const path = await makeMedia(
      [...lavfi(half), "-c:v", "prores_ks", "-profile:v", "4444", "-alpha_bits", "16"],
      "mov",
    );
    const { pictures, video } = await playFile(path);
    expect(video?.untreated).toBe(0);
    expect(pictures[1]?.luma).toBeGreaterThan(120);
    expect(pictures[1]?.luma).toBeLessThan(132);
  });
});
