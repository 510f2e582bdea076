import { readdirSync, readFileSync } from "node:fs";
import { FlvDepacketizer } from "../../../src/door/flv-depacketizer.ts";
import { buildAudioSpecificConfig, parseAudioSpecificConfig } from "../../../src/protocol/aac.ts";
import { decodeAmf0, encodeAmf0 } from "../../../src/protocol/amf0.ts";
import {
  joinAnnexB,
  lengthPrefixed,
  splitAnnexB,
  splitLengthPrefixed,
} from "../../../src/protocol/annexb.ts";
import { buildAv1Config, stripTemporalDelimiters } from "../../../src/protocol/av1.ts";
import { audioConfigTag, audioFrameTag, parseFlvAudio } from "../../../src/protocol/flv-audio.ts";
import { metadataBody, parseScript } from "../../../src/protocol/flv-script.ts";
import { parseFlvVideo, videoConfigTag, videoFrameTag } from "../../../src/protocol/flv-video.ts";
import { buildAvcConfig, parseAvcConfig, parseH264Sps } from "../../../src/protocol/h264.ts";
import { buildHevcConfig, parseHevcConfig, parseHevcSps } from "../../../src/protocol/hevc.ts";
import { buildNalConfig, withoutFiller } from "../../../src/protocol/nal.ts";
import { buildOpusHead, opusSamples } from "../../../src/protocol/opus.ts";
import { RtmpChunkReader } from "../../../src/protocol/rtmp-chunk-reader.ts";
import { RtmpChunkWriter } from "../../../src/protocol/rtmp-chunk-writer.ts";
import {
  acceptsFourcc,
  commandBody,
  enhancedCapabilities,
  parseCommand,
  parseConnect,
  splitStreamName,
  statusInfo,
} from "../../../src/protocol/rtmp-command.ts";
import { RtmpHandshake } from "../../../src/protocol/rtmp-handshake.ts";
import {
  RTMP,
  type RtmpMessage,
  splitAggregate,
  USER_CONTROL,
  u32Body,
  userControlBody,
} from "../../../src/protocol/rtmp-message.ts";
import { RtspReader } from "../../../src/protocol/rtsp.ts";
import { buildVp9Config } from "../../../src/protocol/vp9.ts";
import { encodeFrame, FrameParser } from "../../../src/transport/packet-frame.ts";
import { RTMP_LIMITS } from "../../../src/transport/rtmp-connection.ts";

/** One parser under fire. */
export interface FuzzTarget {
  readonly name: string;
  /** Valid inputs, which mutations start from. */
  readonly seeds: readonly Buffer[];
  /** Mutations of every third input start here: behind the handshake. */
  readonly deep?: number;
  run(input: Buffer): void;
}

/** C0, C1 and C2. */
const HANDSHAKE_BYTES = 1 + 2 * 1536;
/** Of each recording, for the stream target: handshake, commands, headers and some media. */
const STREAM_BYTES = HANDSHAKE_BYTES + 4096;

const folder = new URL("../captures/", import.meta.url);

/** What real encoders sent: see captures/record.ts. */
export const captures: ReadonlyMap<string, Buffer> = new Map(
  readdirSync(folder)
    .filter((name) => name.endsWith(".bin"))
    .map((name) => [name.replace(/\.bin$/, ""), readFileSync(new URL(name, folder))]),
);

/** The messages of a recording. */
export function messagesOf(capture: Buffer): RtmpMessage[] {
  const { rest } = new RtmpHandshake("server").push(capture);
  return rest === undefined ? [] : new RtmpChunkReader(RTMP_LIMITS).push(rest, 0);
}

const messages = [...captures.values()].flatMap(messagesOf);

const bodies = (...types: readonly number[]): Buffer[] =>
  messages.filter(({ type }) => types.includes(type)).map(({ body }) => Buffer.from(body));

function configs(codec: string): Buffer[] {
  const tags = [...bodies(RTMP.video).map(parseFlvVideo), ...bodies(RTMP.audio).map(parseFlvAudio)];
  return tags.flatMap((tag) =>
    tag.kind === "config" && tag.codec === codec ? [Buffer.from(tag.config)] : [],
  );
}

