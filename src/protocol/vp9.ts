import { BitReader } from "./bit-reader.ts";

/** What vpcC says that a frame tells. */
interface KeyFrame {
  readonly profile: number;
  readonly depth: number;
  readonly isFullRange: boolean;
  readonly subsampling: number;
  readonly pixels: number;
}

/** VP9 levels in tenths: the largest picture of each, in luma samples, and how many of them a second. */
const LEVELS = [
  [10, 36_864, 829_440],
  [11, 73_728, 2_764_800],
  [20, 122_880, 4_608_000],
  [21, 245_760, 9_216_000],
  [30, 552_960, 20_736_000],
  [31, 983_040, 36_864_000],
  [40, 2_228_224, 83_558_400],
  [41, 2_228_224, 160_432_128],
  [50, 8_912_896, 311_951_360],
  [51, 8_912_896, 588_251_136],
  [52, 8_912_896, 1_176_502_272],
  [60, 35_651_584, 1_176_502_272],
  [61, 35_651_584, 2_353_004_544],
  [62, 35_651_584, 4_706_009_088],
] as const;
/** A frame does not tell its rate; more than this is rare. */
const RATE = 60;
const MARKER = 2;
const SYNC_CODE = 0x498342;
const SRGB = 7;
const BT709 = 1;

/**
 * Writes vpcC (VP9 in ISO-BMFF §2.2), a full box's payload, of a key frame; undefined if it is none that can be read.
 *
 * The level is the least for pictures of its size at 60 a second; colour is BT.709, the samples of 4:2:0 colocated.
 */
export function buildVp9Config(frame: Uint8Array): Buffer | undefined {
  const key = readKeyFrame(frame);
  if (key === undefined) return undefined;
  const { profile, depth, subsampling, isFullRange } = key;
  const format = (depth << 4) | (subsampling << 1) | (isFullRange ? 1 : 0);
  return Buffer.from([1, 0, 0, 0, profile, levelOf(key.pixels), format, BT709, BT709, BT709, 0, 0]);
}

function levelOf(pixels: number): number {
  const least = LEVELS.find(([, size, rate]) => pixels <= size && pixels * RATE <= rate);
  return least?.[0] ?? 62;
}

/** The uncompressed header of a key frame: VP9 bitstream specification §6.2. */
function readKeyFrame(frame: Uint8Array): KeyFrame | undefined {
  if (frame.length < 10) return undefined;
  const bits = new BitReader(frame.subarray(0, 16), "VP9 frame header");
  if (bits.u(2) !== MARKER) return undefined;
  const profile = bits.u(1) + 2 * bits.u(1);
  if (profile === 3) bits.skip(1); // reserved_zero
  const [showsExisting, isInter] = [bits.flag(), bits.flag()];
  bits.skip(2); // show_frame, error_resilient_mode
  if (showsExisting || isInter || bits.u(24) !== SYNC_CODE) return undefined;
  const depth = profile < 2 ? 8 : bits.flag() ? 12 : 10;
  const isSrgb = bits.u(3) === SRGB;
  const isFullRange = isSrgb || bits.flag();
  const subsampling = readSubsampling(bits, profile, isSrgb);
  return { profile, depth, isFullRange, subsampling, pixels: (bits.u(16) + 1) * (bits.u(16) + 1) };
}

/** As vpcC numbers it: 1 is 4:2:0 colocated, 2 is 4:2:2, 3 is 4:4:4; it has none for 4:4:0. */
function readSubsampling(bits: BitReader, profile: number, isSrgb: boolean): number {
  if (profile % 2 === 0) return isSrgb ? 3 : 1;
  if (isSrgb) {
    bits.skip(1); // reserved_zero
    return 3;
  }
  const [x, y] = [bits.flag(), bits.flag()];
  bits.skip(1); // reserved_zero
  return x ? (y ? 1 : 2) : 3;
}
