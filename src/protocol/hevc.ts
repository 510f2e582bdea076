import { ProtocolError } from "../core/error.ts";
import { lengthPrefixed, unescapeNal } from "./annexb.ts";
import { BitReader } from "./bit-reader.ts";
import { ByteReader } from "./byte-reader.ts";

/** NAL unit types (ITU-T H.265 table 7-1). 16 to 23 are pictures where a decoder can start. */
export const HEVC_NAL = {
  firstIrap: 16,
  lastIrap: 23,
  vps: 32,
  sps: 33,
  pps: 34,
  delimiter: 35,
  filler: 38,
} as const;

export const hevcNalType = (unit: Uint8Array): number => ((unit[0] ?? 0) >> 1) & 63;

/** An HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 §8.3.3.1), as far as anybody needs it. Units are views. */
export interface HevcConfig {
  readonly lengthSize: number;
  readonly vps: readonly Uint8Array[];
  readonly sps: readonly Uint8Array[];
  readonly pps: readonly Uint8Array[];
}

/**
 * Reads hvcC.
 *
 * @throws {ProtocolError} `ERR_PROTOCOL` if it is cut short, of another version, or without an SPS.
 */
export function parseHevcConfig(bytes: Uint8Array): HevcConfig {
  const reader = new ByteReader(bytes, "hvcC");
  if (reader.u8() > 1) throw new ProtocolError("hvcC: unknown version"); // Early writers said 0.
  reader.bytes(20);
  const lengthSize = (reader.u8() & 3) + 1;
  if (lengthSize === 3) throw new ProtocolError("hvcC: NAL unit lengths of 3 bytes");
  const sets: Record<number, Uint8Array[]> = {};
  for (let arrays = reader.u8(); arrays > 0; arrays--) {
    const type = reader.u8() & 63;
    const units = Array.from({ length: reader.u16() }, () => reader.bytes(reader.u16()));
    sets[type] = [...(sets[type] ?? []), ...units];
  }
  const [vps = [], sps = [], pps = []] = [sets[HEVC_NAL.vps], sets[HEVC_NAL.sps], sets[HEVC_NAL.pps]];
  if (sps.length === 0) throw new ProtocolError("hvcC: no SPS");
  return { lengthSize, vps, sps, pps };
}

/**
 * Writes hvcC for four-byte lengths.
 *
 * @throws {ProtocolError} `ERR_PROTOCOL` if a parameter set is missing or its SPS cannot be read.
 */
export function buildHevcConfig(
  vps: readonly Uint8Array[],
  sps: readonly Uint8Array[],
  pps: readonly Uint8Array[],
): Buffer {
  const first = sps[0];
  if (first === undefined || vps.length === 0 || pps.length === 0)
    throw new ProtocolError("HEVC: no VPS, SPS or PPS");
  const { generalProfile, subLayers, nested, chromaFormat, lumaBits, chromaBits } = parseHevcSps(first);
  const head = Buffer.alloc(23);
  head[0] = 1;
  head.set(generalProfile, 1); // 12 bytes: profile space to level.
  head.writeUInt16BE(0xf000, 13); // min_spatial_segmentation_idc unknown
  head[15] = 0xfc; // parallelismType unknown
  head[16] = 0xfc | chromaFormat;
  head[17] = 0xf8 | (lumaBits - 8);
  head[18] = 0xf8 | (chromaBits - 8);
  head[21] = (subLayers << 3) | (nested ? 4 : 0) | 3;
  head[22] = 3;
  const arrays = [array(HEVC_NAL.vps, vps), array(HEVC_NAL.sps, sps), array(HEVC_NAL.pps, pps)];
  return Buffer.concat([head, ...arrays.flat()]);
}

/** What an SPS says of the picture (ITU-T H.265 §7.3.2.2.1). */
export interface HevcSps {
  /** Twelve bytes from general_profile_space to general_level_idc, as hvcC repeats them. */
  readonly generalProfile: Uint8Array;
  readonly subLayers: number;
  readonly nested: boolean;
  readonly chromaFormat: number;
  readonly lumaBits: number;
  readonly chromaBits: number;
  /** After the conformance window. */
  readonly widthPx: number;
  readonly heightPx: number;
}

/**
 * Reads an SPS up to its bit depths.
 *
 * @throws {ProtocolError} `ERR_PROTOCOL` if it is cut short or out of range.
 */
export function parseHevcSps(unit: Uint8Array): HevcSps {
  const bytes = unescapeNal(unit.subarray(2));
  const bits = new BitReader(bytes, "HEVC SPS");
  bits.skip(4); // sps_video_parameter_set_id
  const subLayersMinus1 = bits.u(3);
  const nested = bits.flag();
  bits.skip(96); // profile_tier_level up to general_level_idc, taken whole below
  const generalProfile = bytes.subarray(1, 13);
  skipSubLayers(bits, subLayersMinus1);
  bits.ue(); // sps_seq_parameter_set_id
  const chromaFormat = bits.ue();
  const separatePlanes = chromaFormat === 3 && bits.flag();
  const [codedWidth, codedHeight] = [bits.ue(), bits.ue()];
  const window = bits.flag()
    ? { left: bits.ue(), right: bits.ue(), top: bits.ue(), bottom: bits.ue() }
    : NO_WINDOW;
  const [lumaBits, chromaBits] = [bits.ue() + 8, bits.ue() + 8];
  const unitX = !separatePlanes && (chromaFormat === 1 || chromaFormat === 2) ? 2 : 1;
  const unitY = !separatePlanes && chromaFormat === 1 ? 2 : 1;
  const widthPx = codedWidth - unitX * (window.left + window.right);
  const heightPx = codedHeight - unitY * (window.top + window.bottom);
  if (chromaFormat > 3 || lumaBits > 15 || chromaBits > 15 || widthPx <= 0 || heightPx <= 0)
    throw new ProtocolError("HEVC SPS: out of range");
  return {
    generalProfile,
    subLayers: subLayersMinus1 + 1,
    nested,
    chromaFormat,
    lumaBits,
    chromaBits,
    widthPx,
    heightPx,
  };
}

const NO_WINDOW = { left: 0, right: 0, top: 0, bottom: 0 };

/** The sub-layer part of profile_tier_level (§7.3.3). */
function skipSubLayers(bits: BitReader, count: number): void {
  if (count === 0) return;
  const present = Array.from({ length: 8 }, () => ({ profile: bits.flag(), level: bits.flag() })).slice(
    0,
    count,
  );
  for (const { profile, level } of present) bits.skip((profile ? 88 : 0) + (level ? 8 : 0));
}

const array = (type: number, units: readonly Uint8Array[]): Uint8Array[] => [
  Buffer.from([0x80 | type, units.length >> 8, units.length & 255]),
  ...lengthPrefixed(units, 2),
];
