import { ProtocolError } from "../core/error.ts";
import { ByteReader } from "./byte-reader.ts";

/** A decoded object or ECMA array. It has no prototype, so a peer's `__proto__` is a key like any other. */
export interface AmfObject {
  readonly [key: string]: AmfValue;
}

/** What AMF0 can say. A `Map` is only written, as an ECMA array; objects and ECMA arrays both read as objects. */
export type AmfValue =
  | number
  | boolean
  | string
  | null
  | undefined
  | Date
  | AmfObject
  | readonly AmfValue[]
  | ReadonlyMap<string, AmfValue>;

/** Markers of AMF0 §2.1. */
const MARKER = {
  number: 0,
  boolean: 1,
  string: 2,
  object: 3,
  null: 5,
  undefined: 6,
  reference: 7,
  ecmaArray: 8,
  objectEnd: 9,
  strictArray: 10,
  date: 11,
  longString: 12,
  unsupported: 13,
  xmlDocument: 15,
  typedObject: 16,
} as const;

/** Deeper nesting is refused: it is never media, and recursion has to end. */
const MAX_DEPTH = 16;
/** Values in one message, nested ones included. */
const MAX_VALUES = 4096;

/**
 * Reads all values of a message body.
 *
 * @throws {ProtocolError} `ERR_PROTOCOL` if it is cut short, too deep, too many values, or not AMF0.
 */
export function decodeAmf0(body: Uint8Array): AmfValue[] {
  const decoder = new Amf0Decoder(body);
  const values: AmfValue[] = [];
  while (decoder.left > 0) values.push(decoder.value(0));
  return values;
}

/** Writes values one after the other. `undefined` members of objects are left out. */
export function encodeAmf0(...values: readonly AmfValue[]): Buffer {
  const parts: Buffer[] = [];
  for (const value of values) write(parts, value);
  return Buffer.concat(parts);
}

/** True for a decoded object, and not for null, arrays and dates. */
export const isAmfObject = (value: AmfValue): value is AmfObject =>
  typeof value === "object" &&
  value !== null &&
  !Array.isArray(value) &&
  !(value instanceof Date) &&
  !(value instanceof Map);

class Amf0Decoder {
  readonly #reader: ByteReader;
  #values = 0;

  constructor(body: Uint8Array) {
    this.#reader = new ByteReader(body, "AMF0");
  }

  get left(): number {
    return this.#reader.left;
  }

  value(depth: number): AmfValue {
    this.#values += 1;
    if (depth > MAX_DEPTH) throw new ProtocolError(`AMF0: nested deeper than ${MAX_DEPTH}`);
    if (this.#values > MAX_VALUES) throw new ProtocolError(`AMF0: more than ${MAX_VALUES} values`);
    const reader = this.#reader;
    const marker = reader.u8();
    switch (marker) {
      case MARKER.number:
        return reader.f64();
      case MARKER.boolean:
        return reader.u8() !== 0;
      case MARKER.string:
        return reader.text(reader.u16());
      case MARKER.longString:
      case MARKER.xmlDocument:
        return reader.text(reader.u32());
      case MARKER.object:
        return this.#object(depth);
      case MARKER.typedObject:
        reader.text(reader.u16()); // The class name means nothing to us.
        return this.#object(depth);
      case MARKER.ecmaArray:
        reader.u32(); // A hint of the count, which writers get wrong; the end marker counts.
        return this.#object(depth);
      case MARKER.strictArray:
        return this.#array(depth);
      case MARKER.date:
        return this.#date();
      case MARKER.null:
      case MARKER.unsupported:
        return null;
      case MARKER.undefined:
        return undefined;
      case MARKER.reference:
        reader.u16(); // Nothing that RTMP needs refers back.
        return null;
      default:
        throw new ProtocolError(`AMF0: unknown marker ${marker}`);
    }
  }

  #object(depth: number): AmfObject {
    const object = Object.create(null) as Record<string, AmfValue>;
    for (;;) {
      const key = this.#reader.text(this.#reader.u16());
      if (key === "" && this.#reader.peek() === MARKER.objectEnd) {
        this.#reader.u8();
        return object;
      }
      object[key] = this.value(depth + 1);
    }
  }

  #array(depth: number): AmfValue[] {
    const count = this.#reader.u32();
    if (count > MAX_VALUES) throw new ProtocolError(`AMF0: array of ${count} values`);
    return Array.from({ length: count }, () => this.value(depth + 1));
  }

  #date(): Date {
    const at = new Date(this.#reader.f64());
    this.#reader.u16(); // Time zone, "should not be used" (AMF0 §2.13).
    return at;
  }
}

function write(parts: Buffer[], value: AmfValue): void {
  if (typeof value === "number") parts.push(number(MARKER.number, value));
  else if (typeof value === "boolean") parts.push(Buffer.from([MARKER.boolean, value ? 1 : 0]));
  else if (typeof value === "string") writeString(parts, value);
  else if (value === undefined) parts.push(Buffer.from([MARKER.undefined]));
  else if (value === null) parts.push(Buffer.from([MARKER.null]));
  else if (value instanceof Date) parts.push(number(MARKER.date, value.getTime()), Buffer.alloc(2));
  else if (value instanceof Map) {
    parts.push(count(MARKER.ecmaArray, value.size));
    writeMembers(parts, value);
  } else if (isAmfObject(value)) {
    parts.push(Buffer.from([MARKER.object]));
    writeMembers(parts, Object.entries(value));
  } else {
    const items = value as readonly AmfValue[];
    parts.push(count(MARKER.strictArray, items.length));
    for (const item of items) write(parts, item);
  }
}

function writeString(parts: Buffer[], value: string): void {
  const text = Buffer.from(value);
  if (text.length <= 0xffff) {
    const head = Buffer.from([MARKER.string, 0, 0]);
    head.writeUInt16BE(text.length, 1);
    parts.push(head, text);
  } else parts.push(count(MARKER.longString, text.length), text);
}

function writeMembers(parts: Buffer[], members: Iterable<[string, AmfValue]>): void {
  for (const [key, value] of members) {
    if (value === undefined) continue;
    const name = Buffer.from(key);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(name.length);
    parts.push(length, name);
    write(parts, value);
  }
  parts.push(Buffer.from([0, 0, MARKER.objectEnd]));
}

function number(marker: number, value: number): Buffer {
  const bytes = Buffer.alloc(9);
  bytes[0] = marker;
  bytes.writeDoubleBE(value, 1);
  return bytes;
}

function count(marker: number, value: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes[0] = marker;
  bytes.writeUInt32BE(value, 1);
  return bytes;
}
