import { MediaInvalidError } from "../core/error.ts";
import { join, u8, u16, u32 } from "./recording-bytes.ts";

/** H.264 or HEVC, whose parameter sets leave the bit stream for the container's header. */
export type NalCodec = "h264" | "hevc";

const START_CODE = Buffer.from([0, 0, 1]);
/** Stored out of band, in this order: SPS, PPS (ITU-T H.264 table 7-1); VPS, SPS, PPS (H.265 table 7-1). */
const PARAMETER_SETS: Record<NalCodec, readonly number[]> = { h264: [7, 8], hevc: [32, 33, 34] };
/** Access unit delimiter and filler data: they mean nothing in a container. */
const LEFT_OUT: Record<NalCodec, readonly number[]> = { h264: [9, 12], hevc: [35, 38] };

/** The NAL units of an Annex B byte stream, as views without start codes. H.264 annex B, H.265 annex B. */
export function splitNals(annexB: Uint8Array): Uint8Array[] {
  const bytes = Buffer.from(annexB.buffer, annexB.byteOffset, annexB.byteLength);
  const nals: Uint8Array[] = [];
  let start = bytes.indexOf(START_CODE);
  while (start >= 0) {
    const next = bytes.indexOf(START_CODE, start + 3);
    let end = next < 0 ? bytes.length : next;
    // A NAL unit never ends in a zero byte: those belong to the next start code or are padding.
    while (end > start + 3 && bytes[end - 1] === 0) end--;
    if (end > start + 3) nals.push(bytes.subarray(start + 3, end));
    start = next;
  }
  return nals;
}

const typeOf = (codec: NalCodec, nal: Uint8Array): number =>
  codec === "h264" ? (nal[0] ?? 0) & 0x1f : ((nal[0] ?? 0) >> 1) & 0x3f;

/** The parameter sets in an Annex B access unit or extradata, in the order that a container wants them. */
export function parameterSets(codec: NalCodec, annexB: Uint8Array): Uint8Array[] {
  const nals = splitNals(annexB);
  return PARAMETER_SETS[codec].flatMap((type) => nals.filter((nal) => typeOf(codec, nal) === type));
}

/** An Annex B access unit with 4-byte lengths in place of start codes, without parameter sets and delimiters. */
export function toLengthPrefixed(codec: NalCodec, annexB: Uint8Array): Uint8Array {
  const skip = [...PARAMETER_SETS[codec], ...LEFT_OUT[codec]];
  const kept = splitNals(annexB).filter((nal) => !skip.includes(typeOf(codec, nal)));
  return join(...kept.flatMap((nal) => [u32(nal.byteLength), nal]));
}

/**
 * The decoder configuration record of `sets`: avcC or hvcC.
 *
 * @throws {MediaInvalidError} `ERR_MEDIA_INVALID` if a set is missing or cut short.
 */
export const configRecord = (codec: NalCodec, sets: readonly Uint8Array[]): Uint8Array =>
  codec === "h264" ? avcC(sets) : hvcC(sets);

/** ISO/IEC 14496-15 §5.3.3.1. */
function avcC(sets: readonly Uint8Array[]): Uint8Array {
  const spss = sets.filter((nal) => typeOf("h264", nal) === 7);
  const ppss = sets.filter((nal) => typeOf("h264", nal) === 8);
  const sps = spss[0];
  if (sps === undefined || ppss.length === 0 || sps.length < 4) throw missing("h264");
  const [profile = 0, compatibility = 0, level = 0] = sps.subarray(1, 4);
  const sized = (nals: readonly Uint8Array[]): Uint8Array[] => nals.flatMap((nal) => [u16(nal.length), nal]);
  return join(
    u8(1, profile, compatibility, level, 0xff, 0xe0 | spss.length),
    ...sized(spss),
    u8(ppss.length),
    ...sized(ppss),
    ...([100, 110, 122, 144, 244].includes(profile) ? [highProfileFields(sps)] : []),
  );
}

