import {
  AV_CHANNEL_ORDER_NATIVE,
  AV_CHANNEL_ORDER_UNSPEC,
  AV_PKT_DATA_DISPLAYMATRIX,
  AV_PKT_DATA_FRAME_CROPPING,
  type AVColorPrimaries,
  type AVColorRange,
  type AVColorSpace,
  type AVColorTransferCharacteristic,
  AVMEDIA_TYPE_AUDIO,
  AVMEDIA_TYPE_VIDEO,
  type AVPixelFormat,
  type AVProfile,
  type AVSampleFormat,
} from "node-av/constants";
import {
  Rational as AvRational,
  avChannelLayoutDefault,
  avGetCodecName,
  type Codec,
  CodecParameters,
  type Stream,
} from "node-av/lib";
import type { Rational } from "../core/rational.ts";
import type { AudioStreamInfo, Overscan, StreamInfo, VideoStreamInfo } from "../media/stream-info.ts";
import { orientationOf } from "./frame.ts";

/** What FFmpeg found out about a stream as plain data; undefined for what is neither picture nor sound. */
export function streamInfoOf(stream: Stream): StreamInfo | undefined {
  const parameters = stream.codecpar;
  const codec = avGetCodecName(parameters.codecId);
  if (codec === null || codec === "none") return undefined;
  if (parameters.codecType === AVMEDIA_TYPE_VIDEO) return remember(videoInfo(codec, stream), parameters);
  if (parameters.codecType === AVMEDIA_TYPE_AUDIO) return remember(audioInfo(codec, parameters), parameters);
  return undefined;
}

// node-av has no access to a few fields (`block_align`, which ADPCM and WMA need), so decoders of the same process
// get FFmpeg's own parameters. An info that crossed a process border makes do without those fields.
const originals = new WeakMap<StreamInfo, CodecParameters>();

function remember<Info extends StreamInfo>(info: Info, parameters: CodecParameters): Info {
  const original = new CodecParameters();
  original.alloc();
  if (parameters.copy(original) >= 0) originals.set(info, original);
  return info;
}

function videoInfo(codec: string, stream: Stream): VideoStreamInfo {
  const parameters = stream.codecpar;
  const matrix = parameters.getCodedSideData(AV_PKT_DATA_DISPLAYMATRIX);
  const rate = ratio(stream.avgFrameRate) ?? ratio(stream.rFrameRate) ?? ratio(parameters.frameRate);
  const aspect = ratio(stream.sampleAspectRatio) ?? ratio(parameters.sampleAspectRatio);
  return {
    kind: "video",
    codec,
    ...extradata(parameters),
    ...positive("codecTag", parameters.codecTag),
    ...positive("widthPx", parameters.width),
    ...positive("heightPx", parameters.height),
    ...(rate === undefined ? {} : { frameRate: rate }),
    ...(aspect === undefined ? {} : { sampleAspectRatio: aspect }),
    ...(matrix === null ? {} : { orientation: orientationOf(matrix) }),
    ...overscan(parameters),
    ...(stream.metadata?.get("alpha_mode") === "1" ? { alphaBeside: true } : {}),
    colorRange: parameters.colorRange,
    colorSpace: parameters.colorSpace,
    colorPrimaries: parameters.colorPrimaries,
    colorTransfer: parameters.colorTrc,
    pixelFormat: parameters.format,
    profile: parameters.profile,
    level: parameters.level,
    ...positive("bitsPerCodedSample", parameters.bitsPerCodedSample),
    ...positive("reorderFrames", parameters.videoDelay),
  };
}

function audioInfo(codec: string, parameters: CodecParameters): AudioStreamInfo {
  const layout = parameters.channelLayout;
  return {
    kind: "audio",
    codec,
    ...extradata(parameters),
    ...positive("codecTag", parameters.codecTag),
    ...positive("sampleRate", parameters.sampleRate),
    ...positive("channels", layout.nbChannels),
    ...(layout.order === AV_CHANNEL_ORDER_NATIVE ? { channelMask: layout.mask } : {}),
    sampleFormat: parameters.format,
    ...positive("bitRateBps", Number(parameters.bitRate)),
    ...positive("bitsPerCodedSample", parameters.bitsPerCodedSample),
    ...positive("frameSize", parameters.frameSize),
    ...positive("initialPadding", parameters.initialPadding),
    profile: parameters.profile,
  };
}

