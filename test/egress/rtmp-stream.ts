import { us } from "../../src/core/time.ts";
import { FlvDepacketizer } from "../../src/door/flv-depacketizer.ts";
import type { EgressEvent, EgressStreams } from "../../src/egress/egress.ts";
import type { Packet } from "../../src/media/packet.ts";
import { joinAnnexB, splitLengthPrefixed } from "../../src/protocol/annexb.ts";
import { parseAvcConfig } from "../../src/protocol/h264.ts";
import { parseHevcConfig } from "../../src/protocol/hevc.ts";
import { captures, messagesOf } from "../protocol/fuzz/targets.ts";

/** A few pictures and sounds of a recorded encoder, in the form that encoders inside give them. */
export interface RecordedStream {
  readonly streams: EgressStreams;
  /** `count` packets in decode order, repeating what was recorded; 10 pictures a second. */
  packets(count: number, startUs?: number): Packet[];
}

const LOOP_US = 1_500_000;

/** H.264 and AAC as ffmpeg sent them, or HEVC and Opus. */
export function recorded(name: "ffmpeg" | "enhanced-hevc-opus" = "ffmpeg"): RecordedStream {
  const capture = captures.get(name);
  if (capture === undefined) throw new Error(`no capture ${name}`);
  const depacketizer = new FlvDepacketizer();
  const packets = messagesOf(capture).flatMap((message) => depacketizer.push(message));
  const [video, audio] = [depacketizer.infoOf("video"), depacketizer.infoOf("audio")];
  if (video?.kind !== "video" || audio?.kind !== "audio") throw new Error("no streams");
  const sets = parameterSets(video.codec, video.extradata ?? new Uint8Array());
  const { extradata: _, ...shown } = video;
  const streams: EgressStreams = {
    video: { ...shown, extradata: joinAnnexB(sets), frameRate: { num: 10, den: 1 }, bitrateBps: 30_000 },
    audio: { ...audio, sampleRate: 48_000, channels: 1, bitrateBps: 16_000 },
  };
  const inside = packets.map(({ info: _info, ...packet }) => ({
    ...packet,
    data: packet.kind === "audio" ? packet.data : annexB(packet, sets),
  }));
  inside.sort((a, b) => a.dtsUs - b.dtsUs);
  return { streams, packets: (count, startUs = 0) => repeat(inside, count, startUs) };
}

/** Everything an egress says, as it comes. */
export function collect(events: AsyncIterable<EgressEvent>): EgressEvent[] {
  const all: EgressEvent[] = [];
  void (async () => {
    for await (const event of events) all.push(event);
  })();
  return all;
}

const parameterSets = (codec: string, config: Uint8Array): Uint8Array[] => {
  if (codec === "h264") {
    const { sps, pps } = parseAvcConfig(config);
    return [...sps, ...pps];
  }
  const { vps, sps, pps } = parseHevcConfig(config);
  return [...vps, ...sps, ...pps];
};

function annexB(packet: Packet, sets: readonly Uint8Array[]): Buffer {
  const units = splitLengthPrefixed(packet.data, 4);
  return joinAnnexB(packet.keyFrame ? [...sets, ...units] : units);
}

function repeat(once: readonly Packet[], count: number, startUs: number): Packet[] {
  return Array.from({ length: count }, (_, index) => {
    const packet = once[index % once.length];
    if (packet === undefined) throw new Error("nothing recorded");
    const shiftUs = startUs + Math.floor(index / once.length) * LOOP_US;
    return { ...packet, ptsUs: us(packet.ptsUs + shiftUs), dtsUs: us(packet.dtsUs + shiftUs) };
  });
}
