import type { Micros } from "../core/time.ts";
import type { Sample } from "./recording-track.ts";

/** Bytes to write over what already stands in the file. */
export interface Patch {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** How much of a file is there when its end comes; less than was made, if the disk did not take it all. */
export interface Written {
  readonly bytes: number;
  /** To the end of the longest track. */
  readonly durationUs: Micros;
}

/** What a whole file can end with. */
export interface Ending {
  /** To be appended, then, once it is on the disk, `patch` to be written. */
  readonly tail: Uint8Array;
  readonly patch: Patch;
}

/**
 * A file format that is written front to back and can be cut off after any fragment. Pure: it makes bytes, somebody
 * else writes them.
 */
export interface Container {
  /** What the file begins with. */
  readonly header: Uint8Array;
  /** The next samples, in decode order, at least one: bytes that are to reach the file in one write. */
  fragment(samples: readonly Sample[]): Uint8Array;
  /** What makes the duration right (and the index, if it has room) once no more is written; the file's length stays. */
  finish(written: Written): readonly Patch[];
  /** An index at the end, where all that was made is written; absent or undefined: there is none. */
  ending?(written: Written): Ending | undefined;
}

/** Where a fragment stands in time and in the file. */
export interface IndexEntry {
  /** In the first track's ticks. */
  readonly pts: number;
  readonly offset: number;
  /** A decoder can start here. */
  readonly keyFrame: boolean;
}

/**
 * The places of fragments, thinned out so that any length fits the room reserved for it: whenever it is full, every
 * second entry goes.
 */
export class ThinningIndex {
  readonly #capacity: number;
  #entries: IndexEntry[] = [];
  #stride = 1;
  #seen = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Entries kept that lie within the first `bytes` of the file, in order; the first fragment is always among them. */
  within(bytes: number): readonly IndexEntry[] {
    return this.#entries.filter((entry) => entry.offset < bytes);
  }

  /** Only fragments that a decoder can start with are of use to a player that seeks; the first is kept anyway. */
  add(entry: IndexEntry): void {
    if (!entry.keyFrame && this.#seen > 0) return;
    if (this.#seen++ % this.#stride !== 0) return;
    this.#entries.push(entry);
    if (this.#entries.length < this.#capacity) return;
    this.#entries = this.#entries.filter((_, index) => index % 2 === 0);
    this.#stride *= 2;
  }
}
