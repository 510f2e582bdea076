import { describe, expect, test } from "vitest";
import { buildAudioSpecificConfig, parseAudioSpecificConfig } from "../../src/protocol/aac.ts";
import {
  joinAnnexB,
  lengthPrefixed,
  splitAnnexB,
  splitLengthPrefixed,
  unescapeNal,
} from "../../src/protocol/annexb.ts";
import { buildAv1Config } from "../../src/protocol/av1.ts";
import { parseFlvAudio } from "../../src/protocol/flv-audio.ts";
import { parseFlvVideo } from "../../src/protocol/flv-video.ts";
import { buildAvcConfig, parseAvcConfig, parseH264Sps } from "../../src/protocol/h264.ts";
import { buildHevcConfig, parseHevcConfig, parseHevcSps } from "../../src/protocol/hevc.ts";
import { buildNalConfig, isFiller, isParameterSet, withoutFiller } from "../../src/protocol/nal.ts";
import { opusSamples } from "../../src/protocol/opus.ts";
import { RTMP } from "../../src/protocol/rtmp-message.ts";
import { buildVp9Config } from "../../src/protocol/vp9.ts";
import { captures, messagesOf } from "./fuzz/targets.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

/** A recorded encoder's sequence header. */
function config(capture: string, kind: "audio" | "video"): Buffer {
  const parse = kind === "video" ? parseFlvVideo : parseFlvAudio;
  for (const { type, body } of messagesOf(captures.get(capture) ?? Buffer.alloc(0))) {
    const tag = type === RTMP[kind] ? parse(body) : undefined;
    if (tag?.kind === "config") return Buffer.from(tag.config);
  }
  throw new Error(`no ${kind} header in ${capture}`);
}

describe("NAL units", () => {
  test("both start codes, trailing zeros and leading rubbish", () => {
    const units = splitAnnexB(hex("ffff 000001 6788 0000 000001 68 000000 01 6500"));
    expect(units.map((unit) => Buffer.from(unit).toString("hex"))).toEqual(["6788", "68", "65"]);
  });
  test("length prefixes of every size", () => {
    const units = [hex("67"), hex("6801")];
    expect(splitLengthPrefixed(Buffer.concat(lengthPrefixed(units)), 4)).toEqual(units);
    expect(splitLengthPrefixed(hex("0167 026801"), 1)).toEqual(units);
    expect(() => splitLengthPrefixed(hex("00000005 67"), 4)).toThrow(
      expect.objectContaining({ code: "ERR_PROTOCOL" }),
    );
  });
  test("length prefixes of two bytes hold what two bytes can say", () => {
    expect(Buffer.concat(lengthPrefixed([hex("6801")], 2))).toEqual(hex("0002 6801"));
    expect(() => lengthPrefixed([Buffer.alloc(65_536)], 2)).toThrow(
      expect.objectContaining({ code: "ERR_PROTOCOL" }),
    );
  });
  test("emulation prevention", () =>
    expect(Buffer.from(unescapeNal(hex("00000300000301 000004")))).toEqual(hex("0000000001 000004")));
  test("join and split are inverse", () => {
    const units = [hex("6764001f"), hex("68ee"), hex("6588")];
    expect(splitAnnexB(joinAnnexB(units))).toEqual(units);
  });
});

