import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { TesseraError } from "../../src/core/error.ts";
import { openFile } from "../../src/ingest/file.ts";
import { VirtualClock } from "../../src/media/clock.ts";
import type { Packet } from "../../src/media/packet.ts";
import { playFile } from "../decode/playing.ts";
import { wav } from "../decode/wav.ts";

const folder = await mkdtemp(join(tmpdir(), "tessera-file-"));
afterAll(() => rm(folder, { recursive: true }));

const file = (name: string, bytes: Uint8Array | string): string => {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
};

/** Pseudo-random bytes, the same each time. */
function noise(length: number): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state >> 16;
  });
}

async function read(path: string, sync = true): Promise<Packet[]> {
  const packets: Packet[] = [];
  for await (const packet of openFile({ path, clock: new VirtualClock(), sync })) packets.push(packet);
  return packets;
}

async function failure(reading: Promise<unknown>): Promise<string> {
  try {
    await reading;
  } catch (error) {
    if (error instanceof TesseraError) return error.code;
    throw error;
  }
  return "none";
}

const sound = wav({ rateHz: 48_000, channels: 2, samples: 48_000, at: (index) => Math.sin(index / 10) / 2 });

describe("files that are no media", () => {
  const folderPath = join(folder, "folder.mp4");
  mkdirSync(folderPath);
  const fifo = join(folder, "fifo.mp4");
  execFileSync("mkfifo", [fifo]);
  const victim = file("victim.wav", sound);
  const bad = [
    { name: "a missing one", path: join(folder, "missing.mp4"), code: "ERR_PEER_UNREACHABLE" },
    { name: "an empty one", path: file("empty.mp4", ""), code: "ERR_MEDIA_INVALID" },
    { name: "a folder", path: folderPath, code: "ERR_MEDIA_INVALID" },
    { name: "a FIFO that nobody writes", path: fifo, code: "ERR_MEDIA_INVALID" },
    { name: "an endless device", path: "/dev/zero", code: "ERR_MEDIA_INVALID" },
    { name: "noise", path: file("noise.mp4", noise(300_000)), code: "ERR_MEDIA_INVALID" },
    { name: "text", path: file("text.mp4", "hello\n".repeat(1000)), code: "ERR_MEDIA_INVALID" },
    {
      name: "a playlist of another file",
      path: file("list.m3u8", playlist(victim)),
      code: "ERR_MEDIA_INVALID",
    },
    {
      name: "a concatenation script",
      path: file("x.ffconcat", `ffconcat version 1.0\nfile ${victim}\n`),
      code: "ERR_MEDIA_INVALID",
    },
    { name: "a path that looks like a protocol", path: `concat:${victim}`, code: "ERR_PEER_UNREACHABLE" },
    {
      name: "a header without sound",
      path: file("header.wav", sound.subarray(0, 68)),
      code: "ERR_MEDIA_INVALID",
    },
    { name: "half a header", path: file("half.wav", sound.subarray(0, 30)), code: "ERR_MEDIA_INVALID" },
  ];
  for (const { name, path, code } of bad) {
    test(`${name}: ${code}, both ways of reading`, async () => {
      expect(await failure(read(path))).toBe(code);
      expect(await failure(read(path, false))).toBe(code);
    });
  }
});

function playlist(of: string): string {
  return `#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nfile:${of}\n#EXT-X-ENDLIST\n`;
}

test("a truncated file is played to where it breaks off", async () => {
  const { blocks } = await playFile(file("cut.wav", sound.subarray(0, 68 + 24_000 * 4)));
  expect(blocks.reduce((sum, { samples }) => sum + samples.length / 2, 0)).toBe(24_000);
});

test("both ways of reading give the same packets", async () => {
  const path = file("same.wav", sound);
  const plain = (packets: Packet[]): unknown => packets.map(({ arrivalUs: _, ...packet }) => packet);
  expect(plain(await read(path, false))).toEqual(plain(await read(path)));
});

test("the first packet of a stream, and only that, tells what the stream is", async () => {
  const packets = await read(file("info.wav", sound));
  expect(packets[0]?.info).toMatchObject({
    kind: "audio",
    codec: "pcm_s16le",
    sampleRate: 48_000,
    channels: 2,
  });
  expect(packets.slice(1).every(({ info }) => info === undefined)).toBe(true);
});

test("a loop goes on without end and without seam, and stops when it is closed", async () => {
  const ingest = openFile({
    path: file("loop.wav", sound),
    clock: new VirtualClock(),
    loop: true,
    sync: true,
  });
  let endUs = 0;
  let count = 0;
  for await (const { ptsUs, durationUs } of ingest) {
    expect(Math.abs(ptsUs - endUs)).toBeLessThan(3);
    endUs = ptsUs + durationUs;
    count += 1;
    if (endUs > 20e6) await ingest.close();
  }
  expect(count).toBeGreaterThan(200);
  await ingest.close();
});

test("an abort before the start and one in the middle end it", async () => {
  const path = file("abort.wav", sound);
  const clock = new VirtualClock();
  const early: Packet[] = [];
  for await (const packet of openFile({ path, clock, signal: AbortSignal.abort() })) early.push(packet);
  expect(early).toEqual([]);
  const controller = new AbortController();
  const some: Packet[] = [];
  for await (const packet of openFile({ path, clock, signal: controller.signal })) {
    some.push(packet);
    controller.abort();
  }
  expect(some.length).toBe(1);
});
