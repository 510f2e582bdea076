import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Micros, seconds, us } from "../../src/core/time.ts";
import type { EgressEvent } from "../../src/egress/egress.ts";
import { openRecording, type RecordingOptions } from "../../src/egress/file.ts";
import type { Manifest } from "../../src/egress/manifest.ts";
import { toSampleData } from "../../src/egress/recording-track.ts";
import { LiveClock, VirtualClock } from "../../src/media/clock.ts";
import type { Packet } from "../../src/media/packet.ts";
import { encodeMedia, type Media, type MediaWish } from "./recording-media.ts";
import { readPackets } from "./recording-read.ts";

const WALL_MS = Date.parse("2026-11-20T12:00:00Z");
const cache = new Map<string, Media>();
let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tessera-recording-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function media(wish: MediaWish = {}): Media {
  const key = JSON.stringify(wish);
  const known = cache.get(key) ?? encodeMedia(wish);
  cache.set(key, known);
  return known;
}

function begin(name: string, { streams }: Media, more: Partial<RecordingOptions> = {}) {
  const fixed = { startWallMs: WALL_MS, mix: "m", output: "o", wait: true, clock: new VirtualClock() };
  const recording = openRecording({ path: join(folder, name), streams, ...fixed, ...more });
  return { recording, events: Array.fromAsync(recording.events) };
}

const manifestAt = (name: string): Manifest => JSON.parse(readFileSync(join(folder, name), "utf8"));
const finished = (events: readonly EgressEvent[]): string[] =>
  events.flatMap((event) => (event.type === "finished" ? [basename(event.path)] : []));

/** Every packet of all parts, at its mix time. */
function whole(manifest: Manifest): { kind: string; ptsUs: number; data: Buffer }[] {
  return manifest.parts.flatMap((part) =>
    readPackets(join(folder, part.file)).map(({ kind, ptsS, data }) => ({
      kind,
      ptsUs: part.startPtsUs + ptsS * 1e6,
      data,
    })),
  );
}

function expectSame(
  manifest: Manifest,
  given: readonly Packet[],
  codecs: { video: string; audio: string },
): void {
  const read = whole(manifest);
  for (const kind of ["video", "audio"] as const) {
    const [got, want] = [read, given].map((list) => list.filter((one) => one.kind === kind)) as [
      typeof read,
      Packet[],
    ];
    expect(got.map(({ data }) => data.toString("hex"))).toEqual(
      want.map(({ data }) => Buffer.from(toSampleData(codecs[kind], data)).toString("hex")),
    );
    // A part's zero is its key frame; sound is placed from there to the nearest sample, Matroska's to 25 us.
    for (const [index, { ptsUs }] of got.entries()) {
      expect(Math.abs(ptsUs - (want[index]?.ptsUs ?? 0))).toBeLessThan(30);
    }
  }
}

