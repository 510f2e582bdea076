import { describe, expect, test } from "vitest";
import { parseFlvAudio } from "../../src/protocol/flv-audio.ts";
import { metadataBody, parseScript } from "../../src/protocol/flv-script.ts";
import { parseFlvVideo } from "../../src/protocol/flv-video.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

/** Tags by hand, from FLV 10.1 §E.4 and Enhanced RTMP v2. */
const video: { name: string; bytes: string; want: object }[] = [
  {
    name: "AVC sequence header",
    bytes: "17 00 000000 0142",
    want: { kind: "config", codec: "h264", config: hex("0142") },
  },
  {
    name: "AVC key frame with a composition time",
    bytes: "17 01 000028 00000001 65",
    want: { kind: "frame", codec: "h264", keyFrame: true, compositionMs: 40, data: hex("0000000165") },
  },
  {
    name: "a negative composition time",
    bytes: "27 01 ffffd8 aa",
    want: { compositionMs: -40, keyFrame: false },
  },
  { name: "AVC end of sequence", bytes: "17 02 000000", want: { kind: "nothing" } },
  { name: "a command frame", bytes: "57 00", want: { kind: "nothing" } },
  {
    name: "HEVC by the old extension",
    bytes: "1c 01 000000 aa",
    want: { kind: "frame", codec: "hevc", keyFrame: true },
  },
  { name: "Sorenson H.263", bytes: "22 aabb", want: { kind: "frame", codec: "flv1", data: hex("aabb") } },
  { name: "VP6", bytes: "14 00aa", want: { kind: "unsupported" } },
  {
    name: "enhanced sequence start",
    bytes: "90 68766331 01aa",
    want: { kind: "config", codec: "hevc", config: hex("01aa") },
  },
  {
    name: "enhanced coded frames",
    bytes: "91 68766331 000021 aa",
    want: { kind: "frame", codec: "hevc", keyFrame: true, compositionMs: 33, data: hex("aa") },
  },
  {
    name: "coded frames X",
    bytes: "a3 61766331 aa",
    want: { codec: "h264", keyFrame: false, compositionMs: 0 },
  },
  {
    name: "AV1 has no composition time",
    bytes: "91 61763031 0a0b",
    want: { codec: "av1", data: hex("0a0b") },
  },
  { name: "VP9", bytes: "91 76703039 82", want: { codec: "vp9", data: hex("82") } },
  { name: "HDR metadata", bytes: "94 68766331 02", want: { kind: "nothing" } },
  {
    name: "ModEx with nanoseconds",
    bytes: "97 02 0003e8 01 61763031 aa",
    want: { codec: "av1", offsetNs: 1000, data: hex("aa") },
  },
  {
    name: "multitrack, one track",
    bytes: "96 01 61763031 02 aabb",
    want: { codec: "av1", trackId: 2, data: hex("aabb") },
  },
  {
    name: "multitrack, many tracks: the first",
    bytes: "96 11 61763031 00 000001 aa 01 000002 bbcc",
    want: { codec: "av1", trackId: 0, data: hex("aa") },
  },
  {
    name: "multitrack, many codecs: the first",
    bytes: "96 21 76703039 05 000001 aa 61763031 01 000002 bbcc",
    want: { codec: "vp9", trackId: 5, data: hex("aa") },
  },
  { name: "an unknown FourCC", bytes: "91 76766331 aa", want: { kind: "unsupported", codec: "vvc1" } },
];
describe("video tags", () => {
  for (const { name, bytes, want } of video)
    test(name, () => expect(parseFlvVideo(hex(bytes))).toMatchObject(want));
  const broken = [
    "",
    "17",
    "17 01 0000",
    "91 6876",
    "91 68766331 00",
    "97 ff ff",
    "96 01 61763031",
    "96 11 61763031 00 0000ff aa",
  ];
  for (const bytes of [...broken, "96 06 61763031 00 aa", `97${" 00 00 07".repeat(9)}`])
    test(`refuses ${JSON.stringify(bytes)}`, () =>
      expect(() => parseFlvVideo(hex(bytes))).toThrow(expect.objectContaining({ code: "ERR_PROTOCOL" })));
});

const audio: { name: string; bytes: string; want: object }[] = [
  {
    name: "AAC sequence header",
    bytes: "af 00 1190",
    want: { kind: "config", codec: "aac", config: hex("1190") },
  },
  { name: "AAC", bytes: "af 01 aabb", want: { kind: "frame", codec: "aac", data: hex("aabb") } },
  { name: "MP3", bytes: "2f fffb", want: { codec: "mp3", format: { sampleRate: 44_100, channels: 2 } } },
  { name: "MP3 at 8 kHz", bytes: "e2 ff", want: { codec: "mp3", format: { sampleRate: 8000, channels: 1 } } },
  { name: "mu-law", bytes: "82 ff", want: { codec: "pcm_mulaw", format: { sampleRate: 8000, channels: 1 } } },
  { name: "A-law", bytes: "72 d5", want: { codec: "pcm_alaw", format: { sampleRate: 8000, channels: 1 } } },
  {
    name: "16 bit PCM",
    bytes: "3b 0000",
    want: { codec: "pcm_s16le", format: { sampleRate: 22_050, channels: 2 } },
  },
  {
    name: "8 bit PCM",
    bytes: "34 80",
    want: { codec: "pcm_u8", format: { sampleRate: 11_025, channels: 1 } },
  },
  { name: "Speex", bytes: "b2 00", want: { kind: "unsupported", codec: "speex" } },
  { name: "an empty block", bytes: "af 01", want: { kind: "nothing" } },
  {
    name: "Opus header",
    bytes: "90 4f707573 4f70",
    want: { kind: "config", codec: "opus", config: hex("4f70") },
  },
  { name: "Opus", bytes: "91 4f707573 fc00", want: { kind: "frame", codec: "opus", data: hex("fc00") } },
  { name: "FLAC", bytes: "91 664c6143 ff", want: { codec: "flac" } },
  { name: "AC-3", bytes: "91 61632d33 0b77", want: { codec: "ac3" } },
  { name: "MP3 by FourCC", bytes: "91 2e6d7033 fffb", want: { codec: "mp3" } },
  { name: "AAC by FourCC", bytes: "90 6d703461 1190", want: { kind: "config", codec: "aac" } },
  { name: "multichannel configuration", bytes: "94 4f707573 00", want: { kind: "nothing" } },
  {
    name: "multitrack",
    bytes: "95 11 4f707573 01 000001 fc 02 000001 fd",
    want: { codec: "opus", trackId: 1, data: hex("fc") },
  },
];
describe("audio tags", () => {
  for (const { name, bytes, want } of audio)
    test(name, () => expect(parseFlvAudio(hex(bytes))).toMatchObject(want));
});

describe("onMetaData", () => {
  test("is read with and without @setDataFrame, and sensible values only", () => {
    const body = metadataBody({
      width: 1280,
      height: 720,
      framerate: 29.97,
      videodatarate: 2000,
      encoder: "x",
    });
    const want = { widthPx: 1280, heightPx: 720, frameRate: 29.97, videoBitrateBps: 2_000_000, encoder: "x" };
    expect(parseScript(body)).toEqual(want);
    expect(parseScript(body.subarray(16))).toEqual(want);
    expect(parseScript(metadataBody({ width: -1, height: Number.NaN, framerate: "30" }))).toEqual({});
  });
  test("other data messages are none of ours", () => {
    expect(parseScript(hex("02 0003 616263"))).toBeUndefined();
  });
});
