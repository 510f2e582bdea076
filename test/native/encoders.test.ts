import { describe, expect, test } from "vitest";
import { DeviceError, NotSupportedError } from "../../src/core/error.ts";
import { frameTime, rational } from "../../src/core/rational.ts";
import { us } from "../../src/core/time.ts";
import { AudioDecoder } from "../../src/decode/audio.ts";
import { VideoDecoder } from "../../src/decode/video.ts";
import { type AudioWish, audioSettings } from "../../src/encode/audio-settings.ts";
import { defaultBitrateBps } from "../../src/encode/bitrate.ts";
import { type VideoWish, videoSettings } from "../../src/encode/video-settings.ts";
import type { Packet } from "../../src/media/packet.ts";
import { AudioEncoder } from "../../src/native/audio-encoder.ts";
import { Picture } from "../../src/native/picture.ts";
import { VideoEncoder } from "../../src/native/video-encoder.ts";

const wish: VideoWish = {
  codec: "h264",
  keyFrameIntervalMs: 2000,
  preset: "veryfast",
  bframes: 0,
  accel: "cpu",
};
const view = { widthPx: 320, heightPx: 180, rate: rational(30) };

async function encode(encoder: VideoEncoder, frames: number, forceAt?: number): Promise<Packet[]> {
  const packets: Packet[] = [];
  for (let i = 0; i < frames; i++) {
    const picture = Picture.solid(320, 180, { y: 20 + (i % 200), u: 128, v: 128 });
    packets.push(...(await encoder.encode(picture, i, { forceKey: i === forceAt, sync: i % 2 === 0 })));
  }
  packets.push(...(await encoder.flush()));
  await encoder.close();
  return packets;
}

describe("the default bitrate", () => {
  const cases = [
    { codec: "h264", size: [1280, 720, 30], want: 2_000_000 },
    { codec: "h264", size: [640, 480, 30], want: 800_000 },
    { codec: "h264", size: [1920, 1080, 30], want: 4_000_000 },
    { codec: "vp8", size: [1280, 720, 30], want: 2_400_000 },
    { codec: "hevc", size: [1280, 720, 30], want: 1_800_000 },
    { codec: "h264", size: [1280, 720, 60], want: 3_600_000 },
  ] as const;
  for (const { codec, size, want } of cases) {
    test(`${codec} ${size.join("x")}`, () => {
      expect(defaultBitrateBps(codec, size[0], size[1], size[2]) / want).toBeCloseTo(1, 1);
    });
  }
});

describe("video settings", () => {
  test("one side alone keeps the view's shape", () => {
    expect(videoSettings({ ...wish, height: 90 }, view)).toMatchObject({ widthPx: 160, heightPx: 90 });
    expect(videoSettings({ ...wish, width: 160 }, view)).toMatchObject({ widthPx: 160, heightPx: 90 });
  });
  test("the interval counts frames of the output's own rate", () => {
    expect(videoSettings({ ...wish, fps: "30000/1001", keyFrameIntervalMs: 1000 }, view).gopFrames).toBe(30);
  });
  test("a codec without encoder is refused by name", () => {
    expect(() => videoSettings({ ...wish, codec: "theora" }, view)).toThrow(NotSupportedError);
    expect(() => audioSettings({ codec: "speex" } as AudioWish, "aac")).toThrow(NotSupportedError);
  });
});

