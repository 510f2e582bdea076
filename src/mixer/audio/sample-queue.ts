import { CHANNELS } from "../../media/frame.ts";

/** How much a {@link SampleQueue} holds, in samples per channel. */
export interface SampleQueueOptions {
  /** Ahead of the reader. */
  readonly maxSamples: number;
  /** Behind the reader: kept for concealment and time-stretching. */
  readonly historySamples: number;
}

/**
 * One source's decoded sound in one growing array, addressed by absolute sample index (samples per channel since
 * the first push), so that readers may look back and ahead without copying.
 *
 * Invariants: indices never go back; `first <= released <= end`; memory is bounded by the options. It grows by
 * doubling, so a queue that never holds much stays small.
 */
export class SampleQueue {
  readonly #options: SampleQueueOptions;
  #values = new Float32Array(CHANNELS * 9600);
  #first = 0;
  #released = 0;
  #end = 0;

  constructor(options: SampleQueueOptions) {
    this.#options = options;
  }

  /** Interleaved values; a push may replace the array. See {@link offset}. */
  get values(): Float32Array {
    return this.#values;
  }

  /** Oldest index that can still be read. */
  get first(): number {
    return this.#first;
  }

  /** Index that the next pushed sample gets. */
  get end(): number {
    return this.#end;
  }

  /** Position in {@link values} of the left value of sample `index`. */
  offset(index: number): number {
    return (index - this.#first) * CHANNELS;
  }

  /**
   * Appends `samples` from its sample `from` on; copies, keeps no reference.
   *
   * @returns samples per channel that fitted under the bound; the rest was not taken.
   */
  push(samples: Float32Array, from = 0): number {
    const room = this.#options.maxSamples - (this.#end - this.#released);
    const count = Math.max(0, Math.min(samples.length / CHANNELS - from, room));
    if (count === 0) return 0;
    this.#makeRoom(count);
    this.#values.set(samples.subarray(from * CHANNELS, (from + count) * CHANNELS), this.offset(this.#end));
    this.#end += count;
    return count;
  }

  /** Everything before `index`, less the history, may be forgotten. */
  release(index: number): void {
    this.#released = Math.max(this.#released, Math.min(index, this.#end));
  }

  #makeRoom(count: number): void {
    if (this.offset(this.#end + count) <= this.#values.length) return;
    const keep = Math.max(this.#first, this.#released - this.#options.historySamples);
    const kept = this.#values.subarray(this.offset(keep), this.offset(this.#end));
    // At most half full after moving, so that moving is paid for by at least as many samples pushed.
    const needed = 2 * (kept.length + count * CHANNELS);
    if (needed > this.#values.length) {
      const grown = new Float32Array(Math.max(needed, this.#values.length));
      grown.set(kept);
      this.#values = grown;
    } else {
      this.#values.copyWithin(0, this.offset(keep), this.offset(this.#end));
    }
    this.#first = keep;
  }
}
