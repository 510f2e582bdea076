import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { afterEach, describe, expect, test } from "vitest";
import { ForbiddenError } from "../../src/core/error.ts";
import { us } from "../../src/core/time.ts";
import type { Egress, EgressStreams } from "../../src/egress/egress.ts";
import { openRtp, type RtpEgress, type RtpOptions } from "../../src/egress/rtp.ts";
import { LiveClock } from "../../src/media/clock.ts";
import type { Packet } from "../../src/media/packet.ts";
import { until } from "../kit/process.ts";
import { collect } from "./rtmp-stream.ts";

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const streams: EgressStreams = {
  audio: { kind: "audio", codec: "opus", sampleRate: 48_000, channels: 2, bitrateBps: 64_000 },
};

/** A real UDP receiver on an even port, its RTCP on the next. */
async function listen(): Promise<{ port: number; rtp: Buffer[]; rtcp: Buffer[] }> {
  for (;;) {
    const [rtp, rtcp] = [createSocket("udp4"), createSocket("udp4")];
    const got = { rtp: [] as Buffer[], rtcp: [] as Buffer[] };
    rtp.on("message", (bytes) => got.rtp.push(bytes));
    rtcp.on("message", (bytes) => got.rtcp.push(bytes));
    const port = await bind(rtp, 0);
    const next = port === undefined ? undefined : await bind(rtcp, port + 1);
    if (port !== undefined && next !== undefined) {
      cleanups.push(() => Promise.all([close(rtp), close(rtcp)]));
      return { port, ...got };
    }
    await Promise.all([close(rtp), close(rtcp)]);
  }
}

async function bind(socket: Socket, port: number): Promise<number | undefined> {
  socket.bind(port, "127.0.0.1");
  return await once(socket, "listening").then(
    () => socket.address().port,
    () => undefined,
  );
}

async function close(socket: Socket): Promise<void> {
  const closed = once(socket, "close");
  try {
    socket.close();
    await closed;
  } catch {
    closed.catch(() => {}); // It was never bound.
  }
}

async function openLive(options: Partial<RtpOptions> & { audioPort: number }): Promise<RtpEgress> {
  const egress = openRtp({ host: "127.0.0.1", streams, clock: new LiveClock(), ...options });
  cleanups.push(() => egress.close());
  const events = collect(egress.events);
  await until("live", () => events.some(({ type }) => type === "live"));
  return egress;
}

const packet = (index: number, startUs = 3_000_000): Packet => ({
  kind: "audio",
  data: Buffer.from([0xfc, index & 255, 1, 2, 3]),
  ptsUs: us(startUs + index * 20_000),
  dtsUs: us(startUs + index * 20_000),
  durationUs: us(20_000),
  keyFrame: true,
  arrivalUs: us(0),
});

/** RFC 3550 §5.1 */
const parse = (bytes: Buffer) => ({
  version: (bytes[0] ?? 0) >> 6,
  rest: (bytes[0] ?? 0) & 63,
  marker: (bytes[1] ?? 0) >> 7 === 1,
  payloadType: (bytes[1] ?? 0) & 127,
  sequence: bytes.readUInt16BE(2),
  timestamp: bytes.readUInt32BE(4),
  ssrc: bytes.readUInt32BE(8),
  payload: bytes.subarray(12),
});

