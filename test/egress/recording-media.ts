import { randomBytes } from "node:crypto";
import { Codec, CodecContext, Frame, Log, Packet as NativePacket, Rational } from "node-av";
import {
  AV_CHANNEL_ORDER_NATIVE,
  AV_CODEC_FLAG_GLOBAL_HEADER,
  AV_LOG_ERROR,
  AV_OPT_SEARCH_CHILDREN,
  AV_OPT_TYPE_STRING,
  AV_PIX_FMT_YUV420P,
  AV_SAMPLE_FMT_FLT,
  AV_SAMPLE_FMT_FLTP,
  AV_SAMPLE_FMT_S16,
  AVCOL_PRI_BT709,
  AVCOL_RANGE_MPEG,
  AVCOL_SPC_BT709,
  AVCOL_TRC_BT709,
  type FFEncoderCodec,
} from "node-av/constants";
import { frameTime, type Rational as Rate } from "../../src/core/rational.ts";
import { type Micros, us } from "../../src/core/time.ts";
import type { EgressStreams } from "../../src/egress/egress.ts";
import type { Packet } from "../../src/media/packet.ts";

/** What a test wants encoded: pictures that carry their number, and sound with a chirp in every second. */
export interface MediaWish {
  readonly rate?: Rate;
  readonly frames?: number;
  /** Number of the first frame, as of an encoder that has run for a while. */
  readonly firstFrame?: number;
  readonly video?: "h264" | "hevc" | "vp8" | "vp9" | "av1" | undefined;
  readonly audio?: "aac" | "opus" | "flac" | undefined;
  readonly bframes?: number;
  /** x264's; `ultrafast` makes Baseline, others High. */
  readonly preset?: string;
  readonly gop?: number;
  /** The colour is noise, which no encoder makes small. */
  readonly noise?: boolean;
  readonly size?: { readonly widthPx: number; readonly heightPx: number };
}

export interface Media {
  readonly streams: EgressStreams;
  /** In decode order, sound and picture as they would leave their encoders. */
  readonly packets: readonly Packet[];
}

export const BITS = 16;
const BAR_PX = 10;
export const SIZE = { widthPx: BITS * BAR_PX, heightPx: 96 };
/** 10 ms that correlate with nothing but themselves. */
export const CHIRP: Float32Array = Float32Array.from({ length: 480 }, (_, index) => {
  const window = 0.5 - 0.5 * Math.cos((2 * Math.PI * index) / 480);
  return (
    0.8 * window * Math.sin(2 * Math.PI * (400 * (index / 48_000) + (8000 / 0.02) * (index / 48_000) ** 2))
  );
});

const ENCODERS = {
  h264: ["libx264", { preset: "ultrafast", "x264-params": "scenecut=0:open-gop=0" }],
  hevc: ["libx265", { preset: "ultrafast", "x265-params": "log-level=none:scenecut=0:open-gop=0:pools=1" }],
  vp8: ["libvpx", { deadline: "realtime", "cpu-used": "8" }],
  vp9: ["libvpx-vp9", { deadline: "realtime", "cpu-used": "8" }],
  av1: ["libsvtav1", { preset: "12", "svtav1-params": "log=0" }],
} as const;

Log.setLevel(AV_LOG_ERROR);

export function encodeMedia(wish: MediaWish = {}): Media {
  const { rate = { num: 30, den: 1 }, frames = 180, firstFrame = 0 } = wish;
  const video = "video" in wish && wish.video === undefined ? undefined : encodeVideo(wish);
  const audio =
    "audio" in wish && wish.audio === undefined
      ? undefined
      : encodeAudio(wish.audio ?? "aac", frameTime(firstFrame, rate), frameTime(firstFrame + frames, rate));
  const packets = [...(video?.packets ?? []), ...(audio?.packets ?? [])].sort((a, b) => a.dtsUs - b.dtsUs);
  return {
    streams: { ...(video && { video: video.info }), ...(audio && { audio: audio.info }) },
    packets,
  };
}

function encodeVideo(wish: MediaWish) {
  const {
    rate = { num: 30, den: 1 },
    frames = 180,
    firstFrame = 0,
    bframes = 0,
    gop = 60,
    size = SIZE,
  } = wish;
  const codec = wish.video ?? "h264";
  const [name, options] = ENCODERS[codec];
  using context = new CodecContext();
  context.allocContext3(Codec.findEncoderByName(name as FFEncoderCodec));
  context.width = size.widthPx;
  context.height = size.heightPx;
  context.pixelFormat = AV_PIX_FMT_YUV420P;
  context.timeBase = new Rational(rate.den, rate.num);
  context.framerate = new Rational(rate.num, rate.den);
  context.gopSize = gop;
  context.maxBFrames = bframes;
  context.bitRate = 400_000n;
  context.threadCount = 1;
  context.colorRange = AVCOL_RANGE_MPEG;
  context.colorSpace = AVCOL_SPC_BT709;
  context.colorPrimaries = AVCOL_PRI_BT709;
  context.colorTrc = AVCOL_TRC_BT709;
  const tune = bframes === 0 && (codec === "h264" || codec === "hevc") ? { tune: "zerolatency" } : {};
  const preset = wish.preset === undefined ? {} : { preset: wish.preset };
  // Not as a Dictionary: node-av 6.1.1 frees one that open2 was given a second time when it is collected.
  for (const [key, value] of Object.entries({ ...options, ...tune, ...preset })) {
    check(context.setOption(key, value, AV_OPT_TYPE_STRING, AV_OPT_SEARCH_CHILDREN), `${name} ${key}`);
  }
  check(context.open2Sync(null, null), name);
  const at = (index: bigint): Micros => frameTime(Number(index), rate);
  const packets: Packet[] = [];
  for (let index = firstFrame; index <= firstFrame + frames; index++) {
    using frame = index === firstFrame + frames ? undefined : picture(index, size, wish.noise ?? false);
    drain(context, frame ?? null, (packet) => {
      packets.push({
        ...plain(packet, "video"),
        ptsUs: at(packet.pts),
        dtsUs: at(packet.dts),
        durationUs: at(1n),
      });
    });
  }
  const extradata = context.extraData ?? undefined;
  const info = {
    kind: "video" as const,
    codec,
    ...size,
    frameRate: rate,
    bitrateBps: 400_000,
    colorRange: AVCOL_RANGE_MPEG,
    colorSpace: AVCOL_SPC_BT709,
    colorPrimaries: AVCOL_PRI_BT709,
    colorTransfer: AVCOL_TRC_BT709,
    ...(extradata && { extradata: Uint8Array.from(extradata) }),
  };
  return { info, packets };
}

