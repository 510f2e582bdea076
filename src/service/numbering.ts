const BLOCK = 1000;

/**
 * Numbers a mix's events. Numbers are reserved on disk a block at a time, so that after a crash of the service they
 * go on above any that was used; the gap tells subscribers that they may have missed something.
 */
export class Numbering {
  #next: number;
  #reserved: number;

  /** @param next the first number that was never used. */
  constructor(next: number) {
    this.#next = next;
    this.#reserved = next;
  }

  /** The next number. */
  take(): number {
    return this.#next++;
  }

  /** True if numbers above the reserved ones are being used: save soon. */
  get exhausted(): boolean {
    return this.#next > this.#reserved - BLOCK / 4;
  }

  /** Reserves a block and gives the number to store. */
  reserve(): number {
    if (this.exhausted) this.#reserved = this.#next + BLOCK;
    return this.#reserved;
  }

  /** For an orderly end: what was used, exactly. */
  get next(): number {
    return this.#next;
  }
}