function highProfileFields(sps: Uint8Array): Uint8Array {
  const bits = new BitReader(withoutEmulation(sps.subarray(4)));
  bits.ue(); // seq_parameter_set_id
  const chroma = bits.ue();
  if (chroma === 3) bits.skip(1);
  return u8(0xfc | chroma, 0xf8 | bits.ue(), 0xf8 | bits.ue(), 0);
}

/** ISO/IEC 14496-15 §8.3.3.1. */
function hvcC(sets: readonly Uint8Array[]): Uint8Array {
  const sps = sets.find((nal) => typeOf("hevc", nal) === 33);
  if (sps === undefined || sps.length < 16) throw missing("hevc");
  const rbsp = withoutEmulation(sps.subarray(2));
  const first = rbsp[0] ?? 0;
  const format = hevcFormat(rbsp);
  const arrays = PARAMETER_SETS.hevc.flatMap((type) => {
    const nals = sets.filter((nal) => typeOf("hevc", nal) === type);
    if (nals.length === 0) throw missing("hevc");
    return [u8(0x80 | type), u16(nals.length), ...nals.flatMap((nal) => [u16(nal.length), nal])];
  });
  const layers = ((first >> 1) & 7) + 1;
  return join(
    u8(1),
    rbsp.subarray(1, 13), // profile, tier, compatibility and constraint flags, level
    u16(0xf000),
    u8(0xfc, 0xfc | format.chroma, 0xf8 | format.luma8, 0xf8 | format.chroma8),
    u16(0),
    u8((layers << 3) | ((first & 1) << 2) | 3, PARAMETER_SETS.hevc.length),
    ...arrays,
  );
}

/** H.265 §7.3.2.2, up to the bit depths. */
function hevcFormat(rbsp: Uint8Array): { chroma: number; luma8: number; chroma8: number } {
  const subLayers = ((rbsp[0] ?? 0) >> 1) & 7;
  const bits = new BitReader(rbsp.subarray(13));
  const flags = Array.from({ length: subLayers }, () => ({ profile: bits.bit(), level: bits.bit() }));
  if (subLayers > 0) bits.skip(2 * (8 - subLayers));
  for (const { profile, level } of flags) bits.skip(88 * profile + 8 * level);
  bits.ue(); // sps_seq_parameter_set_id
  const chroma = bits.ue();
  if (chroma === 3) bits.skip(1);
  bits.ue(); // width
  bits.ue(); // height
  if (bits.bit() === 1) for (let edge = 0; edge < 4; edge++) bits.ue();
  return { chroma, luma8: bits.ue(), chroma8: bits.ue() };
}

/** Without emulation prevention bytes: 00 00 03 becomes 00 00. H.264 §7.4.1, H.265 §7.4.2. */
function withoutEmulation(nal: Uint8Array): Uint8Array {
  const out: number[] = [];
  let zeros = 0;
  for (const byte of nal) {
    const isEmulation = zeros >= 2 && byte === 3;
    if (!isEmulation) out.push(byte);
    zeros = byte === 0 ? zeros + 1 : 0;
  }
  return Uint8Array.from(out);
}

class BitReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  bit(): number {
    const byte = this.#bytes[this.#at >> 3];
    if (byte === undefined) throw new MediaInvalidError("a sequence parameter set is cut short");
    const bit = (byte >> (7 - (this.#at & 7))) & 1;
    this.#at += 1;
    return bit;
  }

  skip(count: number): void {
    this.#at += count;
  }

  /** Exp-Golomb, unsigned: H.264 §9.1. */
  ue(): number {
    let zeros = 0;
    while (this.bit() === 0) zeros += 1;
    if (zeros > 31) throw new MediaInvalidError("a sequence parameter set holds a number that is too large");
    let value = 1;
    for (let index = 0; index < zeros; index++) value = value * 2 + this.bit();
    return value - 1;
  }
}

const missing = (codec: NalCodec): MediaInvalidError =>
  new MediaInvalidError(`${codec}: no parameter sets with the key frame and none announced`);