function frames(codec: string): Buffer[] {
  const tags = [...bodies(RTMP.video).map(parseFlvVideo), ...bodies(RTMP.audio).map(parseFlvAudio)];
  return tags.flatMap((tag) => (tag.kind === "frame" && tag.codec === codec ? [Buffer.from(tag.data)] : []));
}

/** An aggregate of the first few tags (RTMP 1.0 §7.1.6). */
function aggregate(tags: readonly RtmpMessage[]): Buffer {
  const parts = tags.map(({ type, timestampMs, body }) => {
    const head = Buffer.alloc(11);
    head[0] = type;
    head.writeUIntBE(body.length, 1, 3);
    head.writeUIntBE(timestampMs & 0xffffff, 4, 3);
    const back = Buffer.alloc(4);
    back.writeUInt32BE(11 + body.length);
    return Buffer.concat([head, body, back]);
  });
  return Buffer.concat(parts);
}

/** Multitrack, ModEx and other forms that no encoder here sends: written by hand from the specification. */
const rareVideo = [
  "96 00 68766331 00 0102030405", // Multitrack, one track, sequence start.
  "a6 11 68766331 00 000004 00000001 01 000002 0a0b", // Many tracks.
  "96 21 68766331 00 000004 00000001 61763031 01 000001 0a", // Many codecs.
  "97 02 0f4240 01 68766331 000001 00000001 65", // ModEx: nanoseconds.
  "97 ff 0102 ".concat("00".repeat(259), "01 68766331 000000 65"), // Long ModEx.
  "94 68766331 0200", // Metadata.
  "d0 00", // Command frame.
  "27 01 ffffce 00000001 65",
  "1c 01 000000 00000001 26",
  "22 00ff",
].map((hex) => Buffer.from(hex.replaceAll(" ", ""), "hex"));
const rareAudio = [
  "95 01 4f707573 00 fc00",
  "97 02 0003e8 01 4f707573 fc00",
  "90 4f707573 4f70757348656164",
  "94 4f707573 0002",
  "2f fffb9000",
  "72 d5d5",
  "82 ffff",
  "b2 00",
  "36 0000",
  "3a ff",
].map((hex) => Buffer.from(hex.replaceAll(" ", ""), "hex"));
const rareScript = [
  encodeAmf0(
    "@setDataFrame",
    "onMetaData",
    new Map([
      ["width", 1280],
      ["x", null],
    ]),
  ),
  encodeAmf0("onMetaData", { a: [1, "b", { c: true }], d: new Date(0), e: "x".repeat(70_000) }),
  Buffer.from(
    "02000161 0b 0000000000000000 0000 0d 070001 10 000141 000161 05 000009 0c 00000001 61 06",
    "hex",
  ),
];

/** What a server says of logins, streams and their beginning, then its first frames. */
const rtspSession = readFileSync(new URL("gst-rtsp-server.rtsp", folder)).subarray(0, 4096);
/** What the recorded server never sends. */
const rareRtsp = [
  "RTSP/1.0 302 Moved\r\nLocation: rtsp://there/x\r\n\r\n",
  "RTSP/1.0 304 Not Modified\r\n\r\n",
  "OPTIONS rtsp://here RTSP/1.0\nCSeq: 9\n\n$\x01\x00\x02ab$\x01\x00\x00",
  "RTSP/1.0 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nbody",
  "RTSP/1.0 200 OK\r\nA: b\rLocation: x\r\n\r\n",
  "RTSP/1.0 200 OK\r\nContent-Length: 1048577\r\n\r\n",
  `RTSP/1.0 200 OK\r\n${"A: b\r\n".repeat(3000)}`,
].map((text) => Buffer.from(text, "latin1"));

