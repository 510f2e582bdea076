import { ProtocolError } from "../core/error.ts";
import { lengthPrefixed, unescapeNal } from "./annexb.ts";
import { BitReader } from "./bit-reader.ts";
import { ByteReader } from "./byte-reader.ts";

/** NAL unit types (ITU-T H.264 table 7-1). */
export const H264_NAL = { idr: 5, sps: 7, pps: 8, delimiter: 9, filler: 12 } as const;

export const h264NalType = (unit: Uint8Array): number => (unit[0] ?? 0) & 31;

/** An AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3.1). Units are views. */
export interface AvcConfig {
  readonly profile: number;
  readonly level: number;
  /** Bytes of each NAL unit's length: 1, 2 or 4. */
  readonly lengthSize: number;
  readonly sps: readonly Uint8Array[];
  readonly pps: readonly Uint8Array[];
}

/**
 * Reads avcC.
 *
 * @throws {ProtocolError} `ERR_PROTOCOL` if it is cut short, of another version, or without an SPS.
 */
export function parseAvcConfig(bytes: Uint8Array): AvcConfig {
  const reader = new ByteReader(bytes, "avcC");
  if (reader.u8() !== 1) throw new ProtocolError("avcC: unknown version");
  const profile = reader.u8();
  reader.u8(); // Constraint flags.
  const level = reader.u8();
  const lengthSize = (reader.u8() & 3) + 1;
  if (lengthSize === 3) throw new ProtocolError("avcC: NAL unit lengths of 3 bytes");
  const units = (count: number): Uint8Array[] =>
    Array.from({ length: count }, () => reader.bytes(reader.u16()));
  const sps = units(reader.u8() & 31);
  if (sps.length === 0) throw new ProtocolError("avcC: no SPS");
  return { profile, level, lengthSize, sps, pps: units(reader.u8()) };
}

/**
 * Writes avcC for four-byte lengths.
 *
 * @throws {ProtocolError} `ERR_PROTOCOL` if there is no SPS or PPS.
 */
export function buildAvcConfig(sps: readonly Uint8Array[], pps: readonly Uint8Array[]): Buffer {
  const first = sps[0];
  if (first === undefined || first.length < 4 || pps.length === 0)
    throw new ProtocolError("H.264: no SPS or PPS");
  const [, profile = 0, constraints = 0, level = 0] = first;
  const head = Buffer.from([1, profile, constraints, level, 0xff, 0xe0 | sps.length]);
  const parts = [head, ...lengthPrefixed(sps, 2), Buffer.from([pps.length]), ...lengthPrefixed(pps, 2)];
  // §5.3.3.1.2: the High profiles say chroma format and bit depths again.
  if (profile !== 66 && profile !== 77 && profile !== 88) {
    const { chromaFormat, lumaBits, chromaBits } = parseH264Sps(first);
    parts.push(Buffer.from([0xfc | chromaFormat, 0xf8 | (lumaBits - 8), 0xf8 | (chromaBits - 8), 0]));
  }
  return Buffer.concat(parts);
}

/** What an SPS says of the picture (ITU-T H.264 §7.3.2.1.1). */
export interface H264Sps {
  readonly profile: number;
  readonly level: number;
  /** 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4. */
  readonly chromaFormat: number;
  readonly lumaBits: number;
  readonly chromaBits: number;
  /** After cropping. */
  readonly widthPx: number;
  readonly heightPx: number;
}

const HIGH_PROFILES = new Set([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135]);

/**
 * Reads an SPS up to its frame cropping.
 *
 * @throws {ProtocolError} `ERR_PROTOCOL` if it is cut short or out of range.
 */
export function parseH264Sps(unit: Uint8Array): H264Sps {
  const bits = new BitReader(unescapeNal(unit.subarray(1)), "H.264 SPS");
  const profile = bits.u(8);
  bits.skip(8); // constraint_set0_flag to constraint_set5_flag, reserved_zero_2bits
  const level = bits.u(8);
  bits.ue(); // seq_parameter_set_id
  const { chromaFormat, lumaBits, chromaBits, separatePlanes } = HIGH_PROFILES.has(profile)
    ? readHighFields(bits)
    : { chromaFormat: 1, lumaBits: 8, chromaBits: 8, separatePlanes: false };
  bits.ue(); // log2_max_frame_num_minus4
  skipPicOrderCount(bits);
  bits.ue(); // max_num_ref_frames
  bits.skip(1); // gaps_in_frame_num_value_allowed_flag
  const widthMbs = bits.ue() + 1;
  const mapUnits = bits.ue() + 1;
  const framesOnly = bits.flag();
  if (!framesOnly) bits.skip(1); // mb_adaptive_frame_field_flag
  bits.skip(1); // direct_8x8_inference_flag
  const crop = bits.flag()
    ? { left: bits.ue(), right: bits.ue(), top: bits.ue(), bottom: bits.ue() }
    : NO_CROP;
  // §7.4.2.1.1: crop units are chroma samples, and lines of a field where there are fields.
  const subsampled = !separatePlanes && chromaFormat !== 0;
  const unitX = subsampled && chromaFormat < 3 ? 2 : 1;
  const unitY = (subsampled && chromaFormat === 1 ? 2 : 1) * (framesOnly ? 1 : 2);
  const widthPx = widthMbs * 16 - unitX * (crop.left + crop.right);
  const heightPx = mapUnits * 16 * (framesOnly ? 1 : 2) - unitY * (crop.top + crop.bottom);
  if (widthPx <= 0 || heightPx <= 0) throw new ProtocolError("H.264 SPS: nothing left after cropping");
  return { profile, level, chromaFormat, lumaBits, chromaBits, widthPx, heightPx };
}

const NO_CROP = { left: 0, right: 0, top: 0, bottom: 0 };

function readHighFields(bits: BitReader): {
  chromaFormat: number;
  lumaBits: number;
  chromaBits: number;
  separatePlanes: boolean;
} {
  const chromaFormat = bits.ue();
  const separatePlanes = chromaFormat === 3 && bits.flag();
  const lumaBits = bits.ue() + 8;
  const chromaBits = bits.ue() + 8;
  if (chromaFormat > 3 || lumaBits > 14 || chromaBits > 14)
    throw new ProtocolError("H.264 SPS: out of range");
  bits.skip(1); // qpprime_y_zero_transform_bypass_flag
  if (bits.flag())
    for (let list = 0; list < (chromaFormat === 3 ? 12 : 8); list++) skipScalingList(bits, list);
  return { chromaFormat, lumaBits, chromaBits, separatePlanes };
}

/** §7.3.2.1.1.1 */
function skipScalingList(bits: BitReader, list: number): void {
  if (!bits.flag()) return;
  const size = list < 6 ? 16 : 64;
  for (let index = 0, last = 8, next = 8; index < size; index++) {
    if (next !== 0) next = (last + bits.se() + 256) % 256;
    last = next === 0 ? last : next;
  }
}

function skipPicOrderCount(bits: BitReader): void {
  const type = bits.ue();
  if (type === 0) bits.ue(); // log2_max_pic_order_cnt_lsb_minus4
  if (type !== 1) return;
  bits.skip(1); // delta_pic_order_always_zero_flag
  bits.se(); // offset_for_non_ref_pic
  bits.se(); // offset_for_top_to_bottom_field
  const cycle = bits.ue();
  if (cycle > 255) throw new ProtocolError("H.264 SPS: out of range");
  for (let index = 0; index < cycle; index++) bits.se();
}
