import { fullBox, join, u32 } from "./recording-bytes.ts";
import type { Sample } from "./recording-track.ts";

/** Room that is made at once, in bytes; divides by every row. */
const PIECE = 48 * 1024;

/** Big-endian values end to end, as they will stand in the file: hours of samples are millions of them. */
class Column {
  readonly #pieces: Buffer[] = [];
  #used = PIECE;
  #length = 0;

  /** How many values there are. */
  get length(): number {
    return this.#length;
  }

  get bytes(): Uint8Array {
    return join(
      ...this.#pieces.slice(0, -1),
      this.#pieces.at(-1)?.subarray(0, this.#used) ?? new Uint8Array(),
    );
  }

  /** Takes 32-bit values; negative ones in two's complement. */
  push(...values: readonly number[]): void {
    for (const value of values) this.#used = this.#room(4).writeUInt32BE(value >>> 0, this.#used);
  }

  /** Takes a value of 64 bits; exact up to 2^53. */
  pushLong(value: number): void {
    this.#used = this.#room(8).writeBigUInt64BE(BigInt(value), this.#used);
  }

  #room(bytes: number): Buffer {
    this.#length += 1;
    const last = this.#pieces.at(-1);
    if (last !== undefined && this.#used + bytes <= PIECE) return last;
    const piece = Buffer.allocUnsafeSlow(PIECE);
    this.#pieces.push(piece);
    this.#used = 0;
    return piece;
  }
}

/** Equal values in a row, as pairs of how many and which. */
class Runs {
  readonly #ended = new Column();
  #count = 0;
  #value = 0;

  /** How many pairs there are. */
  get length(): number {
    return this.#ended.length / 2 + Math.min(1, this.#count);
  }

  get bytes(): Uint8Array {
    return join(this.#ended.bytes, this.#count === 0 ? new Uint8Array() : u32(this.#count, this.#value));
  }

  add(value: number): void {
    if (this.#count > 0 && value !== this.#value) {
      this.#ended.push(this.#count, this.#value);
      this.#count = 0;
    }
    this.#value = value;
    this.#count += 1;
  }
}

/** Where and when every sample of one track is: the tables of an MP4's `stbl`, ISO/IEC 14496-12 §8.6 and §8.7. */
export class SampleTable {
  readonly #durations = new Runs();
  readonly #compositionOffsets = new Runs();
  /** Of tracks with samples that are none. */
  readonly #syncSamples = new Column();
  readonly #sizes = new Column();
  /** First chunk, samples per chunk and sample entry, wherever the second changes. */
  readonly #chunkRuns = new Column();
  readonly #chunkOffsets = new Column();
  #chunkSize = 0;
  #startTicks = 0;
  /** Where the last sample stands: how long it is, the next one tells. */
  #nowTicks = 0;
  #endTicks = 0;
  #lastTicks: number | undefined;
  #isReordered = false;
  #isAllSync = true;

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
    this.#chunkOffsets.pushLong(offset);
    if (samples.length !== this.#chunkSize)
      this.#chunkRuns.push(this.#chunkOffsets.length, samples.length, 1);
    this.#chunkSize = samples.length;
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
    this.#addSync(sample.keyFrame);
    this.#compositionOffsets.add(sample.pts - sample.dts);
    this.#isReordered ||= sample.pts !== sample.dts;
  }

  #addSync(isSync: boolean): void {
    const { length } = this.#sizes;
    if (this.#isAllSync && !isSync)
      for (let number = 1; number < length; number++) this.#syncSamples.push(number);
    this.#isAllSync &&= isSync;
    if (isSync && !this.#isAllSync) this.#syncSamples.push(length);
  }

  /** The boxes of `stbl` behind `stsd`. */
  boxes(): Uint8Array {
    const table = (type: string, { length, bytes }: { length: number; bytes: Uint8Array }): Uint8Array =>
      fullBox(type, 0, 0, u32(length), bytes);
    const last = u32(1, this.#lastTicks ?? 0);
    return join(
      table("stts", { length: this.#durations.length + 1, bytes: join(this.#durations.bytes, last) }),
      ...(this.#isReordered ? [table("ctts", this.#compositionOffsets)] : []),
      ...(this.#isAllSync ? [] : [table("stss", this.#syncSamples)]),
      table("stsc", { length: this.#chunkRuns.length / 3, bytes: this.#chunkRuns.bytes }),
      fullBox("stsz", 0, 0, u32(0, this.#sizes.length), this.#sizes.bytes),
      table("co64", this.#chunkOffsets),
    );
  }
}
