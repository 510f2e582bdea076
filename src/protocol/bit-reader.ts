import { ProtocolError } from "../core/error.ts";

/**
 * Reads bits, most significant first, as codec headers have them.
 *
 * Every method throws {@link ProtocolError} `ERR_PROTOCOL` past the end.
 */
export class BitReader {
  readonly #bytes: Uint8Array;
  readonly #what: string;
  #bit = 0;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  get leftBits(): number {
    return this.#bytes.length * 8 - this.#bit;
  }

  /** An unsigned number of 0 to 32 bits. */
  u(bits: number): number {
    if (bits > this.leftBits) throw new ProtocolError(`${this.#what}: cut short`);
    let value = 0;
    for (let left = bits; left > 0; ) {
      const byte = this.#bytes[this.#bit >> 3] ?? 0;
      const free = 8 - (this.#bit & 7);
      const taken = Math.min(free, left);
      value = value * 2 ** taken + ((byte >> (free - taken)) & ((1 << taken) - 1));
      this.#bit += taken;
      left -= taken;
    }
    return value;
  }

  flag(): boolean {
    return this.u(1) === 1;
  }

  /**
   * Passes over fields whose values nothing here needs; the place that calls it names them as the standard does.
   *
   * @throws {ProtocolError} `ERR_PROTOCOL` if they are not all there.
   */
  skip(bits: number): void {
    if (bits > this.leftBits) throw new ProtocolError(`${this.#what}: cut short`);
    this.#bit += bits;
  }

  /** Unsigned Exp-Golomb (ITU-T H.264 §9.1), at most 32 leading zeros. */
  ue(): number {
    let zeros = 0;
    while (!this.flag()) if (++zeros > 31) throw new ProtocolError(`${this.#what}: number too long`);
    return 2 ** zeros - 1 + this.u(zeros);
  }

  /** Signed Exp-Golomb (ITU-T H.264 §9.1.1). */
  se(): number {
    const code = this.ue();
    return code % 2 === 0 ? -code / 2 : (code + 1) / 2;
  }
}
