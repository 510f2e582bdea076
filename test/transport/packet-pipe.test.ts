import { spawn } from "node:child_process";
import { type Duplex, duplexPair } from "node:stream";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { errorInfo, PeerLostError } from "../../src/core/error.ts";
import { seconds, us } from "../../src/core/time.ts";
import { LiveClock, VirtualClock } from "../../src/media/clock.ts";
import type { Packet } from "../../src/media/packet.ts";
import { PacketPipeReader } from "../../src/transport/packet-pipe-reader.ts";
import { type PacketPipeStream, PacketPipeWriter } from "../../src/transport/packet-pipe-writer.ts";
import { NODE, until } from "../kit/process.ts";

const clock = new LiveClock();

function open(): {
  writer: PacketPipeWriter;
  reader: PacketPipeReader;
  readerSide: Duplex;
  writerSide: Duplex;
} {
  const [writerSide, readerSide] = duplexPair();
  return {
    writer: new PacketPipeWriter(writerSide, { clock }),
    reader: new PacketPipeReader(readerSide),
    readerSide,
    writerSide,
  };
}

const packet = (index: number, more: Partial<Packet> = {}): Packet => ({
  kind: "video",
  data: Buffer.alloc(100, index & 255),
  ptsUs: us(index * 40_000 + 80_000),
  dtsUs: us(index * 40_000),
  durationUs: us(40_000),
  keyFrame: index % 25 === 0,
  arrivalUs: clock.now(),
  ...more,
});

async function readAll(source: AsyncIterable<Packet>): Promise<Packet[]> {
  const packets: Packet[] = [];
  for await (const one of source) packets.push(one);
  return packets;
}

/** Pushes as a well-behaved source does; returns how many went before the end. */
async function pour(stream: PacketPipeStream, packets: readonly Packet[]): Promise<void> {
  for (const one of packets) {
    await stream.ready();
    stream.push(one);
  }
  stream.end();
}