describe("H.264", () => {
  for (const capture of ["ffmpeg", "gstreamer"])
    test(`avcC of ${capture} is rebuilt from its parameter sets, byte for byte`, () => {
      const original = config(capture, "video");
      const { sps, pps, lengthSize } = parseAvcConfig(original);
      expect(lengthSize).toBe(4);
      // GStreamer leaves out the four bytes at the end that the High profiles ask for.
      expect(buildAvcConfig(sps, pps).subarray(0, original.length)).toEqual(original);
      expect(parseH264Sps(sps[0] ?? hex(""))).toMatchObject({ widthPx: 64, heightPx: 64 });
    });
  // x264's SPS for these sizes and profiles, as ffmpeg wrote them.
  const sizes = [
    {
      sps: "6764001facd9405005bb016c80000003008000001e078c18cb",
      want: { widthPx: 1280, heightPx: 720, chromaFormat: 1 },
    },
    {
      sps: "67640028acd940780227e5c05a808080a0000003002000000781e30632c0",
      want: { widthPx: 1920, heightPx: 1080 },
    },
  ];
  for (const { sps, want } of sizes)
    test(`SPS of ${want.widthPx} x ${want.heightPx}`, () =>
      expect(parseH264Sps(hex(sps))).toMatchObject(want));
});

describe("HEVC", () => {
  test("hvcC is rebuilt from its parameter sets", () => {
    const original = parseHevcConfig(config("enhanced-hevc-opus", "video"));
    const built = buildHevcConfig(original.vps, original.sps, original.pps);
    expect(parseHevcConfig(built)).toEqual(original);
    expect(parseHevcSps(original.sps[0] ?? hex(""))).toMatchObject({
      widthPx: 64,
      heightPx: 64,
      chromaFormat: 1,
    });
    // Profile, tier, level, chroma and depths, where FFmpeg's muxer knows them too; 13 to 20 are its guesses.
    const ffmpegs = config("enhanced-hevc-opus", "video");
    expect(built.subarray(0, 13)).toEqual(ffmpegs.subarray(0, 13));
    expect([...built.subarray(16, 19)]).toEqual([...ffmpegs.subarray(16, 19)]);
    expect(built[21]).toBe(ffmpegs[21]);
  });
});

describe("what containers keep apart", () => {
  const cases = [
    { codec: "h264", units: ["67", "68", "09"], filler: "0c", picture: "65" },
    { codec: "hevc", units: ["4001", "4201", "4401", "4601"], filler: "4c01", picture: "2601" },
  ] as const;
  for (const { codec, units, filler, picture } of cases)
    test(codec, () => {
      for (const unit of units) expect(isParameterSet(codec, hex(unit)), unit).toBe(true);
      expect([isParameterSet(codec, hex(filler)), isFiller(codec, hex(filler))]).toEqual([false, true]);
      expect([isParameterSet(codec, hex(picture)), isFiller(codec, hex(picture))]).toEqual([false, false]);
    });

  test("filler goes, whatever the lengths; what cannot be read stays", () => {
    const filled = hex("0003 0cffff 0002 6588 0003 0cff80 0001 41");
    expect(withoutFiller("h264", filled, 2)).toEqual(hex("0002 6588 0001 41"));
    expect(withoutFiller("hevc", hex("03 4c01ff 02 2601"), 1)).toEqual(hex("02 2601"));
    expect(withoutFiller("h264", hex("00000003 0cff80"), 4)).toHaveLength(0);
    for (const kept of ["0002 6588", "0009 0cffff"])
      expect(withoutFiller("h264", hex(kept), 2)).toEqual(hex(kept));
  });

  test("makes the configuration of a key frame, in whatever order it comes", () => {
    const avc = parseAvcConfig(config("ffmpeg", "video"));
    const picture = hex("6588");
    expect(buildNalConfig("h264", [...avc.pps, ...avc.sps, picture])).toEqual(
      buildAvcConfig(avc.sps, avc.pps),
    );
    const { vps, sps, pps } = parseHevcConfig(config("enhanced-hevc-opus", "video"));
    expect(buildNalConfig("hevc", [...pps, ...vps, ...sps])).toEqual(buildHevcConfig(vps, sps, pps));
    expect(buildNalConfig("h264", [picture])).toBeUndefined();
    expect(() => buildNalConfig("h264", avc.sps)).toThrow(expect.objectContaining({ code: "ERR_PROTOCOL" }));
  });
});