/** Reads everything of one publisher's stream, in three pieces, as the door does. */
function readStream(input: Buffer): void {
  const handshake = new RtmpHandshake("server");
  const reader = new RtmpChunkReader({ ...RTMP_LIMITS, maxPendingBytes: 1 << 20 });
  const depacketizer = new FlvDepacketizer();
  let shaken = false;
  const third = Math.ceil(input.length / 3);
  for (let at = 0; at < input.length; at += third) {
    let piece = input.subarray(at, at + third);
    if (!shaken) {
      const { rest } = handshake.push(piece);
      if (rest === undefined) continue;
      shaken = true;
      piece = rest;
    }
    for (const message of reader.push(piece, 0)) readMessage(message, depacketizer);
  }
}

function readMessage(message: RtmpMessage, depacketizer: FlvDepacketizer): void {
  if (message.type !== RTMP.commandAmf0 && message.type !== RTMP.commandAmf3) {
    depacketizer.push(message);
    return;
  }
  const command = parseCommand(message, RTMP_LIMITS.maxCommandBytes);
  if (command.name === "connect") parseConnect(command);
  if (command.name === "publish" && typeof command.args[0] === "string") splitStreamName(command.args[0]);
  acceptsFourcc(command, "hvc1");
}

/** Reads a server's bytes in three pieces: nothing may come out that did not go in. */
function readRtsp(input: Buffer): void {
  const reader = new RtspReader();
  const third = Math.ceil(input.length / 3);
  let passed = 0;
  for (let at = 0; at < input.length; at += third) {
    const out = reader.push(input.subarray(at, at + third));
    if (!input.subarray(passed, passed + out.length).equals(out)) throw new Error("other bytes came out");
    passed += out.length;
  }
}

/** The client's side of the handshake, against a server's bytes. */
function readServer(input: Buffer): void {
  const handshake = new RtmpHandshake("client");
  handshake.start();
  handshake.push(input.subarray(0, 100));
  handshake.push(input.subarray(100));
}

function pipeSeed(): Buffer {
  const info = { kind: "video", codec: "h264", extradata: Buffer.from([1, 2, 3]) } as const;
  const packet = {
    kind: "video",
    data: Buffer.alloc(50),
    keyFrame: true,
    info,
    skipStart: 3,
    discontinuity: true,
  };
  const stamps = { ptsUs: 40, dtsUs: 20, durationUs: 20, arrivalUs: 1 };
  const error = { code: "ERR_PEER_LOST", fault: "peer", retryable: true, message: "gone" } as const;
  return Buffer.concat(
    [
      { type: "open", stream: 1, source: "mix/a" } as const,
      { type: "packet", stream: 1, packet: { ...packet, ...stamps } as never } as const,
      { type: "credit", stream: 1, packets: 3 } as const,
      { type: "end", stream: 1, error } as const,
      { type: "close", stream: 1 } as const,
      { type: "control", text: "hello" } as const,
    ].flatMap(encodeFrame),
  );
}

/** Chunk forms that the recorded encoders do not use: wide ids, extended stamps (repeated or not), Abort, pings. */
function rareChunks(): Buffer {
  const writer = new RtmpChunkWriter();
  const message = (
    type: number,
    body: Uint8Array,
    timestampMs = 0,
  ): Parameters<RtmpChunkWriter["write"]>[0] => ({
    type,
    timestampMs,
    streamId: 1,
    body,
  });
  const late = 0x1000000;
  const long = writer.write(message(RTMP.video, Buffer.alloc(300, 5), late), 400);
  // The same without the extended stamp in its continuations, as old encoders write it.
  const basic = 3;
  const lax = Buffer.concat([
    long.subarray(0, basic + 15 + 128),
    ...[0, 1].map((index) => {
      const start = basic + 15 + 128 + index * (basic + 4 + 128);
      return Buffer.concat([
        long.subarray(start, start + basic),
        long.subarray(start + basic + 4, start + basic + 4 + 128),
      ]);
    }),
  ]);
  const begun = writer.write(message(RTMP.audio, Buffer.alloc(300, 6)), 100).subarray(0, 140);
  return Buffer.concat([
    long,
    lax,
    begun,
    writer.write(message(RTMP.abort, u32Body(100)), 2),
    writer.write(message(RTMP.userControl, userControlBody(USER_CONTROL.pingRequest, 7)), 2),
    writer.write(message(RTMP.audio, Buffer.alloc(0)), 4),
    writer.setChunkSize(64),
    writer.write(message(RTMP.audio, Buffer.alloc(200, 8), 0xffffffff), 5),
  ]);
}