describe.each(["mp4", "mkv"])("%s", (extension) => {
  const name = `r.${extension}`;
  const cases: { title: string; wish: MediaWish; more?: Partial<RecordingOptions>; parts: number[] }[] = [
    { title: "in one part", wish: { frames: 300 }, parts: [0] },
    { title: "split by time", wish: { frames: 300 }, more: { segmentS: 3 }, parts: [0, 4, 8] },
    {
      title: "split at every key frame",
      wish: { frames: 300 },
      more: { segmentS: 1 },
      parts: [0, 2, 4, 6, 8],
    },
    {
      title: "split, with reordered pictures",
      wish: { frames: 300, bframes: 3 },
      more: { segmentS: 3 },
      parts: [0, 4, 8],
    },
    {
      title: "split, at an NTSC rate",
      wish: { frames: 300, rate: { num: 30_000, den: 1001 } },
      more: { segmentS: 2 },
      parts: [0, 2.002, 4.004, 6.006, 8.008],
    },
  ];

  test.each(cases)("$title: every packet once", async ({ wish, more = {}, parts }) => {
    const { streams, packets } = media(wish);
    const { recording, events } = begin(name, { streams, packets }, more);
    for (const packet of packets) recording.push(packet);
    await recording.close();
    const manifest = manifestAt("r.json");
    expect(manifest.parts.map(({ startPtsUs }) => startPtsUs / 1e6)).toEqual(parts);
    expect(manifest.gaps).toEqual([]);
    // Encoders' priming from before time 0 is not part of the mix.
    expectSame(
      manifest,
      packets.filter(({ ptsUs }) => ptsUs >= 0),
      { video: "h264", audio: "aac" },
    );
    expect(finished(await events)).toEqual(manifest.parts.map(({ file }) => file));
    expect(recording.stats()).toMatchObject({ frames: 300, dropped: 0, retries: 0 });
    for (const { file, bytes, closed } of manifest.parts) {
      expect([statSync(join(folder, file)).size, closed]).toEqual([bytes, true]);
    }
  });

  test("picture and sound that arrive far apart are cut at the same moment", async () => {
    const { streams, packets } = media({ frames: 300 });
    // The sound comes 300 ms before its picture.
    const skewed = packets
      .map((packet) => ({ packet, at: packet.dtsUs - (packet.kind === "audio" ? 300_000 : 0) }))
      .sort((a, b) => a.at - b.at);
    const { recording } = begin(name, { streams, packets }, { segmentS: 3 });
    for (const { packet } of skewed) recording.push(packet);
    await recording.close();
    const manifest = manifestAt("r.json");
    expectSame(
      manifest,
      packets.filter(({ ptsUs }) => ptsUs >= 0),
      { video: "h264", audio: "aac" },
    );
    for (const part of manifest.parts) {
      const sound = readPackets(join(folder, part.file)).filter(({ kind }) => kind === "audio");
      expect(sound[0]?.ptsS).toBeLessThan(0.0214);
      expect(sound.at(-1)?.ptsS).toBeLessThan(part.durationUs / 1e6);
    }
  });

  test("split() begins a part at the next key frame, pause() and resume() leave a gap", async () => {
    const { streams, packets } = media({ frames: 360 });
    const { recording, events } = begin(name, { streams, packets });
    const orders: [number, () => void][] = [
      [1.5, () => recording.split()],
      [4.5, () => recording.pause()],
      [6.5, () => recording.resume()],
    ];
    for (const packet of packets) {
      if (packet.ptsUs >= (orders[0]?.[0] ?? Number.POSITIVE_INFINITY) * 1e6) orders.shift()?.[1]();
      recording.push(packet);
    }
    await recording.close();
    const { parts, gaps } = manifestAt("r.json");
    expect(parts.map(({ startPtsUs }) => startPtsUs)).toEqual([0, 2_000_000, 8_000_000]);
    expect(parts.map(({ startedAt }) => startedAt)).toEqual([
      "2026-11-20T12:00:00.000Z",
      "2026-11-20T12:00:02.000Z",
      "2026-11-20T12:00:08.000Z",
    ]);
    expect(gaps).toHaveLength(1);
    expect(gaps[0]?.startPtsUs).toBeCloseTo(4_500_000, -5);
    expect(finished(await events)).toEqual([name, `r.2.${extension}`, `r.3.${extension}`]);
  });

  test("new parameter sets in the middle begin a new part", async () => {
    const first = media({ frames: 60 });
    const second = media({ frames: 60, firstFrame: 60, size: { widthPx: 320, heightPx: 192 } });
    const { recording } = begin(name, first);
    const info = second.streams.video;
    const later = second.packets.map((packet, index) =>
      info !== undefined && packet.kind === "video" && index < 5 ? { ...packet, info } : packet,
    );
    for (const packet of [...first.packets, ...later]) recording.push(packet);
    await recording.close();
    const { parts } = manifestAt("r.json");
    expect(parts.map(({ startPtsUs }) => startPtsUs)).toEqual([0, 2_000_000]);
    expect(
      readPackets(join(folder, parts[1]?.file ?? "")).filter(({ kind }) => kind === "video"),
    ).toHaveLength(60);
  });

  test("nothing that exists is overwritten", async () => {
    writeFileSync(join(folder, name), "precious");
    writeFileSync(join(folder, `r.7.${extension}`), "precious too");
    const { recording, events } = begin(name, media({ frames: 60 }));
    for (const packet of media({ frames: 60 }).packets) recording.push(packet);
    await recording.close();
    expect(finished(await events)).toEqual([`r.8.${extension}`]);
    expect(readFileSync(join(folder, name), "utf8")).toBe("precious");
    expect(readdirSync(folder).sort()).toEqual(
      [`r.7.${extension}`, `r.8.${extension}`, "r.json", name].sort(),
    );
  });

  test("a recording whose files were all taken away is begun anew", async () => {
    for (const round of [1, 2]) {
      const { recording, events } = begin(name, media({ frames: 60 }));
      for (const packet of media({ frames: 60 }).packets) recording.push(packet);
      await recording.close();
      expect(finished(await events), `round ${round}`).toEqual([name]);
      unlinkSync(join(folder, name));
    }
  });

  test("a recording that is over leaves its manifest's name to another", async () => {
    const other = extension === "mp4" ? "mkv" : "mp4";
    for (const one of [name, `r.${other}`]) {
      const { recording } = begin(one, media({ frames: 60 }));
      for (const packet of media({ frames: 60 }).packets) recording.push(packet);
      await recording.close();
      expect(readdirSync(folder).sort()).toEqual(["r.json", one].sort());
      for (const file of readdirSync(folder)) unlinkSync(join(folder, file));
    }
  });

  test("another mix under the same name keeps what the manifest said", async () => {
    for (const mix of ["one", "two"]) {
      const { recording } = begin(name, media({ frames: 60 }), { mix });
      for (const packet of media({ frames: 60 }).packets) recording.push(packet);
      await recording.close();
    }
    expect(manifestAt("r.json")).toMatchObject({
      mix: "two",
      parts: [{ file: `r.2.${extension}` }],
      earlier: [{ mix: "one", parts: [{ file: name }] }],
    });
  });

  test("a mix that goes on elsewhere does not number a moved part again", async () => {
    const { recording, events } = begin(name, media({ frames: 60 }), { firstPart: 3 });
    for (const packet of media({ frames: 60 }).packets) recording.push(packet);
    await recording.close();
    expect(finished(await events)).toEqual([`r.3.${extension}`]);
  });

  test("overwrite removes the recording that was there, and nothing else", async () => {
    const { packets } = media({ frames: 120 });
    const before = begin(name, media({ frames: 120 }), { segmentS: 1 });
    for (const packet of packets) before.recording.push(packet);
    await before.recording.close();
    writeFileSync(join(folder, `r.9.${extension}`), "not ours");
    const { recording, events } = begin(name, media({ frames: 60 }), { overwrite: true, firstPart: 1 });
    for (const packet of media({ frames: 60 }).packets) recording.push(packet);
    await recording.close();
    expect(finished(await events)).toEqual([name]);
    expect(readdirSync(folder).sort()).toEqual([`r.9.${extension}`, "r.json", name].sort());
    expect(manifestAt("r.json")).toMatchObject({ parts: [{ file: name }], gaps: [] });
    expect(manifestAt("r.json").earlier).toBeUndefined();
  });
});

