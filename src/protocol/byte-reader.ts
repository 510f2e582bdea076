import { ProtocolError } from "../core/error.ts";

/**
 * Reads big-endian fields from bytes that a peer sent. Never reads past the end, never copies.
 *
 * Every method throws {@link ProtocolError} `ERR_PROTOCOL` if too few bytes are left.
 */
export class ByteReader {
  readonly #bytes: Buffer;
  readonly #what: string;
  #at = 0;

  /** @param what names the structure in error messages, e.g. `AMF0`. */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
  }

  /** Bytes not read yet. */
  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#advance(1));
  }

  u16(): number {
    return this.#bytes.readUInt16BE(this.#advance(2));
  }

  u24(): number {
    return this.#bytes.readUIntBE(this.#advance(3), 3);
  }

  /** Signed, as composition time offsets are. */
  i24(): number {
    return this.#bytes.readIntBE(this.#advance(3), 3);
  }

  u32(): number {
    return this.#bytes.readUInt32BE(this.#advance(4));
  }

  f64(): number {
    return this.#bytes.readDoubleBE(this.#advance(8));
  }

  /** UTF-8; malformed sequences become U+FFFD. */
  text(length: number): string {
    const start = this.#advance(length);
    return this.#bytes.toString("utf8", start, start + length);
  }

  /** One byte per character, for four-character codes. */
  latin1(length: number): string {
    const start = this.#advance(length);
    return this.#bytes.toString("latin1", start, start + length);
  }

  /** A view of the same memory. */
  bytes(length: number): Buffer {
    const start = this.#advance(length);
    return this.#bytes.subarray(start, start + length);
  }

  /** Everything left, as a view. */
  rest(): Buffer {
    return this.bytes(this.left);
  }

  /** The byte that the next {@link u8} returns; undefined at the end. */
  peek(): number | undefined {
    return this.#bytes[this.#at];
  }

  #advance(length: number): number {
    const start = this.#at;
    if (length > this.left) throw new ProtocolError(`${this.#what}: needs ${length} bytes, has ${this.left}`);
    this.#at = start + length;
    return start;
  }
}