function readChunks(input: Buffer): void {
  const writer = new RtmpChunkWriter();
  for (const message of new RtmpChunkReader({ ...RTMP_LIMITS, maxChunkStreams: 4 }).push(input, 0)) {
    const again = writer.write(message, 6);
    if (message.body.length > RTMP_LIMITS.maxMessageBytes || again.length < message.body.length)
      throw new Error("bounds");
  }
}

/** Reads a tag and, where it is a frame, writes it again. */
function videoTag(input: Buffer): void {
  const tag = parseFlvVideo(input);
  if (tag.kind === "config") videoConfigTag(undefined, tag.config);
  if (tag.kind !== "frame") return;
  for (const fourcc of [undefined, "hvc1", "av01"]) {
    const again = parseFlvVideo(videoFrameTag(fourcc, tag.keyFrame, tag.compositionMs, [tag.data]));
    const same =
      again.kind === "frame" && again.keyFrame === tag.keyFrame && tag.data.length === again.data.length;
    if (!same) throw new Error("a written tag reads differently");
  }
  videoConfigTag("hvc1", tag.data);
}

function audioTag(input: Buffer): void {
  const tag = parseFlvAudio(input);
  if (tag.kind !== "frame" && tag.kind !== "config") return;
  const data = tag.kind === "frame" ? tag.data : tag.config;
  for (const fourcc of [undefined, "Opus"]) {
    audioConfigTag(fourcc, data);
    const again = parseFlvAudio(audioFrameTag(fourcc, data));
    const same = data.length === 0 || (again.kind === "frame" && Buffer.compare(again.data, data) === 0);
    if (!same) throw new Error("a written tag reads differently");
  }
}

function script(input: Buffer): void {
  const metadata = parseScript(input);
  if (metadata !== undefined)
    parseScript(metadataBody({ width: metadata.widthPx ?? 0, encoder: metadata.encoder ?? "" }));
}

function nalUnits(input: Buffer): void {
  const units = splitAnnexB(input);
  const again = splitAnnexB(joinAnnexB(units));
  if (again.length !== units.length) throw new Error("NAL units were lost");
  const prefixed = splitLengthPrefixed(Buffer.concat(lengthPrefixed(units)), 4);
  if (prefixed.length !== units.length) throw new Error("NAL units were lost");
  splitLengthPrefixed(input, 4);
  for (const codec of ["h264", "hevc"] as const) {
    buildNalConfig(codec, units);
    if (withoutFiller(codec, input, 4).length > input.length) throw new Error("filler was added");
  }
}

/** Walks what came out, as users of it would. */
function parseConfigs(input: Buffer): void {
  const { sps, pps } = parseAvcConfig(input);
  for (const unit of sps) parseH264Sps(unit);
  buildAvcConfig(sps, pps);
}

function parseHevcConfigs(input: Buffer): void {
  const { vps, sps, pps } = parseHevcConfig(input);
  for (const unit of sps) parseHevcSps(unit);
  buildHevcConfig(vps, sps, pps);
}

const media = messages.filter(({ type }) => type === RTMP.audio || type === RTMP.video);
const h264Sps = configs("h264").flatMap((config) =>
  parseAvcConfig(config).sps.map((unit) => Buffer.from(unit)),
);
/** Without the long SEI that x265 leaves in it. */
const hevcConfigs = configs("hevc").map((config) => {
  const { vps, sps, pps } = parseHevcConfig(config);
  return buildHevcConfig(vps, sps, pps);
});
const hevcSps = configs("hevc").flatMap((config) =>
  parseHevcConfig(config).sps.map((unit) => Buffer.from(unit)),
);

