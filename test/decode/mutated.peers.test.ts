import { afterEach, expect, test } from "vitest";
import { AudioDecoder } from "../../src/decode/audio.ts";
import { VideoDecoder } from "../../src/decode/video.ts";
import type { Packet } from "../../src/media/packet.ts";
import type { AudioStreamInfo, VideoStreamInfo } from "../../src/media/stream-info.ts";
import { NativeFrame } from "../../src/native/frame.ts";
import { makeMedia } from "../kit/media.ts";
import { requirePeer } from "../kit/peers.ts";
import { playFile } from "./playing.ts";

const MUTATIONS = 500;
const video = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=30:duration=1", "-g", "10"];
const audio = ["-f", "lavfi", "-i", "sine=frequency=440:duration=1"];
const codecs = [
  { name: "H.264", container: "mp4", args: [...video, "-c:v", "libx264", "-pix_fmt", "yuv420p"] },
  {
    name: "HEVC",
    container: "mp4",
    args: [...video, "-c:v", "libx265", "-x265-params", "log-level=error", "-pix_fmt", "yuv420p"],
  },
  { name: "VP8", container: "webm", args: [...video, "-c:v", "libvpx"] },
  { name: "VP9", container: "webm", args: [...video, "-c:v", "libvpx-vp9", "-cpu-used", "8"] },
  { name: "AV1", container: "mkv", args: [...video, "-c:v", "libsvtav1", "-preset", "12"] },
  { name: "MPEG-2", container: "ts", args: [...video, "-c:v", "mpeg2video"] },
  { name: "AAC", container: "m4a", args: [...audio, "-c:a", "aac"] },
  { name: "Opus", container: "ogg", args: [...audio, "-c:a", "libopus"] },
  { name: "MP3", container: "mp3", args: [...audio, "-c:a", "libmp3lame"] },
  { name: "Vorbis", container: "ogg", args: [...audio, "-c:a", "libvorbis"] },
];

/** The same numbers for the same seed. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** A packet with flipped, cut, repeated or foreign bytes, wrong stamps, or another header. */
function mutate(packet: Packet, pick: (below: number) => number): Packet {
  const bytes = Uint8Array.from(packet.data);
  const at = pick(bytes.length);
  switch (pick(6)) {
    case 0:
      for (let count = 1 + pick(8); count > 0; count--) bytes[pick(bytes.length)] = pick(256);
      return { ...packet, data: bytes };
    case 1:
      return { ...packet, data: bytes.subarray(0, at) };
    case 2:
      return { ...packet, data: bytes.fill(pick(256), at, at + pick(64)) };
    case 3:
      return { ...packet, data: bytes, ptsUs: (packet.ptsUs + pick(2 ** 31) - 2 ** 30) as Packet["ptsUs"] };
    case 4:
      return {
        ...packet,
        data: bytes,
        skipStart: pick(2 ** 31),
        skipEnd: pick(2 ** 31),
        keyFrame: pick(2) === 0,
      };
    default: {
      if (packet.info === undefined) return { ...packet, data: Buffer.concat([bytes, bytes.subarray(at)]) };
      const extradata = Uint8Array.from(packet.info.extradata ?? [1, 2, 3], (one) =>
        pick(8) === 0 ? pick(256) : one,
      );
      return { ...packet, info: { ...packet.info, extradata } };
    }
  }
}

afterEach(() => expect(NativeFrame.live).toBe(0));

requirePeer("ffmpeg")("mutated packets", () => {
  for (const { name, container, args } of codecs) {
    test(`of ${name} never throw, never leak, and good ones decode afterwards`, async () => {
      const { packets } = await playFile(await makeMedia(args, container));
      const first = packets[0];
      if (first?.info === undefined) throw new Error("the first packet has the info");
      const { info } = first;
      const pick = random(7);
      using decoder =
        info.kind === "video"
          ? VideoDecoder.open(info as VideoStreamInfo)
          : AudioDecoder.open(info as AudioStreamInfo);
      let bytes = 0;
      const take = (items: ReturnType<typeof decoder.decode>): void => {
        for (const item of items) {
          if ("samples" in item) bytes = Math.max(bytes, item.samples.byteLength);
          else item[Symbol.dispose]();
        }
      };
      for (let round = 0; round < MUTATIONS; round++) {
        const packet = packets[pick(packets.length)] as Packet;
        take(decoder.decode(pick(3) === 0 ? packet : mutate({ ...packet, info }, pick)));
      }
      take(decoder.flush());
      expect(bytes).toBeLessThan(50e6);
      const before = decoder.stats.decoded;
      for (const packet of packets) take(decoder.decode({ ...packet, info }));
      take(decoder.flush());
      expect(decoder.stats.decoded - before).toBeGreaterThan(packets.length * 0.8);
    });
  }
});
