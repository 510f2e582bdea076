import { fullBox, join, u32, u32Array, u64Array } from "./recording-bytes.ts";
import type { Sample } from "./recording-track.ts";

/** Equal values in a row, as [how many, which] pairs end to end. */
class Runs {
  readonly pairs: number[] = [];

  add(value: number): void {
    const { length } = this.pairs;
    if (length > 0 && this.pairs[length - 1] === value)
      this.pairs[length - 2] = (this.pairs[length - 2] ?? 0) + 1;
    else this.pairs.push(1, value);
  }
}

/** Where and when every sample of one track is: the tables of an MP4's `stbl`, ISO/IEC 14496-12 §8.6 and §8.7. */
export class SampleTable {
  readonly #durations = new Runs();
  readonly #compositionOffsets = new Runs();
  readonly #syncSamples: number[] = [];
  readonly #sizes: number[] = [];
  /** First chunk and samples per chunk, wherever the latter changes; the third number is the sample entry. */
  readonly #chunkRuns: number[] = [];
  readonly #chunkOffsets: number[] = [];
  #startTicks = 0;
  /** Where the last sample stands: how long it is, the next one tells. */
  #nowTicks = 0;
  #endTicks = 0;
  #lastTicks: number | undefined;
  #isReordered = false;

  /** How many samples there are. */
  get size(): number {
    return this.#sizes.length;
  }

  /** When the first sample stands, in the track's ticks: before 0 where it only warms up the decoder. */
  get startTicks(): number {
    return this.#startTicks;
  }

  /** From the first sample's start to the end of the one shown last. */
  get durationTicks(): number {
    return this.#endTicks - this.#startTicks;
  }

  /** Takes samples that stand in the file one after another, from `offset` on. */
  add(samples: readonly Sample[], offset: number): void {
    this.#chunkOffsets.push(offset);
    if (this.#chunkRuns.at(-2) !== samples.length)
      this.#chunkRuns.push(this.#chunkOffsets.length, samples.length, 1);
    for (const sample of samples) this.#addSample(sample);
  }

  #addSample(sample: Sample): void {
    if (this.#lastTicks === undefined) {
      this.#startTicks = sample.dts;
      this.#nowTicks = sample.dts;
      this.#endTicks = sample.dts;
    } else {
      const ticks = Math.max(0, sample.dts - this.#nowTicks);
      this.#durations.add(ticks);
      this.#nowTicks += ticks;
    }
    this.#lastTicks = sample.duration;
    this.#endTicks = Math.max(this.#endTicks, sample.pts + sample.duration);
    this.#sizes.push(sample.data.byteLength);
    if (sample.keyFrame) this.#syncSamples.push(this.#sizes.length);
    this.#compositionOffsets.add(sample.pts - sample.dts);
    this.#isReordered ||= sample.pts !== sample.dts;
  }

  /** The boxes of `stbl` behind `stsd`. */
  boxes(): Uint8Array {
    const table = (type: string, values: readonly number[], width: number): Uint8Array =>
      fullBox(type, 0, 0, u32(values.length / width), u32Array(values));
    const isAllSync = this.#syncSamples.length === this.#sizes.length;
    return join(
      table("stts", [...this.#durations.pairs, 1, this.#lastTicks ?? 0], 2),
      ...(this.#isReordered ? [table("ctts", this.#compositionOffsets.pairs, 2)] : []),
      ...(isAllSync ? [] : [table("stss", this.#syncSamples, 1)]),
      table("stsc", this.#chunkRuns, 3),
      fullBox("stsz", 0, 0, u32(0, this.#sizes.length), u32Array(this.#sizes)),
      fullBox("co64", 0, 0, u32(this.#chunkOffsets.length), u64Array(this.#chunkOffsets)),
    );
  }
}