describe("what stands in the file", () => {
  test("an mp4 is whole fragments, none longer than a second, each starting after the one before, in one mdat at the end", async () => {
    const { recording } = begin("r.mp4", media({ frames: 300, rate: { num: 30_000, den: 1001 } }));
    for (const packet of media({ frames: 300, rate: { num: 30_000, den: 1001 } }).packets)
      recording.push(packet);
    await recording.close();
    const bytes = readFileSync(join(folder, "r.mp4"));
    const boxesIn = (from: number, to: number): string[] => {
      const types: string[] = [];
      for (let at = from; at < to; ) {
        types.push(bytes.toString("latin1", at + 4, at + 8));
        const size = bytes.readUInt32BE(at);
        at += size === 1 ? Number(bytes.readBigUInt64BE(at + 8)) : size;
      }
      return types;
    };
    expect(boxesIn(0, bytes.length)).toEqual(["ftyp", "mdat", "moov"]);
    const mdat = bytes.readUInt32BE(0);
    const types = boxesIn(mdat + 16, mdat + Number(bytes.readBigUInt64BE(mdat + 8)));
    expect(types).toEqual([
      "moov",
      "free",
      ...Array.from({ length: types.length - 2 }, (_, index) => (index % 2 === 0 ? "moof" : "mdat")),
    ]);
    const starts = [...bytes.toString("latin1").matchAll(/tfdt/g)].map(({ index }) =>
      Number(bytes.readBigUInt64BE(index + 8)),
    );
    const video = starts.filter((_, index) => index % 2 === 0).map((ticks) => ticks / 30_000);
    const steps = video.slice(1).map((start, index) => start - (video[index] ?? 0));
    expect(Math.max(...steps)).toBeLessThanOrEqual(1);
    expect(video.length).toBeGreaterThanOrEqual(10);
  });

  test("data reaches the file within the second, also when the picture stalls", async () => {
    const { streams, packets } = media({ frames: 60 });
    const { recording, events } = begin(
      "r.mkv",
      { streams, packets },
      { wait: false, clock: new LiveClock() },
    );
    for (const packet of packets.filter(({ ptsUs }) => ptsUs < 700_000)) recording.push(packet);
    const deadline = performance.now() + 5000;
    while (recording.stats().frames < 19 && performance.now() < deadline)
      await new Promise((done) => setTimeout(done, 20));
    expect(recording.stats().frames).toBeGreaterThanOrEqual(19);
    expect(readPackets(join(folder, "r.mkv")).length).toBeGreaterThan(40);
    await recording.close();
    expect((await events).at(-1)).toEqual({ type: "ended" });
  });
});

