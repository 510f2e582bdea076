import { ProtocolError } from "../core/error.ts";
import { rational } from "../core/rational.ts";
import { type Micros, us } from "../core/time.ts";
import type { Packet } from "../media/packet.ts";
import type { AudioStreamInfo, StreamInfo, VideoStreamInfo } from "../media/stream-info.ts";
import { parseAudioSpecificConfig } from "../protocol/aac.ts";
import { type FlvAudio, type FlvAudioFormat, parseFlvAudio } from "../protocol/flv-audio.ts";
import { parseScript, type StreamMetadata } from "../protocol/flv-script.ts";
import { type FlvVideo, parseFlvVideo } from "../protocol/flv-video.ts";
import { parseAvcConfig } from "../protocol/h264.ts";
import { parseHevcConfig } from "../protocol/hevc.ts";
import { isNalCodec, withoutFiller } from "../protocol/nal.ts";
import { RTMP, type RtmpMessage, splitAggregate } from "../protocol/rtmp-message.ts";
import { StampUnwrapper } from "./stamps.ts";

/** Counts since the publish began. */
export interface DepacketizerStats {
  readonly packets: number;
  /** Tags that could not be read, and frames without the sequence header they need. */
  readonly bad: number;
  /** Tags of codecs and tracks that are not taken. */
  readonly ignored: number;
  /** Names of codecs that were refused, at most a few. */
  readonly unsupported: readonly string[];
}

/** Codecs that cannot be decoded without their sequence header. */
const NEEDS_CONFIG = new Set(["h264", "hevc", "av1", "aac", "opus", "flac"]);
/** Codecs whose sequence header FFmpeg's decoders do not want. */
const NO_EXTRADATA = new Set(["vp8", "vp9", "mp3", "ac3", "eac3"]);
const MAX_NAMED = 4;

/** One of the two streams of a publisher: the first track seen of its kind. */
interface Stream {
  trackId: number | undefined;
  codec: string | undefined;
  config: Uint8Array | undefined;
  /** Bytes of each NAL unit's length, as `config` says. */
  lengthSize: number;
  format: FlvAudioFormat | undefined;
  info: StreamInfo | undefined;
  /** `info` goes out with the next packet. */
  announce: boolean;
}

/**
 * Turns the media messages of one RTMP publisher into packets, without a demuxer: `info` comes straight from
 * sequence headers, and again on the packet behind a changed one.
 *
 * Never throws for what a peer sent: bad tags are counted in {@link stats}.
 */
export class FlvDepacketizer {
  readonly #stamps = new StampUnwrapper();
  readonly #video = newStream();
  readonly #audio = newStream();
  #metadata: StreamMetadata = {};
  #packets = 0;
  #bad = 0;
  #ignored = 0;
  readonly #unsupported = new Set<string>();

  stats(): DepacketizerStats {
    const unsupported = [...this.#unsupported];
    return { packets: this.#packets, bad: this.#bad, ignored: this.#ignored, unsupported };
  }

  /** What the encoder says of itself in `onMetaData`. */
  get metadata(): StreamMetadata {
    return this.#metadata;
  }

  /** What is known of a stream by its newest packet. */
  infoOf(kind: "audio" | "video"): StreamInfo | undefined {
    return kind === "video" ? this.#video.info : this.#audio.info;
  }

  /** The packets of one audio, video, data or aggregate message. */
  push(message: RtmpMessage): readonly Packet[] {
    try {
      const parts = message.type === RTMP.aggregate ? splitAggregate(message) : [message];
      return parts.map((part) => this.#one(part)).filter((packet) => packet !== undefined);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#bad += 1;
      return [];
    }
  }

  #one(message: RtmpMessage): Packet | undefined {
    if (message.body.length === 0) return undefined;
    if (message.type === RTMP.video) return this.#take(this.#video, parseFlvVideo(message.body), message);
    if (message.type === RTMP.audio) return this.#take(this.#audio, parseFlvAudio(message.body), message);
    const isData = message.type === RTMP.dataAmf0 || message.type === RTMP.dataAmf3;
    if (isData) this.#script(message.type === RTMP.dataAmf3 ? message.body.subarray(1) : message.body);
    return undefined;
  }

  #script(body: Uint8Array): void {
    const metadata = parseScript(body);
    if (metadata !== undefined) this.#metadata = metadata;
  }

  #take(stream: Stream, tag: FlvVideo | FlvAudio, message: RtmpMessage): Packet | undefined {
    if (tag.kind === "nothing") return undefined;
    if (tag.kind === "unsupported") {
      this.#ignored += 1;
      if (this.#unsupported.size < MAX_NAMED) this.#unsupported.add(tag.codec);
      return undefined;
    }
    stream.trackId ??= tag.trackId;
    if (stream.trackId !== tag.trackId) {
      this.#ignored += 1;
      return undefined;
    }
    if (tag.kind === "config") {
      this.#configure(stream, tag.codec, tag.config);
      return undefined;
    }
    this.#useCodec(stream, tag);
    if (stream.info === undefined) {
      this.#bad += 1;
      return undefined;
    }
    return this.#packet(stream, stream.info, tag, message);
  }

  /** A sequence header: checked here, so that a decoder is only opened with one that can be. */
  #configure(stream: Stream, codec: string, config: Uint8Array): void {
    const same =
      stream.codec === codec && stream.config !== undefined && Buffer.compare(stream.config, config) === 0;
    if (same) return;
    const own = Uint8Array.from(config);
    if (codec === "h264") stream.lengthSize = parseAvcConfig(own).lengthSize;
    if (codec === "hevc") stream.lengthSize = parseHevcConfig(own).lengthSize;
    stream.codec = codec;
    stream.config = own;
    stream.info = this.#info(codec, own, undefined);
    stream.announce = true;
  }

