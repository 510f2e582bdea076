import { splitLengthPrefixed } from "./annexb.ts";
import { buildAvcConfig, H264_NAL, h264NalType } from "./h264.ts";
import { buildHevcConfig, HEVC_NAL, hevcNalType } from "./hevc.ts";

/** The codecs made of NAL units, whose parameter sets containers keep apart from the pictures. */
export type NalCodec = "h264" | "hevc";

export const isNalCodec = (codec: string): codec is NalCodec => codec === "h264" || codec === "hevc";

/** True for parameter sets and delimiters, which length-prefixed streams carry apart or not at all. */
export function isParameterSet(codec: NalCodec, unit: Uint8Array): boolean {
  const type = typeOf(codec, unit);
  return codec === "h264"
    ? type === H264_NAL.sps || type === H264_NAL.pps || type === H264_NAL.delimiter
    : type >= HEVC_NAL.vps && type <= HEVC_NAL.delimiter;
}

/** True for filler data, which only keeps up a bit rate. */
export const isFiller = (codec: NalCodec, unit: Uint8Array): boolean =>
  typeOf(codec, unit) === (codec === "h264" ? H264_NAL.filler : HEVC_NAL.filler);

/**
 * Length-prefixed units without filler data; the same bytes where there is none or they cannot be read.
 *
 * @param lengthSize 1, 2 or 4, from avcC or hvcC.
 */
export function withoutFiller(codec: NalCodec, data: Uint8Array, lengthSize: number): Uint8Array {
  let units: readonly Uint8Array[];
  try {
    units = splitLengthPrefixed(data, lengthSize);
  } catch {
    return data; // Decoders make of it what they can.
  }
  const kept = units.filter((unit) => !isFiller(codec, unit));
  if (kept.length === units.length) return data;
  const prefixed = kept.map((unit) => {
    const at = unit.byteOffset - data.byteOffset;
    return data.subarray(at - lengthSize, at + unit.length);
  });
  return Buffer.concat(prefixed);
}

/**
 * Writes avcC or hvcC, for four-byte lengths, of the parameter sets among `units`; undefined if there is no SPS.
 *
 * @throws {ProtocolError} `ERR_PROTOCOL` if another set is missing or the SPS cannot be read.
 */
export function buildNalConfig(codec: NalCodec, units: readonly Uint8Array[]): Buffer | undefined {
  const of = (type: number): Uint8Array[] => units.filter((unit) => typeOf(codec, unit) === type);
  const sps = of(codec === "h264" ? H264_NAL.sps : HEVC_NAL.sps);
  if (sps.length === 0) return undefined;
  return codec === "h264"
    ? buildAvcConfig(sps, of(H264_NAL.pps))
    : buildHevcConfig(of(HEVC_NAL.vps), sps, of(HEVC_NAL.pps));
}

const typeOf = (codec: NalCodec, unit: Uint8Array): number =>
  codec === "h264" ? h264NalType(unit) : hevcNalType(unit);