describe("a recording that cannot go on", () => {
  test("a missing folder is a typed failure", async () => {
    const { recording, events } = begin("missing/r.mp4", media({ frames: 60 }));
    expect(await events).toEqual([
      { type: "connecting" },
      { type: "failed", error: expect.objectContaining({ code: "ERR_STORAGE", fault: "device" }) },
    ]);
    for (const packet of media({ frames: 60 }).packets) recording.push(packet);
    await recording.close();
    const { dropped, droppedBy } = recording.stats();
    expect(dropped).toBeGreaterThan(60);
    expect(droppedBy).toEqual({ slow: 0, late: 0, failed: dropped });
  });

  test("a deleted file costs its part, and the next one begins", async () => {
    const { streams, packets } = media({ frames: 300 });
    const clock = new VirtualClock();
    const { recording, events } = begin("r.mp4", { streams, packets }, { wait: false, clock });
    for (const packet of packets) {
      clock.advanceTo(packet.ptsUs);
      recording.push(packet);
      if (packet.ptsUs === 2_000_000 && packet.kind === "video") {
        await new Promise((done) => setTimeout(done, 100));
        unlinkSync(join(folder, "r.mp4"));
      }
      if (packet.kind === "video" && packet.ptsUs % 1_000_000 === 0)
        await new Promise((done) => setTimeout(done, 50));
    }
    await recording.close();
    const told = await events;
    expect(told.map(({ type }) => type)).toEqual([
      "connecting",
      "live",
      "part",
      "partFailed",
      "part",
      "finished",
      "ended",
    ]);
    expect(told[3]).toMatchObject({
      error: { code: "ERR_STORAGE", message: expect.stringContaining("deleted") },
    });
    expect(manifestAt("r.json").parts.map(({ file }) => file)).toEqual(["r.2.mp4"]);
    expect(readPackets(join(folder, "r.2.mp4")).length).toBeGreaterThan(60);
  });

  test("a disk that cannot keep up fails it alone, whole up to there, and never holds the caller", async () => {
    const { streams, packets } = media({ frames: 900 });
    const { recording, events } = begin(
      "r.mp4",
      { streams, packets },
      { wait: false, clock: new LiveClock() },
    );
    const early = packets.filter(({ ptsUs }) => ptsUs < 4_100_000);
    for (const packet of early) recording.push(packet);
    await new Promise((done) => setTimeout(done, 1000));
    // All at once, so that no write comes in between.
    for (const packet of packets.slice(early.length)) recording.push(packet);
    const told = await events;
    expect(told.slice(-2)).toMatchObject([
      { type: "partFailed", error: { code: "ERR_STORAGE", message: expect.stringContaining("too slow") } },
      { type: "failed", error: { code: "ERR_STORAGE" } },
    ]);
    await recording.close();
    const pictures = readPackets(join(folder, "r.mp4")).filter(({ kind }) => kind === "video");
    expect(pictures.length).toBeGreaterThanOrEqual(90);
    expect(pictures.length).toBe(recording.stats().frames);
    expect(recording.stats().droppedBy.slow).toBeGreaterThan(100);
  });

  test("a picture that nobody could decode is a typed failure, garbage never throws", async () => {
    const { streams } = media({ frames: 60 });
    const { extradata: _, ...video } = streams.video ?? { extradata: undefined };
    const { recording, events } = begin("r.mp4", { streams: { video } as Media["streams"], packets: [] });
    const stamp = { ptsUs: us(0), dtsUs: us(0), durationUs: us(0), arrivalUs: us(0) };
    recording.push({ kind: "video", data: Buffer.from("garbage"), keyFrame: true, ...stamp });
    expect((await events).at(-1)).toMatchObject({ type: "failed", error: { code: "ERR_MEDIA_INVALID" } });
    await recording.close();
  });

  test("broken packets in the middle are left out", async () => {
    const { streams, packets } = media({ frames: 120 });
    const { recording, events } = begin("r.mp4", { streams, packets });
    for (const [index, packet] of packets.entries()) {
      recording.push(packet);
      if (index > 10 && index % 10 === 0)
        recording.push({ ...packet, data: new Uint8Array([0, 0, 1, 0x67, 9, 9][index % 6] ?? 0) });
    }
    await recording.close();
    expect((await events).at(-1)).toEqual({ type: "ended" });
    expect(
      readPackets(join(folder, "r.mp4")).filter(({ kind }) => kind === "video").length,
    ).toBeGreaterThanOrEqual(120);
  });
});