/** Long enough for everything on the pipe to have been delivered. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
};

test("a packet arrives with every field it had", async () => {
  const { writer, reader } = open();
  const sent: Packet[] = [
    packet(0, {
      info: {
        kind: "video",
        codec: "h264",
        extradata: new Uint8Array([1, 2, 255]),
        widthPx: 1280,
        heightPx: 720,
        frameRate: { num: 30_000, den: 1001 },
        orientation: { rotate: 90, mirror: false },
      },
    }),
    packet(1, { kind: "audio", keyFrame: true, skipStart: 1024, skipEnd: 7, discontinuity: true }),
    packet(2, {
      kind: "audio",
      info: { kind: "audio", codec: "aac", channelMask: 0x60fn, extradata: Buffer.from([18, 16]) },
    }),
    packet(3, { ptsUs: us(-5), dtsUs: us(-40_000), data: new Uint8Array(0) }),
    packet(4, { alpha: Buffer.from([7, 8, 9]), discard: true }),
  ];
  void pour(writer.open("mix/a"), sent);
  const got = await readAll(reader.open("mix/a", { clock }));
  expect(got.length).toBe(sent.length);
  for (const [index, one] of got.entries()) {
    const { arrivalUs, data, ...rest } = one;
    const { arrivalUs: wantedArrival, data: wantedData, ...wanted } = sent[index] ?? packet(0);
    expect(plain(rest)).toEqual(plain(wanted));
    expect(Buffer.compare(data, wantedData)).toBe(0);
    expect(Math.abs(arrivalUs - wantedArrival)).toBeLessThan(2000);
  }
});

test("arrival stands on the reader's clock", async () => {
  const { writer, reader } = open();
  const later = new LiveClock(seconds(100));
  void pour(writer.open("mix/a"), [packet(0)]);
  const [got] = await readAll(reader.open("mix/a", { clock: later }));
  expect(got?.arrivalUs).toBeGreaterThan(seconds(99));
  expect(got?.arrivalUs).toBeLessThanOrEqual(later.now());
});

const bounds = [
  { name: "2 s of media", size: 100, stepUs: 40_000, atLeast: 50, atMost: 53 },
  { name: "4 MB", size: 100_000, stepUs: 1000, atLeast: 41, atMost: 44 },
];
for (const { name, size, stepUs, atLeast, atMost } of bounds) {
  test(`a source that is not read stops after ${name}, and no other does`, async () => {
    const { writer, reader } = open();
    const stream = writer.open("mix/stuck");
    let sent = 0;
    void (async () => {
      for (; sent < 1000; sent++) {
        await stream.ready();
        stream.push(packet(sent, { data: Buffer.alloc(size), dtsUs: us(sent * stepUs) }));
      }
    })();
    void pour(
      writer.open("mix/other"),
      Array.from({ length: 500 }, (_, index) => packet(index)),
    );
    expect((await readAll(reader.open("mix/other", { clock }))).length).toBe(500);
    await settle();
    expect(sent).toBeGreaterThanOrEqual(atLeast);
    expect(sent).toBeLessThanOrEqual(atMost);
    expect(stream.isFull).toBe(true);
    // Reading it lets it go on.
    const stuck = reader.open("mix/stuck", { clock })[Symbol.asyncIterator]();
    for (let index = 0; index < 100; index++) await stuck.next();
    expect(sent).toBeGreaterThan(100);
  });
}

test("the end comes after what was sent, and a break throws its own error", async () => {
  const { writer, reader } = open();
  const stream = writer.open("mix/a");
  stream.push(packet(0));
  stream.end(errorInfo(new PeerLostError("encoder gone")));
  const source = reader.open("mix/a", { clock })[Symbol.asyncIterator]();
  expect((await source.next()).value).toMatchObject({ kind: "video" });
  await expect(source.next()).rejects.toMatchObject({
    code: "ERR_PEER_LOST",
    message: "encoder gone",
    retryable: true,
  });
});

test("each open is one attempt; the next takes the next, asked for before or after it begins", async () => {
  const { writer, reader } = open();
  const early = reader.open("mix/a", { clock });
  void pour(writer.open("mix/a"), [packet(1)]);
  expect((await readAll(early))[0]?.dtsUs).toBe(40_000);
  void pour(writer.open("mix/a"), [packet(2)]);
  await settle();
  expect((await readAll(reader.open("mix/a", { clock })))[0]?.dtsUs).toBe(80_000);
});

test("of attempts that nobody took, the newest is had, and the others are stopped", async () => {
  const { writer, reader } = open();
  const old = writer.open("mix/a");
  const fresh = writer.open("mix/a");
  fresh.push(packet(7));
  fresh.end();
  await old.closed;
  expect((await readAll(reader.open("mix/a", { clock })))[0]?.dtsUs).toBe(280_000);
});

test("a thousand sources that nobody asks for are bounded, and the pipe lives", async () => {
  const { writer, reader } = open();
  const streams = Array.from({ length: 1000 }, (_, index) => writer.open(`mix/${index}`));
  await settle();
  expect(streams.filter(({ isClosed }) => !isClosed).length).toBe(256);
  void pour(writer.open("mix/wanted"), [packet(0)]);
  expect((await readAll(reader.open("mix/wanted", { clock }))).length).toBe(1);
});

test("closing the reader's end of a source stops its writer", async () => {
  const { writer, reader } = open();
  const stream = writer.open("mix/a");
  const source = reader.open("mix/a", { clock });
  await settle();
  await source.close();
  await stream.closed;
  stream.push(packet(0));
  expect(await readAll(source)).toEqual([]);
});

test("controls go both ways, in order", async () => {
  const { writer, reader } = open();
  for (const text of ["one", "zwei ü", ""]) writer.control(text);
  reader.control("back");
  const heard: string[] = [];
  for await (const text of reader.controls) if (heard.push(text) === 3) break;
  expect(heard).toEqual(["one", "zwei ü", ""]);
  for await (const text of writer.controls) {
    expect(text).toBe("back");
    break;
  }
});

const corruptions = [
  { name: "a frame of 4 GB", bytes: "ffffffff01" },
  { name: "an empty frame", bytes: "00000000" },
  { name: "an unknown type", bytes: "0000000563 00000001" },
  { name: "a packet cut short", bytes: "0000000602 00000001 01" },
  { name: "info that is no JSON", bytes: `0000002d02 00000001 09 ${"0".repeat(64)} 00000003 7b7b7b` },
  { name: "what only a reader may say", bytes: "0000000904 00000001 00000001" },
];
for (const { name, bytes } of corruptions) {
  test(`${name} is a typed error on that pipe, for all its sources`, async () => {
    const { reader, writerSide, writer } = open();
    const source = reader.open("mix/a", { clock })[Symbol.asyncIterator]();
    writer.open("mix/a");
    await settle();
    writerSide.write(Buffer.from(bytes.replaceAll(" ", ""), "hex"));
    await expect(source.next()).rejects.toMatchObject({ code: "ERR_PROTOCOL" });
    expect(await reader.closed).toMatchObject({ code: "ERR_PROTOCOL" });
    await writer.close();
  });
}

test("a writer that ignores its credit is cut off before it fills memory", async () => {
  const { writer, reader } = open();
  const stream = writer.open("mix/greedy");
  const source = reader.open("mix/greedy", { clock });
  for (let index = 0; index < 400; index++) stream.push(packet(index, { data: Buffer.alloc(100_000) }));
  await settle();
  await expect(readAll(source)).rejects.toMatchObject({ code: "ERR_LIMIT" });
});

test("a virtual clock stamps what it reads without going wrong", async () => {
  const { writer, reader } = open();
  const still = new VirtualClock();
  still.advanceTo(seconds(5));
  void pour(writer.open("mix/a"), [packet(0)]);
  const [got] = await readAll(reader.open("mix/a", { clock: still }));
  expect(Math.abs((got?.arrivalUs ?? 0) - seconds(5))).toBeLessThan(seconds(1));
});

test("over a child's file descriptor: packets and arrivals come across, and its death is a typed error", async () => {
  const script = fileURLToPath(new URL("packet-pipe-child.ts", import.meta.url));
  const child = spawn(NODE, [script], { stdio: ["ignore", "inherit", "inherit", "ignore", "pipe"] });
  const reader = new PacketPipeReader(child.stdio[4] as Duplex);
  const source = reader.open("mix/child", { clock });
  const packets: Packet[] = [];
  const reading = (async (): Promise<void> => {
    for await (const one of source) {
      packets.push(one);
      if (packets.length === 300) child.kill("SIGKILL");
    }
  })();
  await expect(reading).rejects.toMatchObject({ code: "ERR_PEER_LOST" });
  expect(packets.length).toBeGreaterThanOrEqual(300);
  expect(packets.map(({ dtsUs }) => dtsUs)).toEqual(packets.map((_, index) => index * 20_000));
  const ages = packets.slice(1).map((one, index) => one.arrivalUs - (packets[index]?.arrivalUs ?? 0));
  expect(ages.every((step) => step >= 0 && step < 1e6)).toBe(true);
  await until("the child is gone", () => child.exitCode !== null || child.signalCode !== null);
});

/** Buffers and Uint8Arrays with the same bytes are the same. */
function plain(value: object): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, one: unknown) => {
      if (typeof one === "bigint") return `bigint ${one}`;
      const bytes = one as { readonly type?: unknown; readonly data?: unknown } | null;
      if (typeof bytes === "object" && bytes !== null && bytes.type === "Buffer") return bytes.data;
      return one instanceof Uint8Array ? [...one] : one;
    }),
  );
}
