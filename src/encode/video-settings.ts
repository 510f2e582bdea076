import { NotSupportedError } from "../core/error.ts";
import { type Rational, rational, toNumber } from "../core/rational.ts";
import type { VideoEncoderSettings } from "../native/video-encoder.ts";
import { defaultBitrateBps } from "./bitrate.ts";

/** What an output asks of its picture; the shape of the `video` member of an output's spec. */
export interface VideoWish {
  readonly codec: string;
  readonly width?: number | undefined;
  readonly height?: number | undefined;
  readonly fps?: number | string | undefined;
  readonly bitrateBps?: number | undefined;
  readonly keyFrameIntervalMs: number;
  readonly preset: string;
  readonly profile?: string | undefined;
  readonly bframes: number;
  readonly rateControl?: "cbr" | "vbr" | "crf" | undefined;
  readonly crf?: number | undefined;
  readonly accel: string;
}

/** What the picture is like before it is encoded. */
export interface ViewShape {
  readonly widthPx: number;
  readonly heightPx: number;
  readonly rate: Rational;
}

/**
 * Turns a wish into an encoder's settings for this view.
 *
 * @throws {NotSupportedError} `ERR_NOT_SUPPORTED` for a codec that this build does not encode.
 */
export function videoSettings(wish: VideoWish, view: ViewShape): VideoEncoderSettings {
  const { widthPx, heightPx } = size(wish, view);
  const rate = wish.fps === undefined ? view.rate : rational(wish.fps);
  const bitrateBps = wish.bitrateBps ?? defaultBitrateBps(wish.codec, widthPx, heightPx, toNumber(rate));
  const isCrf = wish.rateControl === "crf";
  const headroom = wish.rateControl === "vbr" ? 1.5 : 1;
  return {
    codec: wish.codec,
    encoder: encoderName(wish.codec),
    widthPx,
    heightPx,
    rate,
    bitrateBps: isCrf ? 0 : bitrateBps,
    ...(isCrf ? {} : { maxRateBps: Math.round(bitrateBps * headroom), bufferBits: bitrateBps * 2 }),
    gopFrames: Math.max(1, Math.round((toNumber(rate) * wish.keyFrameIntervalMs) / 1000)),
    bframes: wish.bframes,
    threads: threadsFor(widthPx * heightPx * toNumber(rate)),
    options: codecOptions(wish),
  };
}

/** What two outputs must agree on to share one encoder. */
export const settingsKey = (view: string, settings: VideoEncoderSettings, adaptive: boolean): string =>
  `${view}/${JSON.stringify(settings)}${adaptive ? `/adaptive` : ""}`;

/** A short name for status and logs. */
export const describe = ({ encoder, widthPx, heightPx, rate, bitrateBps }: VideoEncoderSettings): string =>
  `${encoder} ${widthPx}x${heightPx}@${rate.num}/${rate.den} ${Math.round(bitrateBps / 1000)}k`;

function size(wish: VideoWish, view: ViewShape): { readonly widthPx: number; readonly heightPx: number } {
  const even = (value: number): number => Math.max(2, 2 * Math.round(value / 2));
  if (wish.width !== undefined && wish.height !== undefined)
    return { widthPx: wish.width, heightPx: wish.height };
  if (wish.width !== undefined) {
    return { widthPx: wish.width, heightPx: even((wish.width * view.heightPx) / view.widthPx) };
  }
  if (wish.height !== undefined) {
    return { widthPx: even((wish.height * view.widthPx) / view.heightPx), heightPx: wish.height };
  }
  return { widthPx: view.widthPx, heightPx: view.heightPx };
}

/** One thread encodes 720p60 with room to spare; slices of more threads cost CPU and quality. */
function threadsFor(pixelsPerSecond: number): number {
  if (pixelsPerSecond <= 1280 * 720 * 60) return 1;
  return pixelsPerSecond <= 1920 * 1080 * 60 ? 2 : 4;
}

function encoderName(codec: string): string {
  const names: Readonly<Record<string, string>> = {
    h264: "libx264",
    hevc: "libx265",
    vp8: "libvpx",
    vp9: "libvpx-vp9",
  };
  const name = names[codec];
  if (name === undefined) throw new NotSupportedError(`encoding ${codec} is not supported yet`);
  return name;
}

function codecOptions(wish: VideoWish): Record<string, string> {
  const crf: Record<string, string> = wish.rateControl === "crf" ? { crf: String(wish.crf ?? 23) } : {};
  switch (wish.codec) {
    case "h264":
      return {
        preset: wish.preset,
        tune: "zerolatency",
        profile: wish.profile ?? "high",
        // Key frames stand at exact multiples of the interval, with parameter sets in band at each.
        "x264-params": `scenecut=0:repeat-headers=1${wish.rateControl === "cbr" ? ":nal-hrd=cbr" : ""}`,
        ...crf,
      };
    case "hevc":
      return {
        preset: wish.preset,
        tune: "zerolatency",
        "x265-params": `scenecut=0:repeat-headers=1:log-level=error:pools=none:frame-threads=1`,
        ...crf,
      };
    default:
      return { deadline: "realtime", "cpu-used": "8", "lag-in-frames": "0", ...crf };
  }
}
