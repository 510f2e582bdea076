import type { Rational } from "../core/rational.ts";

/** How to turn a stored picture upright: clockwise rotation first, then a horizontal mirror. */
export interface Orientation {
  readonly rotate: 0 | 90 | 180 | 270;
  readonly mirror: boolean;
}

/** What is not to be shown at each side of a decoded picture, before its orientation. */
export interface Overscan {
  readonly topPx: number;
  readonly bottomPx: number;
  readonly leftPx: number;
  readonly rightPx: number;
}

/** What a decoder must know before the first packet of a video stream. Plain data, survives IPC. */
export interface VideoStreamInfo {
  readonly kind: "video";
  /** FFmpeg's codec name: `h264`, `hevc`, `vp8`, `vp9`, `av1`, `mpeg4`, ... */
  readonly codec: string;
  /** Global header as FFmpeg's decoder wants it (avcC, hvcC, av1C, ...); absent if parameter sets are in band. */
  readonly extradata?: Uint8Array;
  /** Container's tag (fourcc, little endian), which a few decoders need. */
  readonly codecTag?: number;
  readonly widthPx?: number;
  readonly heightPx?: number;
  /** Nominal rate if the container tells. */
  readonly frameRate?: Rational;
  readonly sampleAspectRatio?: Rational;
  readonly orientation?: Orientation;
  /** If the container cuts (clean aperture of ISO 14496-12 §12.1.4, Matroska's PixelCrop). The sizes here are uncut. */
  readonly overscan?: Overscan;
  /** Alpha comes beside the pictures, as {@link Packet.alpha}; decoders must know before the first. */
  readonly alphaBeside?: boolean;
  /** FFmpeg's numbers, when the container overrides the bit stream; 0 or absent is unspecified. */
  readonly colorRange?: number;
  readonly colorSpace?: number;
  readonly colorPrimaries?: number;
  readonly colorTransfer?: number;
  readonly pixelFormat?: number;
  readonly profile?: number;
  readonly level?: number;
  readonly bitsPerCodedSample?: number;
  /** Frames a decoder must hold back to put them in order, if the container or a probe told. */
  readonly reorderFrames?: number;
}

/** What a decoder must know before the first packet of an audio stream. Plain data, survives IPC. */
export interface AudioStreamInfo {
  readonly kind: "audio";
  /** FFmpeg's codec name: `aac`, `opus`, `mp3`, `flac`, `pcm_s16le`, ... */
  readonly codec: string;
  readonly extradata?: Uint8Array;
  readonly codecTag?: number;
  /** In Hz, as the container says; HE-AAC decodes to twice that. */
  readonly sampleRate?: number;
  readonly channels?: number;
  /** FFmpeg's native-order channel mask; absent when unknown. */
  readonly channelMask?: bigint;
  readonly sampleFormat?: number;
  readonly bitRateBps?: number;
  readonly bitsPerCodedSample?: number;
  readonly blockAlign?: number;
  readonly frameSize?: number;
  /** Samples of encoder delay at `sampleRate` that open the stream and are not to be heard. */
  readonly initialPadding?: number;
  readonly profile?: number;
}

export type StreamInfo = VideoStreamInfo | AudioStreamInfo;
