import {
  AVCOL_RANGE_JPEG,
  AVCOL_SPC_BT470BG,
  AVCOL_SPC_BT709,
  AVCOL_SPC_BT2020_CL,
  AVCOL_SPC_BT2020_NCL,
  AVCOL_SPC_FCC,
  AVCOL_SPC_ICTCP,
  AVCOL_SPC_RGB,
  AVCOL_SPC_SMPTE170M,
  AVCOL_SPC_SMPTE240M,
  AVCOL_SPC_UNSPECIFIED,
  AVCOL_SPC_YCGCO,
  AVCOL_TRC_ARIB_STD_B67,
  AVCOL_TRC_SMPTE2084,
  type AVPixelFormat,
} from "node-av/constants";
import { avGetPixFmtName, type Frame } from "node-av/lib";

/**
 * How pictures become BT.709 by the matrix they say (ITU-T H.273 §8.3). `plain`: swscale reads it. `convertible`: it
 * does after {@link matrixFilter}. `unknown`: nothing here reads it, and its colours come out wrong.
 */
export type MatrixKind = "plain" | "convertible" | "unknown";

/** Matrices that swscale reads, by its names. */
const SWSCALE: ReadonlyMap<number, string> = new Map<number, string>([
  [AVCOL_SPC_BT709, "bt709"],
  [AVCOL_SPC_FCC, "fcc"],
  [AVCOL_SPC_BT470BG, "smpte170m"],
  [AVCOL_SPC_SMPTE170M, "smpte170m"],
  [AVCOL_SPC_SMPTE240M, "smpte240m"],
  [AVCOL_SPC_BT2020_NCL, "bt2020"],
]);

/** Which way the colours of `frame` go. */
export function matrixKind(frame: Frame): MatrixKind {
  if (isRgb(frame.format) || nameOf(frame) !== undefined) return "plain";
  return matrixFilter(frame) === undefined ? "unknown" : "convertible";
}

/** A libavfilter chain that gives `convertible` pictures a matrix that swscale reads; undefined for all others. */
export function matrixFilter(frame: Frame): string | undefined {
  if (isRgb(frame.format)) return undefined;
  if (frame.colorSpace === AVCOL_SPC_YCGCO) return "zscale=matrix=709";
  const isIctcp = frame.colorSpace === AVCOL_SPC_ICTCP && isHdr(frame);
  return isIctcp ? "zscale=matrix=2020_ncl:primariesin=2020" : undefined;
}

/** Options and what must go before them, for swscale to read the matrix of `frame`, or to take it for the likeliest. */
export function swscaleMatrix(frame: Frame): { readonly before: readonly string[]; readonly name: string } {
  if (isRgb(frame.format)) return { before: [], name: "auto" };
  const name = nameOf(frame);
  if (name !== undefined) return { before: [], name };
  const isWide = frame.colorSpace === AVCOL_SPC_BT2020_CL || isHdr(frame);
  return isWide
    ? { before: ["setparams=colorspace=bt2020nc"], name: "bt2020" }
    : { before: ["setparams=colorspace=bt709"], name: "bt709" };
}

/** What libavfilter's `colorspace` takes: 4:2:0, 4:2:2 and 4:4:4 of 8, 10 and 12 bits. */
const COLORSPACE_FORMAT = /^yuvj?4(20|22|44)p(10le|12le)?$/;

/**
 * The filter that takes pictures like `frame` from another matrix than BT.709 to BT.709 limited 4:2:0; undefined where
 * it takes no such pictures, or swscale needs no other matrix. Two to five times as fast as swscale, which goes by way
 * of RGB, and half a level from the definition where that is two: 0.5 ms at 640x360.
 */
export function colorspaceFilter(frame: Frame): string | undefined {
  const { name } = swscaleMatrix(frame);
  const format = formatName(frame.format);
  if (name === "bt709" || !COLORSPACE_FORMAT.test(format)) return undefined;
  const isFull = frame.colorRange === AVCOL_RANGE_JPEG || format.startsWith("yuvj");
  const [space, range] = [name === "bt2020" ? "bt2020nc" : name, isFull ? "pc" : "tv"];
  // Only the matrix is converted: primaries and transfer are called the same on both sides.
  const from = `ispace=${space}:irange=${range}:iprimaries=bt709:itrc=bt709`;
  return `colorspace=${from}:space=bt709:range=tv:primaries=bt709:trc=bt709:format=yuv420p:fast=1`;
}

/** True if the transfer is PQ or HLG. */
export function isHdr({ colorTrc: transfer }: Frame): boolean {
  return transfer === AVCOL_TRC_SMPTE2084 || transfer === AVCOL_TRC_ARIB_STD_B67;
}

/** What says nothing, or calls itself RGB and is not, is BT.709 from 720 lines up and BT.601 below, as players assume. */
function nameOf({ colorSpace, height }: Frame): string | undefined {
  const unsaid = colorSpace === AVCOL_SPC_UNSPECIFIED || colorSpace === AVCOL_SPC_RGB;
  return unsaid ? (height >= 720 ? "bt709" : "smpte170m") : SWSCALE.get(colorSpace);
}

const rgbFormats = new Map<number, boolean>();

function isRgb(format: number): boolean {
  const known = rgbFormats.get(format);
  if (known !== undefined) return known;
  const found = /rgb|bgr|gbr|pal8|xyz/.test(formatName(format));
  rgbFormats.set(format, found);
  return found;
}

const formatName = (format: number): string => avGetPixFmtName(format as AVPixelFormat) ?? "";
