import { checkCarried } from "../core/carried.ts";
import { toNumber } from "../core/rational.ts";
import type { Packet } from "../media/packet.ts";
import { buildAudioSpecificConfig } from "../protocol/aac.ts";
import type { AmfValue } from "../protocol/amf0.ts";
import { lengthPrefixed, splitAnnexB } from "../protocol/annexb.ts";
import { buildAv1Config, stripTemporalDelimiters } from "../protocol/av1.ts";
import { audioConfigTag, audioFrameTag } from "../protocol/flv-audio.ts";
import { metadataBody } from "../protocol/flv-script.ts";
import { videoConfigTag, videoFrameTag } from "../protocol/flv-video.ts";
import { buildNalConfig, isNalCodec, isParameterSet } from "../protocol/nal.ts";
import { buildOpusHead } from "../protocol/opus.ts";
import { buildVp9Config } from "../protocol/vp9.ts";
import { codecsOf, type EgressStreams } from "./egress.ts";

/** How each codec goes over RTMP: FourCC of Enhanced RTMP, undefined where the legacy form is understood by all. */
const VIDEO: Readonly<Record<string, string | undefined>> = {
  h264: undefined,
  hevc: "hvc1",
  av1: "av01",
  vp9: "vp09",
};
const AUDIO: Readonly<Record<string, string | undefined>> = { aac: undefined, opus: "Opus" };
/** CodecIDs of legacy tags (FLV 10.1 §E.4). */
const LEGACY_ID = { h264: 7, aac: 10 } as const;

/** One tag to send. */
export interface RtmpTag {
  readonly kind: "video" | "audio";
  readonly body: Buffer;
}

/** A packet in FLV form: the same for every output that gets the same packet. */
interface Converted {
  /** On key frames that bring parameter sets. */
  readonly config: Buffer | undefined;
  readonly frame: Buffer;
}

/** Twenty outputs of one encoder convert each packet once. */
const converted = new WeakMap<Packet, Converted>();

/**
 * Turns packets into FLV tags for one RTMP peer: sequence headers first and again when they change.
 *
 * Video comes as Annex B (H.264, HEVC), temporal units (AV1) or frames (VP9); see {@link EgressStreams}.
 */
export class RtmpPacketizer {
  readonly #streams: EgressStreams;
  #sentVideo: Buffer | undefined;
  #sentAudio = false;

  /** @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if RTMP does not carry a codec. */
  constructor(streams: EgressStreams) {
    this.#streams = streams;
    checkCarried("rtmp", codecsOf(streams), "/streams");
  }

  /** FourCCs that the peer must say it takes. */
  get fourccs(): readonly string[] {
    const { video, audio } = this.#streams;
    const needed = [video && VIDEO[video.codec], audio && AUDIO[audio.codec]];
    return needed.filter((fourcc) => fourcc !== undefined);
  }

  /** A new peer: sequence headers are due again. */
  restart(): void {
    this.#sentVideo = undefined;
    this.#sentAudio = false;
  }

  /** The body of the data message that opens the stream. */
  metadata(): Buffer {
    const { video, audio } = this.#streams;
    const members: Record<string, AmfValue> = { duration: 0 };
    if (video !== undefined) {
      members.width = video.widthPx ?? 0;
      members.height = video.heightPx ?? 0;
      members.framerate = toNumber(video.frameRate);
      members.videodatarate = video.bitrateBps / 1000;
      members.videocodecid = codecId(video.codec, VIDEO[video.codec]);
    }
    if (audio !== undefined) {
      members.audiodatarate = audio.bitrateBps / 1000;
      members.audiosamplerate = audio.sampleRate;
      members.audiosamplesize = 16;
      members.stereo = audio.channels > 1;
      members.audiocodecid = codecId(audio.codec, AUDIO[audio.codec]);
    }
    return metadataBody({ ...members, encoder: "Tessera" });
  }

  /**
   * The tags of a packet, sequence header first where one is due.
   *
   * @throws {ProtocolError} `ERR_PROTOCOL` if the encoder's parameter sets cannot be read.
   */
  tags(packet: Packet): RtmpTag[] {
    return packet.kind === "video" ? this.#videoTags(packet) : this.#audioTags(packet);
  }

  #videoTags(packet: Packet): RtmpTag[] {
    const video = this.#streams.video;
    if (video === undefined) return [];
    const { codec, extradata } = video;
    let done = converted.get(packet);
    if (done === undefined) {
      done = convert(codec, packet);
      converted.set(packet, done);
    }
    const tags: RtmpTag[] = [{ kind: "video", body: done.frame }];
    const isDue = this.#sentVideo === undefined && extradata !== undefined;
    const config = done.config ?? (isDue ? configOf(codec, extradata) : undefined);
    if (config !== undefined && !(this.#sentVideo?.equals(config) ?? false)) {
      this.#sentVideo = config;
      tags.unshift({ kind: "video", body: videoConfigTag(VIDEO[codec], config) });
    }
    return tags;
  }

  #audioTags(packet: Packet): RtmpTag[] {
    const audio = this.#streams.audio;
    if (audio === undefined) return [];
    const fourcc = AUDIO[audio.codec];
    const tags: RtmpTag[] = [{ kind: "audio", body: audioFrameTag(fourcc, packet.data) }];
    const changed = packet.info?.kind === "audio" ? packet.info.extradata : undefined;
    if (this.#sentAudio && changed === undefined) return tags;
    this.#sentAudio = true;
    const config =
      changed ?? audio.extradata ?? buildAudioConfig(audio.codec, audio.sampleRate, audio.channels);
    return [{ kind: "audio", body: audioConfigTag(fourcc, config) }, ...tags];
  }
}

const buildAudioConfig = (codec: string, sampleRate: number, channels: number): Buffer =>
  codec === "aac" ? buildAudioSpecificConfig(sampleRate, channels) : buildOpusHead(channels);

/** Enhanced RTMP v2: where a legacy id stood, metadata says the FourCC as a number. */
const codecId = (codec: string, fourcc: string | undefined): number =>
  fourcc === undefined
    ? LEGACY_ID[codec as keyof typeof LEGACY_ID]
    : Buffer.from(fourcc, "latin1").readUInt32BE(0);

function convert(codec: string, packet: Packet): Converted {
  const { data, keyFrame } = packet;
  const fourcc = VIDEO[codec];
  const config = keyFrame ? configOf(codec, data) : undefined;
  if (!isNalCodec(codec)) {
    const parts = codec === "av1" ? stripTemporalDelimiters(data) : [data];
    return { config, frame: videoFrameTag(fourcc, keyFrame, 0, parts) };
  }
  const compositionMs = (packet.ptsUs - packet.dtsUs) / 1000;
  // Filler stays: an encoder makes it only where a constant bitrate was asked for, which is for the wire.
  const media = splitAnnexB(data).filter((unit) => !isParameterSet(codec, unit));
  return { config, frame: videoFrameTag(fourcc, keyFrame, compositionMs, lengthPrefixed(media)) };
}

/** The sequence header in a key frame or an encoder's extradata; undefined if it holds no parameter sets. */
function configOf(codec: string, bytes: Uint8Array): Buffer | undefined {
  if (isNalCodec(codec)) return buildNalConfig(codec, splitAnnexB(bytes));
  return codec === "av1" ? buildAv1Config(bytes) : buildVp9Config(bytes);
}
