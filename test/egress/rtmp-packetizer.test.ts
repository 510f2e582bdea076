import { expect, test } from "vitest";
import { us } from "../../src/core/time.ts";
import type { EgressStreams } from "../../src/egress/egress.ts";
import { configInBand, toSampleData } from "../../src/egress/recording-track.ts";
import { RtmpPacketizer } from "../../src/egress/rtmp-packetizer.ts";
import type { Packet } from "../../src/media/packet.ts";
import { joinAnnexB } from "../../src/protocol/annexb.ts";
import { type FlvVideo, parseFlvVideo } from "../../src/protocol/flv-video.ts";
import { parseAvcConfig } from "../../src/protocol/h264.ts";
import { RTMP } from "../../src/protocol/rtmp-message.ts";
import { captures, messagesOf } from "../protocol/fuzz/targets.ts";

/** What a real encoder sent. */
const sent = (capture: string): FlvVideo[] =>
  messagesOf(captures.get(capture) ?? Buffer.alloc(0))
    .filter(({ type }) => type === RTMP.video)
    .map(({ body }) => parseFlvVideo(body));

/** The tags that a key frame of these bytes becomes. */
function tagsOf(codec: string, data: Uint8Array): FlvVideo[] {
  const size = { widthPx: 64, heightPx: 64, frameRate: { num: 10, den: 1 }, bitrateBps: 30_000 };
  const streams: EgressStreams = { video: { kind: "video", codec, ...size } };
  const times = { ptsUs: us(0), dtsUs: us(0), durationUs: us(0), arrivalUs: us(0) };
  const packet: Packet = { kind: "video", data: Buffer.from(data), keyFrame: true, ...times };
  return new RtmpPacketizer(streams).tags(packet).map(({ body }) => parseFlvVideo(body));
}

test("filler data keeps up the bitrate of a push, and is not recorded", () => {
  const header = sent("ffmpeg").find((tag) => tag.kind === "config");
  const { sps, pps } = parseAvcConfig(header?.kind === "config" ? header.config : Buffer.alloc(0));
  const [picture, filler] = [Buffer.from("658884", "hex"), Buffer.from("0cffffff80", "hex")];
  const data = joinAnnexB([...sps, ...pps, picture, filler]);
  const [config, frame] = tagsOf("h264", data);
  expect(config).toMatchObject({ kind: "config", codec: "h264" });
  expect(frame).toMatchObject({
    kind: "frame",
    data: Buffer.from("00000003658884000000050cffffff80", "hex"),
  });
  expect(toSampleData("h264", data)).toEqual(Buffer.from("00000003658884", "hex"));
});

test("VP9 says the same of itself in a push and in a recording", () => {
  const key = sent("enhanced-vp9-opus").find((tag) => tag.kind === "frame" && tag.keyFrame);
  const data = key?.kind === "frame" ? key.data : Buffer.alloc(0);
  const [config, frame] = tagsOf("vp9", data);
  expect(config).toMatchObject({ kind: "config", codec: "vp9", config: configInBand("vp9", data) });
  expect(frame).toMatchObject({ kind: "frame", keyFrame: true, data });
});
