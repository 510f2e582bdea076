import { describe, expect, test } from "vitest";
import { RtmpChunkReader } from "../../src/protocol/rtmp-chunk-reader.ts";
import { RtmpChunkWriter } from "../../src/protocol/rtmp-chunk-writer.ts";
import { RTMP, u32Body } from "../../src/protocol/rtmp-message.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
const limits = { maxMessageBytes: 1 << 20, maxPendingBytes: 1 << 20, maxChunkStreams: 8 };
const read = (bytes: Buffer): ReturnType<RtmpChunkReader["push"]> =>
  new RtmpChunkReader(limits).push(bytes, 0);

/** Bytes by hand from RTMP 1.0 §5.3. */
const cases: {
  name: string;
  bytes: string;
  want: { timestampMs: number; body: string; streamId?: number }[];
}[] = [
  {
    name: "type 0, then type 3 with the stamp as delta",
    bytes: "04 000021 000001 08 01000000 aa  c4 bb  c4 cc",
    want: [
      { timestampMs: 33, body: "aa", streamId: 1 },
      { timestampMs: 66, body: "bb" },
      { timestampMs: 99, body: "cc" },
    ],
  },
  {
    name: "types 1 and 2 keep what they leave out",
    bytes: "04 000064 000001 09 01000000 aa  44 00000a 000002 08 bbbb  84 000014 cccc",
    want: [
      { timestampMs: 100, body: "aa" },
      { timestampMs: 110, body: "bbbb", streamId: 1 },
      { timestampMs: 130, body: "cccc", streamId: 1 },
    ],
  },
  {
    name: "ids in two bytes",
    bytes: "00 01 000000 000001 08 01000000 aa  c0 01 bb",
    want: [
      { timestampMs: 0, body: "aa" },
      { timestampMs: 0, body: "bb" },
    ],
  },
  {
    name: "ids in three bytes, the third being the high one",
    bytes: "01 0100 000005 000001 08 01000000 aa  00 01 000007 000001 08 01000000 bb  c1 0100 cc",
    want: [
      { timestampMs: 5, body: "aa" },
      { timestampMs: 7, body: "bb" },
      { timestampMs: 14, body: "cc" }, // 0x0100 in low, high order is chunk stream 65, the same as two bytes' 1.
    ],
  },
  {
    name: "an extended stamp",
    bytes: "04 ffffff 000001 08 01000000 01000000 aa",
    want: [{ timestampMs: 0x1000000, body: "aa" }],
  },
  {
    name: "a stamp that wraps at 32 bits",
    bytes: "04 ffffff 000001 08 01000000 fffffff0 aa  84 000020 bb",
    want: [
      { timestampMs: 0xfffffff0, body: "aa" },
      { timestampMs: 0x10, body: "bb" },
    ],
  },
  { name: "an empty message", bytes: "04 000000 000000 08 01000000", want: [{ timestampMs: 0, body: "" }] },
];

describe("reading", () => {
  for (const { name, bytes, want } of cases) {
    test(name, () => {
      const got = read(hex(bytes)).map(({ timestampMs, body }) => ({
        timestampMs,
        body: Buffer.from(body).toString("hex"),
      }));
      expect(got).toEqual(want.map(({ timestampMs, body }) => ({ timestampMs, body })));
    });
    test(`${name}, byte by byte`, () => {
      const reader = new RtmpChunkReader(limits);
      const got = [...hex(bytes)].flatMap((byte) => reader.push(Buffer.from([byte]), 0));
      expect(got.map(({ timestampMs }) => timestampMs)).toEqual(want.map(({ timestampMs }) => timestampMs));
    });
  }

  test("two messages interleaved on two chunk streams", () => {
    const [a, b] = [Buffer.alloc(200, 0xa), Buffer.alloc(200, 0xb)];
    const writer = new RtmpChunkWriter();
    const message = (body: Buffer): Parameters<RtmpChunkWriter["write"]>[0] => ({
      type: 9,
      timestampMs: 0,
      streamId: 1,
      body,
    });
    const [first, second] = [writer.write(message(a), 4), writer.write(message(b), 6)];
    const mixed = [
      first.subarray(0, 140),
      second.subarray(0, 140),
      first.subarray(140),
      second.subarray(140),
    ];
    expect(read(Buffer.concat(mixed)).map(({ body }) => Buffer.from(body))).toEqual([a, b]);
  });

  test("Abort throws away what came of a message, and the next is whole", () => {
    const writer = new RtmpChunkWriter();
    const long = { type: 9, timestampMs: 0, streamId: 1, body: Buffer.alloc(300, 1) };
    const begun = writer.write(long, 5).subarray(0, 140);
    const abort = writer.write({ type: RTMP.abort, timestampMs: 0, streamId: 0, body: u32Body(5) }, 2);
    const reader = new RtmpChunkReader(limits);
    expect(reader.push(Buffer.concat([begun, abort]), 0)).toEqual([]);
    expect(reader.pendingBytes).toBe(0);
    expect(reader.push(writer.write({ ...long, body: Buffer.from([7]) }, 5), 0).length).toBe(1);
  });

  test("continuations without the extended stamp are understood too", () => {
    const body = Buffer.concat([Buffer.alloc(128, 1), Buffer.alloc(72, 2)]);
    const head = hex("04 ffffff 0000c8 09 01000000 01000000");
    const lax = Buffer.concat([head, body.subarray(0, 128), hex("c4"), body.subarray(128)]);
    const strict = Buffer.concat([head, body.subarray(0, 128), hex("c4 01000000"), body.subarray(128)]);
    for (const bytes of [lax, strict]) expect(Buffer.from(read(bytes)[0]?.body ?? [])).toEqual(body);
  });

  test("arrival is that of the first chunk", () => {
    const reader = new RtmpChunkReader(limits);
    const bytes = new RtmpChunkWriter().write(
      { type: 9, timestampMs: 0, streamId: 1, body: Buffer.alloc(300) },
      5,
    );
    reader.push(bytes.subarray(0, 50), 1000);
    expect(reader.push(bytes.subarray(50), 9000)[0]?.arrivalUs).toBe(1000);
  });
});