/** Every parser of this part that reads bytes of a peer. */
export const targets: readonly FuzzTarget[] = [
  {
    name: "a publisher's stream",
    seeds: [...captures.values()].map((capture) => capture.subarray(0, STREAM_BYTES)),
    deep: HANDSHAKE_BYTES,
    run: readStream,
  },
  {
    name: "a server's answers",
    seeds: [
      commandBody(
        "_result",
        1,
        { fmsVer: "x" },
        { ...statusInfo("status", "a.b", "c"), ...enhancedCapabilities("server") },
      ),
      commandBody("onStatus", 0, null, statusInfo("error", "NetStream.Publish.BadName", "in use")),
      commandBody("_result", 2, null, { videoFourCcInfoMap: { hvc1: 4 } }),
    ],
    run: readAnswer,
  },
  { name: "chunks", seeds: [rareChunks()], run: readChunks },
  {
    name: "a server's handshake",
    seeds: [Buffer.concat([Buffer.from([3]), Buffer.alloc(3072, 7)])],
    run: readServer,
  },
  {
    name: "AMF0",
    seeds: [...bodies(RTMP.commandAmf0), ...rareScript],
    run: (input) => void decodeAmf0(input),
  },
  { name: "script", seeds: [...bodies(RTMP.dataAmf0), ...rareScript], run: script },
  {
    name: "aggregate",
    seeds: [aggregate(media.slice(0, 5)), aggregate(media.slice(5, 8))],
    run: (body) =>
      void splitAggregate({ type: RTMP.aggregate, timestampMs: 5, streamId: 1, body, arrivalUs: 0 }),
  },
  { name: "video tag", seeds: [...bodies(RTMP.video).map(short), ...rareVideo], run: videoTag },
  { name: "audio tag", seeds: [...bodies(RTMP.audio).map(short), ...rareAudio], run: audioTag },
  { name: "avcC", seeds: configs("h264"), run: parseConfigs },
  { name: "H.264 SPS", seeds: h264Sps, run: (input) => void parseH264Sps(input) },
  { name: "hvcC", seeds: hevcConfigs, run: parseHevcConfigs },
  { name: "HEVC SPS", seeds: hevcSps, run: (input) => void parseHevcSps(input) },
  {
    name: "AudioSpecificConfig",
    seeds: [
      ...configs("aac"),
      buildAudioSpecificConfig(48_000, 2),
      Buffer.from("2b8a0800", "hex"),
      Buffer.from("f8f000", "hex"),
    ],
    run: (input) => void parseAudioSpecificConfig(input),
  },
  {
    name: "NAL units",
    seeds: [...frames("h264").map(short), joinAnnexB(h264Sps)],
    run: nalUnits,
  },
  {
    name: "AV1",
    seeds: [...frames("av1").map(short), ...configs("av1").map((config) => config.subarray(4))],
    run: (input) => {
      buildAv1Config(input);
      stripTemporalDelimiters(input);
    },
  },
  { name: "VP9", seeds: frames("vp9").map(short), run: (input) => void buildVp9Config(input) },
  { name: "Opus packet", seeds: frames("opus").map(short), run: opusPacket },
  {
    name: "an RTSP server's session",
    seeds: [rtspSession, rtspSession.subarray(0, 1024), ...rareRtsp],
    run: readRtsp,
  },
  { name: "packet pipe", seeds: [pipeSeed()], run: (input) => void new FrameParser().push(input) },
];

function readAnswer(body: Buffer): void {
  const message = { type: RTMP.commandAmf0, timestampMs: 0, streamId: 0, body, arrivalUs: 0 };
  const command = parseCommand(message, 1024);
  acceptsFourcc(command, "hvc1");
  acceptsFourcc(command, "none");
}

function opusPacket(input: Buffer): void {
  const samples = opusSamples(input);
  if (samples <= 0 || samples > 5760) throw new Error("no Opus packet lasts that long");
  buildOpusHead(2);
}

/** Mutations should hit headers, not coefficients. */
function short(bytes: Buffer): Buffer {
  return bytes.subarray(0, 96);
}