describe("closing", () => {
  test("twice, by disposal, by abort, and before anything came", async () => {
    for (const how of ["close", "dispose", "abort"] as const) {
      const abort = new AbortController();
      const { recording, events } = begin(`${how}.mp4`, media({ frames: 60 }), { signal: abort.signal });
      if (how === "abort") abort.abort();
      if (how === "dispose") await recording[Symbol.asyncDispose]();
      await Promise.all([recording.close(), recording.close()]);
      expect((await events).at(-1)).toEqual({ type: "ended" });
    }
    expect(readdirSync(folder)).toEqual([]);
  });

  test("leaves no file descriptor behind", async () => {
    const count = (): number => readdirSync("/proc/self/fd").length;
    const before = count();
    for (let round = 0; round < 5; round++) {
      const { recording } = begin(`fd${round}.mkv`, media({ frames: 60 }), { segmentS: 1 });
      for (const packet of media({ frames: 60 }).packets) recording.push(packet);
      await recording.close();
    }
    expect(count()).toBe(before);
  });
});

test("bad arguments are refused before anything is opened", () => {
  const { streams } = media({ frames: 60 });
  const at = (more: Partial<RecordingOptions>) => () => begin("r.mp4", { streams, packets: [] }, more);
  expect(at({ path: "relative.mp4" })).toThrow(expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" }));
  expect(at({ path: "/tmp/r.avi" })).toThrow(expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" }));
  expect(at({ streams: {} })).toThrow(expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" }));
  expect(at({ segmentS: 0 })).toThrow(expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" }));
  const vp8 = {
    ...streams,
    video: { ...(streams.video as NonNullable<typeof streams.video>), codec: "vp8" },
  };
  expect(at({ streams: vp8 })).toThrow(
    expect.objectContaining({ code: "ERR_INVALID_ARGUMENT", pointer: "/streams/video/codec" }),
  );
  expect(readdirSync(folder)).toEqual([]);
});

test("a mix that has run for weeks keeps its stamps exact", async () => {
  const rate = { num: 30_000, den: 1001 };
  const { streams, packets } = media({ rate, frames: 60 });
  const weeks = seconds(1001 * 3600);
  const moved = packets.map((packet) => ({
    ...packet,
    ptsUs: us(packet.ptsUs + weeks) as Micros,
    dtsUs: us(packet.dtsUs + weeks) as Micros,
  }));
  const { recording } = begin("r.mp4", { streams, packets });
  for (const packet of moved) recording.push(packet);
  await recording.close();
  const video = readPackets(join(folder, "r.mp4")).filter(({ kind }) => kind === "video");
  expect(video.map(({ ptsS }) => ptsS)).toEqual(video.map((_, index) => (index * 1001) / 30_000));
});