const hostile = [
  {
    name: "a message of 16 MB, at its announcement",
    bytes: "04 000000 ffffff 09 01000000",
    code: "ERR_LIMIT",
  },
  { name: "type 3 on a new chunk stream", bytes: "c5 aa", code: "ERR_PROTOCOL" },
  { name: "chunk size 0", bytes: "02 000000 000004 01 00000000 00000000", code: "ERR_PROTOCOL" },
  { name: "chunk size without a number", bytes: "02 000000 000001 01 00000000 01", code: "ERR_PROTOCOL" },
  {
    name: "a message inside another on one chunk stream",
    bytes: `04 000000 0000ff 09 01000000 ${"00".repeat(128)} 04 000000 000001 09 01000000 aa`,
    code: "ERR_PROTOCOL",
  },
];
describe("refused", () => {
  for (const { name, bytes, code } of hostile)
    test(name, () => expect(() => read(hex(bytes))).toThrow(expect.objectContaining({ code })));

  test("more chunk streams than allowed", () => {
    const reader = new RtmpChunkReader(limits);
    const one = (id: number): Buffer =>
      new RtmpChunkWriter().write({ type: 9, timestampMs: 0, streamId: 1, body: Buffer.alloc(1) }, id);
    for (let id = 3; id < 11; id++) reader.push(one(id), 0);
    expect(() => reader.push(one(11), 0)).toThrow(expect.objectContaining({ code: "ERR_LIMIT" }));
  });

  test("unfinished messages beyond the bound, which memory follows", () => {
    const reader = new RtmpChunkReader({ ...limits, maxPendingBytes: 1_000_000 });
    const writer = new RtmpChunkWriter();
    writer.setChunkSize(65_536);
    const before = process.memoryUsage().arrayBuffers;
    expect(() => {
      reader.push(new RtmpChunkWriter().setChunkSize(65_536), 0);
      for (let id = 3; id < 11; id++) {
        const bytes = writer.write({ type: 9, timestampMs: 0, streamId: 1, body: Buffer.alloc(300_000) }, id);
        reader.push(bytes.subarray(0, bytes.length - 1), 0);
      }
    }).toThrow(expect.objectContaining({ code: "ERR_LIMIT" }));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20 << 20);
  });
});

describe("writing", () => {
  for (const id of [2, 63, 64, 319, 320, 65_599])
    for (const timestampMs of [0, 0xfffffe, 0xffffff, 0x1000000, 0xffffffff])
      test(`chunk stream ${id}, stamp ${timestampMs}: what is written is read`, () => {
        const body = Buffer.from(Array.from({ length: 700 }, (_, index) => index & 255));
        const bytes = new RtmpChunkWriter().write({ type: 8, timestampMs, streamId: 3, body }, id);
        const [got] = read(bytes);
        expect(got).toMatchObject({ type: 8, timestampMs, streamId: 3 });
        expect(Buffer.from(got?.body ?? [])).toEqual(body);
      });
});