describe("what is on the wire", () => {
  test("sequence counts by one, stamps by 960, one SSRC, payload unchanged, marker after pauses only", async () => {
    const { port, rtp } = await listen();
    const egress = await openLive({ audioPort: port, payloadType: 96 });
    // A pause of a second behind the fifth packet.
    const sent = Array.from({ length: 10 }, (_, index) => packet(index < 5 ? index : index + 50));
    for (const one of sent) egress.push(one);
    await until("all packets", () => rtp.length === 10);
    const got = rtp.map(parse);
    const [first] = got;
    for (const [index, one] of got.entries()) {
      expect(one).toMatchObject({ version: 2, rest: 0, payloadType: 96, ssrc: first?.ssrc });
      expect(one.marker).toBe(index === 0 || index === 5);
      expect(one.sequence).toBe(((first?.sequence ?? 0) + index) % 65_536);
      const position = index < 5 ? index : index + 50;
      expect((one.timestamp - (first?.timestamp ?? 0) + 2 ** 32) % 2 ** 32).toBe(position * 960);
      expect(one.payload.equals(Buffer.from(sent[index]?.data ?? []))).toBe(true);
    }
    expect(egress.stats()).toMatchObject({ dropped: 0, bytes: 10 * 17 });
  });

  test("sequence and stamps wrap", async () => {
    const { port, rtp } = await listen();
    const egress = await openLive({ audioPort: port });
    const dayUs = Math.round(2 ** 32 / 0.048); // 2^32 ticks: a day and fifty minutes.
    egress.push(packet(0));
    await until("the first", () => rtp.length === 1);
    for (let index = 1; index < 65_540; index++) {
      egress.push(packet(index, 3_000_000 + dayUs));
      if (index % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
    egress.push(packet(65_540, 3_000_000 + dayUs));
    const last = (): ReturnType<typeof parse> => parse(rtp.at(-1) ?? Buffer.alloc(12));
    const first = parse(rtp[0] ?? Buffer.alloc(12));
    await until("the last", () => last().payload[1] === (65_540 & 255) && rtp.length > 1);
    expect((last().sequence - first.sequence + 65_536) % 65_536).toBe(65_540 % 65_536);
    expect((last().timestamp - first.timestamp + 2 ** 32) % 2 ** 32).toBe(65_540 * 960);
  });

  test("sender reports say which wall time a stamp is, and the last one says goodbye", async () => {
    const { port, rtp, rtcp } = await listen();
    const egress = await openLive({ audioPort: port });
    for (let index = 0; index < 300; index++) {
      egress.push(packet(index));
      if (index % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await egress.close();
    await until("reports", () => rtcp.length >= 3 && rtp.length === 300);
    const report = rtcp[0] ?? Buffer.alloc(0);
    expect([report[0], report[1], report.readUInt16BE(2)]).toEqual([0x80, 200, 6]);
    const wallMs =
      (report.readUInt32BE(8) - 2_208_988_800) * 1000 + (report.readUInt32BE(12) / 2 ** 32) * 1000;
    expect(Math.abs(wallMs - Date.now())).toBeLessThan(10_000);
    expect(report.readUInt32BE(4)).toBe(parse(rtp[0] ?? report).ssrc);
    expect(report.readUInt32BE(16)).toBe(parse(rtp[0] ?? report).timestamp);
    // RFC 3550 §6.1: every part's length leads to the next, CNAME in each, BYE at the end.
    const types = (bytes: Buffer): number[] => {
      const found: number[] = [];
      for (let at = 0; at < bytes.length; at += (bytes.readUInt16BE(at + 2) + 1) * 4)
        found.push(bytes[at + 1] ?? 0);
      return found;
    };
    expect(types(report)).toEqual([200, 202]);
    expect(types(rtcp.at(-1) ?? report)).toEqual([200, 202, 203]);
    expect(rtcp.at(-1)?.readUInt32BE(20)).toBe(300);
  });
});

test("a description names what is sent", async () => {
  const egress = await openLive({ audioPort: 4000, host: "127.0.0.1" });
  const lines = egress.sdp().split("\r\n");
  for (const line of [
    "v=0",
    "c=IN IP4 127.0.0.1",
    "m=audio 4000 RTP/AVP 111",
    "a=rtpmap:111 opus/48000/2",
    "a=fmtp:111 sprop-stereo=1; sprop-maxcapturerate=48000",
  ])
    expect(lines).toContain(line);
  expect(egress.sdp().endsWith("\r\n")).toBe(true);
});

test("fifty listeners share one socket and all hear everything", async () => {
  const all = await Promise.all(
    Array.from({ length: 50 }, async () => {
      const { port, rtp } = await listen();
      return { egress: await openLive({ audioPort: port }), rtp };
    }),
  );
  for (let index = 0; index < 20; index++) {
    const one = packet(index);
    for (const { egress } of all) egress.push(one);
  }
  await until("everybody heard", () => all.every(({ rtp }) => rtp.length === 20));
  expect(new Set(all.map(({ rtp }) => parse(rtp[0] ?? Buffer.alloc(12)).ssrc)).size).toBe(50);
});

describe("what is refused", () => {
  const open = (options: Partial<RtpOptions>): Egress =>
    openRtp({ host: "127.0.0.1", audioPort: 4000, streams, clock: new LiveClock(), ...options });
  test("other codecs", () => {
    const aac: EgressStreams = {
      audio: { kind: "audio", codec: "aac", sampleRate: 48_000, channels: 2, bitrateBps: 1 },
    };
    expect(() => open({ streams: aac })).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_ARGUMENT", pointer: "/streams/audio/codec" }),
    );
  });
  for (const audioPort of [0, 65_536, 1.5, Number.NaN]) {
    test(`port ${audioPort}`, () =>
      expect(() => open({ audioPort })).toThrow(expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" })));
  }
  test("a forbidden destination, for good", async () => {
    const egress = open({ resolve: () => Promise.reject(new ForbiddenError("not public")) });
    const events = collect(egress.events);
    await until("the end", () => events.some(({ type }) => type === "failed"));
    expect(events.at(-1)).toMatchObject({ error: { code: "ERR_FORBIDDEN" } });
    await egress.close();
  });
  test("a host without an address is tried again", async () => {
    const egress = open({ resolve: () => Promise.resolve([]) });
    const events = collect(egress.events);
    await until("a retry", () => events.some(({ type }) => type === "retrying"));
    expect(events.at(-1)).toMatchObject({ error: { code: "ERR_PEER_UNREACHABLE" } });
    await egress.close();
    expect(events.at(-1)).toMatchObject({ type: "ended" });
  });
});
