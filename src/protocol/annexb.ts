import { ProtocolError } from "../core/error.ts";

/**
 * Splits an Annex B byte stream (ITU-T H.264 and H.265, Annex B) at its start codes into NAL units, as views.
 *
 * Bytes before the first start code and zero bytes behind a unit do not belong to any.
 */
export function splitAnnexB(data: Uint8Array): Uint8Array[] {
  const buffer = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const units: Uint8Array[] = [];
  let start = -1;
  for (let code = nextStartCode(buffer, 0); ; code = nextStartCode(buffer, start)) {
    if (start >= 0) {
      let end = code < 0 ? buffer.length : code;
      while (end > start && buffer[end - 1] === 0) end -= 1;
      if (end > start) units.push(buffer.subarray(start, end));
    }
    if (code < 0) return units;
    start = code + 3;
  }
}

/** Position of the next 00 00 01 at or after `from`, or -1. The native search for 00 00 01 beats a loop. */
const nextStartCode = (buffer: Buffer, from: number): number => buffer.indexOf(START_CODE, from);
const START_CODE = Buffer.from([0, 0, 1]);

/** NAL units with four-byte start codes. */
export function joinAnnexB(units: readonly Uint8Array[]): Buffer {
  const parts: Uint8Array[] = [];
  for (const unit of units) parts.push(LONG_START_CODE, unit);
  return Buffer.concat(parts);
}
const LONG_START_CODE = Buffer.from([0, 0, 0, 1]);

/**
 * NAL units with their lengths, as parts to concatenate: of four bytes in what MP4 and FLV carry, of two in avcC and
 * hvcC.
 *
 * @throws {ProtocolError} `ERR_PROTOCOL` if a unit is too long for two bytes.
 */
export function lengthPrefixed(units: readonly Uint8Array[], lengthSize: 2 | 4 = 4): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (const unit of units) {
    if (unit.length >= 2 ** (8 * lengthSize)) throw new ProtocolError("NAL units: too long a unit");
    const length = Buffer.allocUnsafe(lengthSize);
    length.writeUIntBE(unit.length, 0, lengthSize);
    parts.push(length, unit);
  }
  return parts;
}

/**
 * Splits length-prefixed NAL units (ISO/IEC 14496-15) into views.
 *
 * @param lengthSize 1, 2 or 4, from avcC or hvcC.
 * @throws {ProtocolError} `ERR_PROTOCOL` if a length passes the end.
 */
export function splitLengthPrefixed(data: Uint8Array, lengthSize: number): Uint8Array[] {
  const buffer = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const units: Uint8Array[] = [];
  for (let at = 0; at < buffer.length; ) {
    if (at + lengthSize > buffer.length) throw new ProtocolError("NAL units: cut short");
    const length = buffer.readUIntBE(at, lengthSize);
    at += lengthSize;
    if (at + length > buffer.length) throw new ProtocolError("NAL units: a length passes the end");
    if (length > 0) units.push(buffer.subarray(at, at + length));
    at += length;
  }
  return units;
}

/** Takes emulation prevention bytes out of a NAL unit (ITU-T H.264 §7.4.1.1): 00 00 03 becomes 00 00. */
export function unescapeNal(unit: Uint8Array): Uint8Array {
  const out = new Uint8Array(unit.length);
  let [length, zeros] = [0, 0];
  for (const byte of unit) {
    if (zeros >= 2 && byte === 3) {
      zeros = 0;
      continue;
    }
    zeros = byte === 0 ? zeros + 1 : 0;
    out[length++] = byte;
  }
  return out.subarray(0, length);
}
