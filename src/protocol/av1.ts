import { ProtocolError } from "../core/error.ts";
import { BitReader } from "./bit-reader.ts";

/** OBU types (AV1 §6.2.2). */
const OBU = { sequenceHeader: 1, temporalDelimiter: 2 } as const;

/** One open bitstream unit with its header, as a view. */
interface Obu {
  readonly type: number;
  readonly bytes: Uint8Array;
  readonly payload: Uint8Array;
}

/**
 * A temporal unit without its temporal delimiters, as containers carry it (AV1 in ISOBMFF §2.4), in parts.
 *
 * @throws {ProtocolError} `ERR_PROTOCOL` if a size passes the end.
 */
export const stripTemporalDelimiters = (unit: Uint8Array): Uint8Array[] =>
  splitObus(unit)
    .filter(({ type }) => type !== OBU.temporalDelimiter)
    .map(({ bytes }) => bytes);

/**
 * Writes av1C (AV1 in ISOBMFF §2.3) from anything that holds a sequence header: a key frame, an encoder's global
 * header, or av1C itself, which is returned as it is. Undefined if there is none.
 *
 * @throws {ProtocolError} `ERR_PROTOCOL` if it cannot be read.
 */
export function buildAv1Config(bytes: Uint8Array): Buffer | undefined {
  const isConfig = bytes.length >= 4 && bytes[0] === 0x81; // An OBU header never begins with that bit.
  if (isConfig) return Buffer.from(bytes);
  const header = splitObus(bytes).find(({ type }) => type === OBU.sequenceHeader);
  if (header === undefined) return undefined;
  const { profile, level, tier, highDepth, twelveBits, mono, subX, subY, position } = parseSequenceHeader(
    header.payload,
  );
  const flags = [tier, highDepth, twelveBits, mono, subX, subY];
  const bits = flags.reduce((sum, flag) => sum * 2 + (flag ? 1 : 0), 0) * 4 + position;
  return Buffer.concat([Buffer.from([0x81, (profile << 5) | level, bits, 0]), header.bytes]);
}

function splitObus(data: Uint8Array): Obu[] {
  const obus: Obu[] = [];
  for (let at = 0; at < data.length; ) {
    const header = data[at] ?? 0;
    const type = (header >> 3) & 15;
    let body = at + (header & 4 ? 2 : 1);
    let end = data.length;
    if (header & 2) {
      const { value, length } = leb128(data, body);
      body += length;
      end = body + value;
    }
    if (body > data.length || end > data.length) throw new ProtocolError("AV1: an OBU passes the end");
    obus.push({ type, bytes: data.subarray(at, end), payload: data.subarray(body, end) });
    at = end;
  }
  return obus;
}

/** AV1 §4.10.5 */
function leb128(data: Uint8Array, at: number): { readonly value: number; readonly length: number } {
  let value = 0;
  for (let index = 0; index < 8; index++) {
    const byte = data[at + index];
    if (byte === undefined) break;
    value += (byte & 127) * 2 ** (7 * index);
    if (byte < 128) return { value, length: index + 1 };
  }
  throw new ProtocolError("AV1: a size is cut short");
}

interface SequenceHeader {
  readonly profile: number;
  readonly level: number;
  readonly tier: boolean;
  readonly highDepth: boolean;
  readonly twelveBits: boolean;
  readonly mono: boolean;
  readonly subX: boolean;
  readonly subY: boolean;
  readonly position: number;
}

/** AV1 §5.5.1, up to the colour configuration. */
function parseSequenceHeader(payload: Uint8Array): SequenceHeader {
  const bits = new BitReader(payload, "AV1 sequence header");
  const profile = bits.u(3);
  bits.skip(1); // still_picture
  const reduced = bits.flag();
  const { level, tier } = reduced ? { level: bits.u(5), tier: false } : readOperatingPoints(bits);
  const [widthBits, heightBits] = [bits.u(4) + 1, bits.u(4) + 1];
  bits.skip(widthBits + heightBits); // max_frame_width_minus_1, max_frame_height_minus_1
  if (!reduced && bits.flag()) bits.skip(7); // delta_frame_id_length_minus_2, additional_frame_id_length_minus_1
  bits.skip(3); // use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
  if (!reduced) skipTools(bits);
  bits.skip(3); // enable_superres, enable_cdef, enable_restoration
  return { profile, level, tier, ...readColor(bits, profile) };
}

/** AV1 §5.5.1, from timing_info_present_flag to the last operating point: the level and the tier of the first. */
function readOperatingPoints(bits: BitReader): { readonly level: number; readonly tier: boolean } {
  let delayBits = 0;
  let modelPresent = false;
  if (bits.flag()) {
    bits.skip(64); // num_units_in_display_tick, time_scale
    if (bits.flag()) bits.ue(); // num_ticks_per_picture_minus_1
    modelPresent = bits.flag();
    if (modelPresent) {
      delayBits = bits.u(5) + 1;
      // num_units_in_decoding_tick, buffer_removal_time_length_minus_1, frame_presentation_time_length_minus_1
      bits.skip(32 + 5 + 5);
    }
  }
  const displayDelay = bits.flag();
  const first = { level: 0, tier: false };
  for (let index = 0, count = bits.u(5) + 1; index < count; index++) {
    bits.skip(12); // operating_point_idc
    const level = bits.u(5);
    const tier = level > 7 && bits.flag();
    if (index === 0) Object.assign(first, { level, tier });
    // decoder_buffer_delay, encoder_buffer_delay, low_delay_mode_flag
    if (modelPresent && bits.flag()) bits.skip(2 * delayBits + 1);
    if (displayDelay && bits.flag()) bits.skip(4); // initial_display_delay_minus_1
  }
  return first;
}

/** AV1 §5.5.1, from enable_interintra_compound to order_hint_bits_minus_1: nothing of it is in the `av1C` box. */
function skipTools(bits: BitReader): void {
  bits.skip(4); // enable_interintra_compound, enable_masked_compound, enable_warped_motion, enable_dual_filter
  const orderHint = bits.flag();
  if (orderHint) bits.skip(2); // enable_jnt_comp, enable_ref_frame_mvs
  const screenContent = bits.flag() ? 2 : bits.u(1);
  if (screenContent > 0 && !bits.flag()) bits.skip(1); // seq_force_integer_mv
  if (orderHint) bits.skip(3); // order_hint_bits_minus_1
}

/** AV1 §5.5.2 */
function readColor(bits: BitReader, profile: number): Omit<SequenceHeader, "profile" | "level" | "tier"> {
  const highDepth = bits.flag();
  const twelveBits = profile === 2 && highDepth && bits.flag();
  const mono = profile !== 1 && bits.flag();
  const described = bits.flag();
  const [primaries, transfer, matrix] = described ? [bits.u(8), bits.u(8), bits.u(8)] : [2, 2, 2];
  const base = { highDepth, twelveBits, mono };
  if (mono) return { ...base, subX: true, subY: true, position: 0 };
  if (primaries === 1 && transfer === 13 && matrix === 0)
    return { ...base, subX: false, subY: false, position: 0 };
  bits.skip(1); // color_range
  const subX = profile === 0 || (profile === 2 && (twelveBits ? bits.flag() : true));
  const subY = profile === 0 || (profile === 2 && twelveBits && subX && bits.flag());
  return { ...base, subX, subY, position: subX && subY ? bits.u(2) : 0 };
}
