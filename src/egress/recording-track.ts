import { MediaInvalidError } from "../core/error.ts";
import type { Packet } from "../media/packet.ts";
import type { AudioStreamInfo, VideoStreamInfo } from "../media/stream-info.ts";
import { lengthPrefixed, splitAnnexB } from "../protocol/annexb.ts";
import { buildAv1Config, stripTemporalDelimiters } from "../protocol/av1.ts";
import { buildNalConfig, isFiller, isNalCodec, isParameterSet } from "../protocol/nal.ts";
import { buildOpusHead } from "../protocol/opus.ts";
import { buildVp9Config } from "../protocol/vp9.ts";
import type { EgressStreams } from "./egress.ts";
import { audioScale, type TickScale, videoScale } from "./recording-time.ts";

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

/**
 * The configuration that a key frame brings in band, or undefined if it brings none: compare to see a change.
 *
 * @throws {MediaInvalidError} `ERR_MEDIA_INVALID` if it is cut short.
 */
export function configInBand(codec: string, keyFrame: Uint8Array): Uint8Array | undefined {
  try {
    if (isNalCodec(codec)) return buildNalConfig(codec, splitAnnexB(keyFrame));
    if (codec === "av1") return buildAv1Config(keyFrame);
    return codec === "vp9" ? buildVp9Config(keyFrame) : undefined;
  } catch (cause) {
    throw new MediaInvalidError(`${codec}: a key frame whose parameters cannot be read`, { cause });
  }
}

/** A packet's bytes as containers store them; none if they cannot be read. */
export function toSampleData(codec: string, data: Uint8Array): Uint8Array {
  if (isNalCodec(codec)) {
    const units = splitAnnexB(data).filter((unit) => !isParameterSet(codec, unit) && !isFiller(codec, unit));
    return Buffer.concat(lengthPrefixed(units));
  }
  if (codec !== "av1") return data;
  try {
    return Buffer.concat(stripTemporalDelimiters(data));
  } catch {
    return new Uint8Array();
  }
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
  if (extradata.length < 19) return buildOpusHead(channels, 0);
  const head = Uint8Array.from(extradata);
  head.set([0, 0], 10);
  return head;
}

function samplesPerPacket(info: AudioStreamInfo): number {
  if (info.frameSize !== undefined && info.frameSize > 0) return info.frameSize;
  const usual: Record<string, number> = { aac: 1024, opus: 960, flac: 4096 };
  return usual[info.codec] ?? 0;
}
