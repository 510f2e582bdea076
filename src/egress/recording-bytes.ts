/** Big-endian fields and joins, as the boxes of ISO/IEC 14496-12 and the elements of EBML are made of. */

/** The characters of an ASCII tag. */
export const ascii = (text: string): Uint8Array => Buffer.from(text, "latin1");

/** Unsigned 8-bit values. */
export const u8 = (...values: readonly number[]): Uint8Array => Uint8Array.from(values);

/** Unsigned 16-bit values. */
export function u16(...values: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(values.length * 2);
  for (const [index, value] of values.entries()) bytes.writeUInt16BE(value & 0xffff, index * 2);
  return bytes;
}

/** 32-bit values; negative ones in two's complement. */
export function u32(...values: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value >>> 0, index * 4);
  return bytes;
}

/** One non-negative 64-bit value; exact up to 2^53. */
export function u64(value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

/** One IEEE 754 double. */
export function f64(value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return bytes;
}

/** `parts` end to end, in memory of their own. */
export const join = (...parts: readonly Uint8Array[]): Uint8Array => Buffer.concat(parts);

/** True if both hold the same bytes. */
export const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** A box: size, type, payload. ISO/IEC 14496-12 §4.2. */
export function box(type: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const size = parts.reduce((sum, part) => sum + part.byteLength, 8);
  return join(u32(size), ascii(type), ...parts);
}

/** A box with version and flags. ISO/IEC 14496-12 §4.2. */
export const fullBox = (
  type: string,
  version: number,
  flags: number,
  ...parts: readonly Uint8Array[]
): Uint8Array => box(type, u32(version * 0x1000000 + flags), ...parts);