/** FFmpeg's form of `info`, for a decoder by `decoder`. The caller frees it (`using`). */
export function parametersOf(info: StreamInfo, decoder: Codec): CodecParameters {
  const parameters = new CodecParameters();
  parameters.alloc();
  const original = originals.get(info);
  if (original !== undefined && original.copy(parameters) >= 0) return parameters;
  parameters.codecId = decoder.id;
  if (info.codecTag !== undefined) parameters.codecTag = info.codecTag;
  if (info.extradata !== undefined && info.extradata.byteLength > 0)
    parameters.extradata = bufferOf(info.extradata);
  if (info.profile !== undefined) parameters.profile = info.profile as AVProfile;
  if (info.bitsPerCodedSample !== undefined) parameters.bitsPerCodedSample = info.bitsPerCodedSample;
  if (info.kind === "video") setVideo(parameters, info);
  else setAudio(parameters, info);
  return parameters;
}

function setVideo(parameters: CodecParameters, info: VideoStreamInfo): void {
  parameters.codecType = AVMEDIA_TYPE_VIDEO;
  parameters.width = info.widthPx ?? 0;
  parameters.height = info.heightPx ?? 0;
  parameters.format = (info.pixelFormat ?? -1) as AVPixelFormat;
  parameters.level = info.level ?? -99;
  parameters.videoDelay = info.reorderFrames ?? 0;
  if (info.sampleAspectRatio !== undefined)
    parameters.sampleAspectRatio = new AvRational(info.sampleAspectRatio.num, info.sampleAspectRatio.den);
  if (info.colorRange !== undefined) parameters.colorRange = info.colorRange as AVColorRange;
  if (info.colorSpace !== undefined) parameters.colorSpace = info.colorSpace as AVColorSpace;
  if (info.colorPrimaries !== undefined) parameters.colorPrimaries = info.colorPrimaries as AVColorPrimaries;
  if (info.colorTransfer !== undefined) {
    parameters.colorTrc = info.colorTransfer as AVColorTransferCharacteristic;
  }
}

function setAudio(parameters: CodecParameters, info: AudioStreamInfo): void {
  parameters.codecType = AVMEDIA_TYPE_AUDIO;
  parameters.format = (info.sampleFormat ?? -1) as AVSampleFormat;
  parameters.sampleRate = info.sampleRate ?? 0;
  if (info.frameSize !== undefined) parameters.frameSize = info.frameSize;
  if (info.bitRateBps !== undefined) parameters.bitRate = BigInt(Math.round(info.bitRateBps));
  const channels = info.channels ?? 0;
  if (info.channelMask !== undefined && channels > 0) {
    parameters.channelLayout = {
      nbChannels: channels,
      order: AV_CHANNEL_ORDER_NATIVE,
      mask: info.channelMask,
    };
  } else if (channels > 0) {
    parameters.channelLayout =
      channels <= 8
        ? avChannelLayoutDefault(channels)
        : { nbChannels: channels, order: AV_CHANNEL_ORDER_UNSPEC, mask: 0n };
  }
}

/** The same bytes as a Buffer, which node-av's setters want; no copy. */
export const bufferOf = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function extradata(parameters: CodecParameters): { readonly extradata?: Uint8Array } {
  const bytes = parameters.extradata;
  return bytes === null || bytes.byteLength === 0 ? {} : { extradata: new Uint8Array(bytes) };
}

/** FFmpeg's form: four little-endian uint32, top, bottom, left and right. */
function overscan(parameters: CodecParameters): { readonly overscan?: Overscan } {
  const data = parameters.getCodedSideData(AV_PKT_DATA_FRAME_CROPPING);
  if (data === null || data.byteLength < 16) return {};
  const at = (index: number): number => data.readUInt32LE(index * 4);
  return { overscan: { topPx: at(0), bottomPx: at(1), leftPx: at(2), rightPx: at(3) } };
}

function positive<Name extends string>(name: Name, value: number): { readonly [Key in Name]?: number } {
  return (value > 0 ? { [name]: value } : {}) as { readonly [Key in Name]?: number };
}

const ratio = ({ num, den }: Rational): Rational | undefined =>
  num > 0 && den > 0 ? { num, den } : undefined;
