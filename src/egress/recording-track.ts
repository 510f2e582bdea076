import { MediaInvalidError, NotSupportedError } from "../core/error.ts";
import type { Packet } from "../media/packet.ts";
import type { AudioStreamInfo, VideoStreamInfo } from "../media/stream-info.ts";
import type { EgressStreams } from "./egress.ts";
import { join, u8 } from "./recording-bytes.ts";
import { configRecord, parameterSets, toLengthPrefixed } from "./recording-nal.ts";
import { audioScale, type TickScale, videoScale } from "./recording-time.ts";
import { av1Config, vp9Config, withoutTemporalDelimiters } from "./recording-vpx.ts";

/** What a container says about one stream before its first sample. */
export interface Track {
  /** 1 for the first track of the file. */
  readonly id: number;
  readonly info: VideoStreamInfo | AudioStreamInfo;
  readonly scale: TickScale;
  /** avcC, hvcC, av1C, vpcC, AudioSpecificConfig, OpusHead or STREAMINFO; empty where the codec has none. */
  readonly config: Uint8Array;
}

/** One access unit or coded block as a container stores it; stamps in its track's ticks from the part's start. */
export interface Sample {
  readonly track: Track;
  readonly data: Uint8Array;
  readonly pts: number;
  /** From 0, rising, never after `pts`. */
  readonly dts: number;
  readonly duration: number;
  readonly keyFrame: boolean;
}

/** The file formats that recordings have. */
export type ContainerKind = "mp4" | "mkv";

const CARRIED: Record<ContainerKind, readonly string[]> = {
  mp4: ["h264", "hevc", "vp9", "av1", "aac", "opus", "flac"],
  mkv: ["h264", "hevc", "vp8", "vp9", "av1", "aac", "opus", "flac"],
};

/**
 * Checks what can be checked before the first packet.
 *
 * @throws {NotSupportedError} `ERR_NOT_SUPPORTED` if the container does not take a codec.
 */
export function assertCarried(container: ContainerKind, streams: EgressStreams): void {
  for (const codec of [streams.video?.codec, streams.audio?.codec]) {
    if (codec === undefined || CARRIED[container].includes(codec)) continue;
    throw new NotSupportedError(
      `.${container} does not carry ${codec}; it takes ${CARRIED[container].join(", ")}`,
    );
  }
}

/**
 * The tracks of a part that begins with `first`, whose own parameter sets win over those announced.
 *
 * @throws {MediaInvalidError} `ERR_MEDIA_INVALID` if the decoder's configuration is nowhere to be found.
 */
export function tracksOf(streams: EgressStreams, first: Packet): Track[] {
  const tracks: Track[] = [];
  const { video, audio } = streams;
  if (video !== undefined) {
    tracks.push({
      id: 1,
      info: video,
      scale: videoScale(video.frameRate),
      config: videoConfig(video, first),
    });
  }
  if (audio !== undefined) {
    const scale = audioScale(audio.sampleRate, samplesPerPacket(audio));
    tracks.push({ id: tracks.length + 1, info: audio, scale, config: audioConfig(audio) });
  }
  return tracks;
}

/** The configuration that a key frame brings in band, or undefined if it brings none: compare to see a change. */
export function configInBand(codec: string, keyFrame: Uint8Array): Uint8Array | undefined {
  if (codec === "h264" || codec === "hevc") {
    const sets = parameterSets(codec, keyFrame);
    return sets.length === 0 ? undefined : configRecord(codec, sets);
  }
  if (codec === "av1") return av1Config(keyFrame);
  return codec === "vp9" ? vp9Config(keyFrame) : undefined;
}

/** A packet's bytes as containers store them. */
export function toSampleData(codec: string, data: Uint8Array): Uint8Array {
  if (codec === "h264" || codec === "hevc") return toLengthPrefixed(codec, data);
  return codec === "av1" ? withoutTemporalDelimiters(data) : data;
}

function videoConfig(info: VideoStreamInfo, first: Packet): Uint8Array {
  const { codec, extradata = new Uint8Array() } = info;
  if (codec === "vp8") return new Uint8Array();
  const config = configInBand(codec, first.data) ?? configInBand(codec, extradata);
  if (config === undefined)
    throw new MediaInvalidError(`${codec}: the first key frame does not say how to decode it`);
  return config;
}

function audioConfig(info: AudioStreamInfo): Uint8Array {
  const { codec, extradata = new Uint8Array(), channels = 2 } = info;
  if (codec === "opus") return opusHead(extradata, channels);
  // FFmpeg hands out STREAMINFO bare; a whole header is cut down to it (RFC 9639 §8).
  const bare = codec === "flac" && extradata[0] === 0x66 ? extradata.subarray(8, 42) : extradata;
  if (bare.length < (codec === "flac" ? 34 : 2))
    throw new MediaInvalidError(`${codec}: no decoder configuration`);
  return bare;
}

/**
 * The OpusHead with a pre-skip of 0 (RFC 7845 §5.1). Stamps here say when a packet's first decoded sample stands,
 * priming counted, so that a player which also skipped would play everything early.
 */
function opusHead(extradata: Uint8Array, channels: number): Uint8Array {
  const given = extradata.length >= 19;
  const head = given
    ? Uint8Array.from(extradata)
    : join(Buffer.from("OpusHead", "latin1"), u8(1, channels, 0, 0, 0x80, 0xbb, 0, 0, 0, 0, 0));
  head.set([0, 0], 10);
  return head;
}

function samplesPerPacket(info: AudioStreamInfo): number {
  if (info.frameSize !== undefined && info.frameSize > 0) return info.frameSize;
  const usual: Record<string, number> = { aac: 1024, opus: 960, flac: 4096 };
  return usual[info.codec] ?? 0;
}