/** The frame's number in base 2, a bar per bit, the lowest to the left. */
function picture(index: number, size: { widthPx: number; heightPx: number }, noise: boolean): Frame {
  const luma = Buffer.alloc(size.widthPx * size.heightPx, 16);
  const barPx = size.widthPx / BITS;
  for (let x = 0; x < size.widthPx; x++) {
    if (((index >> Math.floor(x / barPx)) & 1) === 0) continue;
    for (let y = 0; y < size.heightPx; y++) luma[y * size.widthPx + x] = 235;
  }
  const chromaBytes = (size.widthPx * size.heightPx) / 2;
  const chroma = noise ? randomBytes(chromaBytes) : Buffer.alloc(chromaBytes, 128);
  return Frame.fromVideoBuffer(Buffer.concat([luma, chroma]), {
    width: size.widthPx,
    height: size.heightPx,
    format: AV_PIX_FMT_YUV420P,
    pts: BigInt(index),
  });
}

function encodeAudio(codec: "aac" | "opus" | "flac", fromUs: Micros, toUs: Micros) {
  using context = new CodecContext();
  const name = codec === "opus" ? "libopus" : codec;
  context.allocContext3(Codec.findEncoderByName(name as FFEncoderCodec));
  const format = { aac: AV_SAMPLE_FMT_FLTP, opus: AV_SAMPLE_FMT_FLT, flac: AV_SAMPLE_FMT_S16 }[codec];
  context.sampleRate = 48_000;
  context.sampleFormat = format;
  context.channelLayout = { nbChannels: 1, order: AV_CHANNEL_ORDER_NATIVE, mask: 4n };
  context.timeBase = new Rational(1, 48_000);
  context.bitRate = 96_000n;
  context.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER);
  check(context.open2Sync(null, null), name);
  const frameSize = context.frameSize;
  const first = Math.round((fromUs * 48_000) / 1e6);
  const end = Math.round((toUs * 48_000) / 1e6);
  const packets: Packet[] = [];
  const take = (packet: NativePacket): void => {
    const ptsUs = us((Number(packet.pts) * 1e6) / 48_000);
    packets.push({
      ...plain(packet, "audio"),
      ptsUs,
      dtsUs: ptsUs,
      durationUs: us((frameSize * 1e6) / 48_000),
    });
  };
  for (let at = first; at < end; at += frameSize) {
    using frame = sound(at, frameSize, format);
    drain(context, frame, take);
  }
  drain(context, null, take);
  const extradata = Uint8Array.from(context.extraData ?? []);
  return {
    info: {
      kind: "audio" as const,
      codec,
      sampleRate: 48_000,
      channels: 1,
      bitrateBps: 96_000,
      frameSize,
      extradata,
    },
    packets,
  };
}

/** Silence but for the chirp at the start of each second. */
function sound(at: number, count: number, format: number): Frame {
  const samples = Float32Array.from({ length: count }, (_, index) => CHIRP[(at + index) % 48_000] ?? 0);
  const integers = Int16Array.from(samples, (value) => Math.round(value * 32_767));
  const bytes = format === AV_SAMPLE_FMT_S16 ? Buffer.from(integers.buffer) : Buffer.from(samples.buffer);
  return Frame.fromAudioBuffer(bytes, {
    nbSamples: count,
    format: format as typeof AV_SAMPLE_FMT_FLTP,
    sampleRate: 48_000,
    channelLayout: { nbChannels: 1, order: AV_CHANNEL_ORDER_NATIVE, mask: 4n },
    pts: BigInt(at),
  });
}

function drain(context: CodecContext, frame: Frame | null, take: (packet: NativePacket) => void): void {
  check(context.sendFrameSync(frame), "sendFrame");
  using packet = new NativePacket();
  packet.alloc();
  while (context.receivePacketSync(packet) >= 0) {
    take(packet);
    packet.unref();
  }
}

const plain = (packet: NativePacket, kind: "video" | "audio") => ({
  kind,
  data: Uint8Array.from(packet.data ?? []),
  keyFrame: kind === "audio" || packet.isKeyframe,
  arrivalUs: us(0),
});

function check(code: number, what: string): void {
  if (code < 0) throw new Error(`${what}: ${code}`);
}