  /** Codecs without a sequence header announce themselves by their frames. */
  #useCodec(stream: Stream, tag: { readonly codec: string; readonly format?: FlvAudioFormat }): void {
    const { codec, format } = tag;
    if (NEEDS_CONFIG.has(codec)) {
      if (stream.codec !== codec) stream.info = undefined;
      return;
    }
    const sameFormat =
      stream.format?.sampleRate === format?.sampleRate && stream.format?.channels === format?.channels;
    if (stream.codec === codec && sameFormat && stream.info !== undefined) return;
    stream.codec = codec;
    stream.config = undefined;
    stream.format = format;
    stream.info = this.#info(codec, undefined, format);
    stream.announce = true;
  }

  #info(codec: string, config: Uint8Array | undefined, format: FlvAudioFormat | undefined): StreamInfo {
    const extradata = config === undefined || NO_EXTRADATA.has(codec) ? {} : { extradata: config };
    return AUDIO.has(codec)
      ? audioInfo(codec, extradata, config, format)
      : videoInfo(codec, extradata, this.#metadata);
  }

  #packet(
    stream: Stream,
    info: StreamInfo,
    tag: (FlvVideo | FlvAudio) & { readonly kind: "frame" },
    message: RtmpMessage,
  ): Packet | undefined {
    const data = isNalCodec(info.codec) ? withoutFiller(info.codec, tag.data, stream.lengthSize) : tag.data;
    if (data.length === 0) return undefined; // It only kept up a bit rate.
    const placed = this.#stamps.place(info.kind, message.timestampMs);
    const dtsUs = us(placed.dtsUs + tag.offsetNs / 1000);
    const compositionMs = "compositionMs" in tag ? tag.compositionMs : 0;
    const announce = stream.announce;
    stream.announce = false;
    this.#packets += 1;
    return {
      kind: info.kind,
      data,
      ptsUs: us(dtsUs + compositionMs * 1000),
      dtsUs,
      durationUs: us(0),
      keyFrame: "keyFrame" in tag ? tag.keyFrame : true,
      arrivalUs: message.arrivalUs as Micros,
      ...(announce ? { info } : {}),
      ...(placed.discontinuity ? { discontinuity: true } : {}),
    };
  }
}

const AUDIO = new Set(
  ["aac", "opus", "flac", "mp3", "ac3", "eac3", "pcm_alaw", "pcm_mulaw", "pcm_s16le", "pcm_u8"].concat([
    "adpcm_swf",
    "nellymoser",
  ]),
);

const newStream = (): Stream => ({
  trackId: undefined,
  codec: undefined,
  config: undefined,
  lengthSize: 4,
  format: undefined,
  info: undefined,
  announce: false,
});

function videoInfo(codec: string, extradata: object, metadata: StreamMetadata): VideoStreamInfo {
  const { widthPx, heightPx, frameRate } = metadata;
  return {
    kind: "video",
    codec,
    ...extradata,
    ...(widthPx === undefined || heightPx === undefined
      ? {}
      : { widthPx: Math.round(widthPx), heightPx: Math.round(heightPx) }),
    ...(frameRate === undefined || frameRate < 1 ? {} : { frameRate: rational(frameRate) }),
  };
}

function audioInfo(
  codec: string,
  extradata: object,
  config: Uint8Array | undefined,
  format: FlvAudioFormat | undefined,
): AudioStreamInfo {
  const { sampleRate, channels } = config === undefined ? (format ?? {}) : soundOf(codec, config);
  return {
    kind: "audio",
    codec,
    ...extradata,
    ...(sampleRate === undefined || sampleRate <= 0 ? {} : { sampleRate }),
    ...(channels === undefined || channels <= 0 ? {} : { channels }),
  };
}

/** Rate and channels as the sequence header says them; decoders of the other codecs find out on their own. */
function soundOf(codec: string, config: Uint8Array): Partial<FlvAudioFormat> {
  if (codec === "aac") return parseAudioSpecificConfig(config);
  const channels = config[9];
  return codec === "opus" && channels !== undefined ? { sampleRate: 48_000, channels } : {};
}
