import { join, u8 } from "./recording-bytes.ts";

/** One open bitstream unit: its type and its place, header and size included. AV1 §5.3. */
interface Obu {
  readonly type: number;
  readonly payload: Uint8Array;
  readonly whole: Uint8Array;
}

const OBU_SEQUENCE_HEADER = 1;
const OBU_TEMPORAL_DELIMITER = 2;

/** The av1C record (AV1-ISOBMFF §2.3) for a temporal unit or extradata with a sequence header, else undefined. */
export function av1Config(data: Uint8Array): Uint8Array | undefined {
  // FFmpeg's extradata may already be the record: marker bit and version 1.
  if (data[0] === 0x81 && data.length > 4) return data;
  const header = splitObus(data).find((obu) => obu.type === OBU_SEQUENCE_HEADER);
  if (header === undefined) return undefined;
  const fields = av1SequenceFields(header.payload);
  return fields === undefined ? undefined : join(u8(0x81, ...fields, 0), header.whole);
}

/** A temporal unit without its delimiters, which containers leave out (AV1-ISOBMFF §2.4). */
export function withoutTemporalDelimiters(data: Uint8Array): Uint8Array {
  const obus = splitObus(data);
  const kept = obus.filter((obu) => obu.type !== OBU_TEMPORAL_DELIMITER);
  return kept.length === obus.length ? data : join(...kept.map((obu) => obu.whole));
}

function splitObus(data: Uint8Array): Obu[] {
  const obus: Obu[] = [];
  for (let at = 0; at < data.length; ) {
    const header = data[at] ?? 0;
    const start = at + 1 + ((header >> 2) & 1);
    let [size, length] = [data.length - start, 0];
    if ((header & 2) !== 0) [size, length] = leb128(data, start);
    const end = Math.min(data.length, start + length + Math.max(0, size));
    obus.push({
      type: (header >> 3) & 15,
      payload: data.subarray(start + length, end),
      whole: data.subarray(at, end),
    });
    at = Math.max(end, at + 1);
  }
  return obus;
}

function leb128(data: Uint8Array, at: number): [value: number, length: number] {
  let value = 0;
  for (let index = 0; index < 8; index++) {
    const byte = data[at + index] ?? 0;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return [value, index + 1];
  }
  return [value, 8];
}

/**
 * Bytes 1 and 2 of av1C. The depth and subsampling bits stand behind optional fields of the sequence header; what
 * Tessera encodes is 8 bit 4:2:0 in profile 0, and decoders read the header itself.
 */
function av1SequenceFields(header: Uint8Array): [number, number] | undefined {
  const [first, second] = header;
  if (first === undefined || second === undefined) return undefined;
  const profile = first >> 5;
  const reduced = (first >> 3) & 1;
  if (reduced === 1) return [(profile << 5) | (((first & 7) << 2) | (second >> 6)), 0x0c];
  // timing_info_present_flag and what follows from it move the level; encoders here never set it.
  const timing = (first >> 2) & 1;
  const level = timing === 1 ? 8 : av1Level(header);
  return [(profile << 5) | level, 0x0c];
}

/** seq_level_idx[0] without timing info: 3+1+1+1 bits, display delay flag, count (5), operating point (12), level. */
function av1Level(header: Uint8Array): number {
  const bits = 3 + 1 + 1 + 1 + 1 + 5 + 12;
  const word = ((header[bits >> 3] ?? 0) << 8) | (header[(bits >> 3) + 1] ?? 0);
  return (word >> (11 - (bits & 7))) & 31;
}

/** The vpcC payload (VP9 in ISO-BMFF §2.2) for a key frame of VP9, else undefined. */
export function vp9Config(frame: Uint8Array): Uint8Array | undefined {
  const [first = 0] = frame;
  if (first >> 6 !== 2) return undefined;
  const profile = ((first >> 5) & 1) | (((first >> 4) & 1) << 1);
  const depth = profile >= 2 ? 10 : 8;
  // Level 4.1 covers 1080p60; chroma is 4:2:0 with left-sited samples, colour BT.709 limited.
  return u8(1, 0, 0, 0, profile, 41, (depth << 4) | (1 << 1), 1, 1, 1, 0, 0);
}