describe("the video encoder", () => {
  test("gives exact stamps, key frames at multiples of the interval, parameter sets in band at each", async () => {
    const encoder = VideoEncoder.open(
      videoSettings({ ...wish, keyFrameIntervalMs: 500 }, { ...view, rate: rational("30000/1001") }),
    );
    const packets = await encode(encoder, 60);
    expect(packets.map((p) => p.ptsUs)).toEqual(packets.map((_, i) => frameTime(i, rational("30000/1001"))));
    expect(packets.map((p) => p.dtsUs)).toEqual(packets.map((p) => p.ptsUs));
    const keys = packets.flatMap((p, i) => (p.keyFrame ? [i] : []));
    expect(keys).toEqual([0, 15, 30, 45]);
    for (const index of keys)
      expect(nalTypes(packets[index]?.data)).toEqual(expect.arrayContaining([7, 8, 5]));
  });

  test("makes a key frame when one is wanted", async () => {
    const packets = await encode(VideoEncoder.open(videoSettings(wish, view)), 20, 7);
    expect(packets.flatMap((p, i) => (p.keyFrame ? [i] : []))).toEqual([0, 7]);
  });

  test("decodes to what went in, in colour and number", async () => {
    const encoder = VideoEncoder.open(videoSettings(wish, view));
    const { info } = encoder;
    const packets = await encode(encoder, 30);
    using decoder = VideoDecoder.open(info);
    const frames = [...packets.flatMap((packet) => [...decoder.decode(packet)]), ...decoder.flush()];
    expect(frames.map((frame) => frame.ptsUs)).toEqual(packets.map((p) => p.ptsUs));
    expect(frames[0]).toMatchObject({ widthPx: 320, heightPx: 180 });
    for (const frame of frames) frame[Symbol.dispose]();
  });

  test("that cannot be opened says so and leaks nothing", () => {
    const settings = { ...videoSettings(wish, view), encoder: "no_such_encoder" };
    expect(() => VideoEncoder.open(settings)).toThrow(DeviceError);
    expect(() =>
      VideoEncoder.open({ ...videoSettings(wish, view), options: { preset: "no such preset" } }),
    ).toThrow(DeviceError);
  });
});

describe("the audio encoder", () => {
  for (const codec of ["aac", "opus"] as const) {
    for (const channels of [1, 2] as const) {
      test(`${codec} ${channels}: a click comes out at its sample, whatever the pieces it was pushed in`, () => {
        const click = 24_321;
        const encoder = AudioEncoder.open(audioSettings({ codec, channels, bitrateBps: 128_000 }, "aac"), 0);
        const packets: Packet[] = [];
        const sound = new Float32Array(2 * 48_000);
        for (let i = 0; i < 96; i++)
          sound[2 * (click + i)] = sound[2 * (click + i) + 1] = 0.8 * (i % 2 === 0 ? 1 : -1);
        for (let from = 0; from < sound.length; from += 2 * 777)
          packets.push(...encoder.push(sound.subarray(from, from + 2 * 777)));
        packets.push(...encoder.flush());
        const { info } = encoder;
        encoder.close();
        expect(Math.abs(loudestAt(info, packets) - click)).toBeLessThan(100);
      });
    }
  }
});

/** Position on the encoder's time line of the loudest sample that a decoder gives, padding not taken out. */
function loudestAt(info: AudioEncoder["info"], packets: readonly Packet[]): number {
  const { initialPadding: _, ...bare } = info;
  using decoder = AudioDecoder.open({
    ...bare,
    ...(info.codec === "opus" ? { extradata: withoutPreSkip(info.extradata) } : {}),
  });
  const blocks = [...packets.flatMap((packet) => [...decoder.decode(packet)]), ...decoder.flush()];
  let [best, at] = [0, -1];
  for (const block of blocks) {
    for (let i = 0; i < block.samples.length; i += 2) {
      const value = Math.abs(block.samples[i] ?? 0);
      if (value > best) [best, at] = [value, (block.ptsUs * 48) / 1000 + i / 2];
    }
  }
  return Math.round(at);
}

function withoutPreSkip(header: Uint8Array = new Uint8Array()): Uint8Array {
  const copy = Uint8Array.from(header);
  copy.fill(0, 10, 12);
  return copy;
}

function nalTypes(data: Uint8Array = new Uint8Array()): number[] {
  const types: number[] = [];
  for (let i = 2; i + 1 < data.length; i++) {
    if (data[i - 2] === 0 && data[i - 1] === 0 && data[i] === 1) types.push((data[i + 1] ?? 0) & 31);
  }
  return types;
}

test("stamps are in microseconds on the mix clock", () => {
  const encoder = AudioEncoder.open(audioSettings({ codec: "opus" }, "opus"), 48_000);
  const [packet] = encoder.push(new Float32Array(2 * 960));
  expect(packet?.ptsUs).toBe(us(1e6 - (312 / 48_000) * 1e6));
  encoder.close();
});