test("av1C is rebuilt from its sequence header, byte for byte", () => {
  const original = config("enhanced-av1-flac", "video");
  expect(buildAv1Config(original.subarray(4))).toEqual(original);
  expect(buildAv1Config(original)).toEqual(original);
  expect(buildAv1Config(hex("1200"))).toBeUndefined();
});

describe("vpcC", () => {
  const captured = messagesOf(captures.get("enhanced-vp9-opus") ?? Buffer.alloc(0));
  const [key] = captured.flatMap(({ type, body }) => {
    const tag = type === RTMP.video ? parseFlvVideo(body) : undefined;
    return tag?.kind === "frame" && tag.keyFrame ? [tag.data] : [];
  });

  test("says profile, level and depth of a real encoder's key frame, which is 64x64", () => {
    expect(buildVp9Config(key ?? hex(""))).toEqual(hex("01000000 00 0a 82 010101 0000"));
  });

  const cases = [
    { name: "160x136 at most at 60 a second is level 1.1", bytes: "82498342 0009f00876", want: "00 0b 82" },
    { name: "720p", bytes: "82498342 004ff02cf0", want: "00 28 82" },
    { name: "1080p", bytes: "82498342 0077f04370", want: "00 29 82" },
    { name: "4K", bytes: "82498342 00eff086f0", want: "00 33 82" },
    { name: "profile 2, 10 bits", bytes: "92498342 0027f81678", want: "02 28 a2" },
    { name: "profile 1, 4:4:4", bytes: "a2498342 0009fe059e", want: "01 28 86" },
  ];
  test.each(cases)("$name", ({ bytes, want }) => {
    const frame = Buffer.concat([hex(bytes), Buffer.alloc(8)]);
    expect(buildVp9Config(frame)?.subarray(4, 7)).toEqual(hex(want));
  });

  test("is not made of anything else", () => {
    for (const bytes of ["", "00", "8249", "86498342000000000000", "824983430009f0087600"])
      expect(buildVp9Config(hex(bytes)), bytes).toBeUndefined();
  });
});

describe("AudioSpecificConfig", () => {
  const cases = [
    { bytes: "1190", want: { objectType: 2, sampleRate: 48_000, channels: 2, sbr: false } },
    { bytes: "1208", want: { objectType: 2, sampleRate: 44_100, channels: 1, sbr: false } },
    { bytes: "2b9188 00", want: { objectType: 2, sampleRate: 22_050, channels: 2, sbr: true } },
    { bytes: "1780 5dc0 08", want: { objectType: 2, sampleRate: 48_000, channels: 1, sbr: false } },
  ];
  for (const { bytes, want } of cases)
    test(bytes, () => expect(parseAudioSpecificConfig(hex(bytes))).toEqual(want));
  test("is written for AAC-LC, 7.1 too", () => {
    expect(buildAudioSpecificConfig(48_000, 2)).toEqual(hex("1190"));
    expect(parseAudioSpecificConfig(buildAudioSpecificConfig(44_100, 8))).toMatchObject({ channels: 8 });
    expect(() => buildAudioSpecificConfig(48_001, 2)).toThrow(
      expect.objectContaining({ code: "ERR_PROTOCOL" }),
    );
  });
});

describe("Opus packets", () => {
  const cases = [
    { toc: "fc", samples: 960 }, // CELT fullband, 20 ms
    { toc: "f4", samples: 480 },
    { toc: "e0", samples: 120 },
    { toc: "18", samples: 2880 }, // SILK 60 ms
    { toc: "fd", samples: 1920 },
    { toc: "ff03", samples: 2880 },
  ];
  for (const { toc, samples } of cases) test(toc, () => expect(opusSamples(hex(toc))).toBe(samples));
  for (const bytes of ["", "ff00", "1b3f"])
    test(`refuses ${JSON.stringify(bytes)}`, () =>
      expect(() => opusSamples(hex(bytes))).toThrow(expect.objectContaining({ code: "ERR_PROTOCOL" })));
});
