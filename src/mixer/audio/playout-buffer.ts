import { InvalidArgumentError } from "../../core/error.ts";
import type { Micros } from "../../core/time.ts";
import { type AudioBlock, CHANNELS, SAMPLE_RATE } from "../../media/frame.ts";
import { DriftControl, OffsetFilter } from "./drift-control.ts";
import { PlayoutReader } from "./playout-reader.ts";
import { SampleQueue } from "./sample-queue.ts";
import { MAX_LAG } from "./time-stretch.ts";

/** Most sound that is held ahead of what is played, in samples per channel: 10 s. */
export const MAX_HELD_SAMPLES: number = 10 * SAMPLE_RATE;
/** Stamps that leave out or repeat more than this are believed; less is jitter. */
const GAP_US = 60_000;
/** Stamps that go back further than this start anew instead of repeating. */
const RESTART_US = 2_000_000;
/** Stretches of sound that wait, each with its own place; hostile stamps make many. */
const MAX_SEGMENTS = 64;
/** An error beyond {@link STRETCH_FROM} is taken out by time-stretching until it is under {@link STRETCH_TO}. */
const STRETCH_FROM = SAMPLE_RATE * 0.01;
const STRETCH_TO = SAMPLE_RATE * 0.003;
/** An error beyond this is jumped over: stretching would take more than 10 s. */
const JUMP = 2 * SAMPLE_RATE;
const HISTORY = 2 * MAX_LAG;

/** Samples beyond this, +24 dB, are no sound; nor is what is not a number. A broken decoder makes such. */
const LOUDEST = 16;

/** What one {@link PlayoutBuffer.pull} played. The buffer's own object, valid until its next pull. */
export interface PullResult {
  /** Samples per channel that came from the source; the rest is silence or concealment. */
  readonly heard: number;
  /** Offset of the first of them in the tick; -1 if there was none. */
  readonly firstAt: number;
  /** True if the whole tick is digital silence. */
  readonly silent: boolean;
}

/** Counts since the buffer was made, and how it stands. */
export interface PlayoutStats {
  /** Sound held ahead of what is played. */
  readonly heldMs: number;
  /** How much later than wanted the source plays now; 0 while it is silent. */
  readonly errorMs: number;
  /** What was learnt of the source's clock: its correction in parts per million, positive for a slow one. */
  readonly driftPpm: number;
  /** Thrown away because its time had passed. */
  readonly lateMs: number;
  /** Thrown away because its stamps repeat what was there already. */
  readonly repeatedMs: number;
  /** Thrown away because {@link MAX_HELD_SAMPLES} were held. */
  readonly overflowMs: number;
  /** Samples that were no numbers, or beyond +24 dB, and were silenced: they would spoil the sum for all. */
  readonly silencedSamples: number;
  /** Times that sound was due and not there. */
  readonly underruns: number;
  /** Pieces removed or repeated by time-stretching. */
  readonly splices: number;
  /** Times that sound was re-anchored: stamps that jumped, or an error too large to stretch away. */
  readonly jumps: number;
}

interface Segment {
  first: number;
  end: number;
  /** Mix position wanted for sample `first`, in samples. */
  startAt: number;
}

/**
 * Puts one source's decoded sound where the timeline wants it, tick by tick.
 *
 * Invariants:
 * - Position counts samples; stamps only steer. While the mapping from stream to mix time stays within 2 ms of where
 *   the sound is, it is copied bit for bit from exactly the right sample.
 * - A slow error (clock drift) is resampled away, at most 1500 ppm; one of 10 ms to 2 s (the playout delay changed)
 *   is stretched away, at 1.1 or 1.25 times; a greater one is jumped over.
 * - A hole of more than 60 ms in the stamps stays a hole. Repeated and late sound is dropped and counted.
 * - No seam clicks: 5 ms fades, over concealment where there is no sound to fade.
 * - It holds at most 10 s. Nothing depends on when `push` is called, but for what is late.
 *
 * Holds native memory while a clock drifts; dispose it.
 */
export class PlayoutBuffer implements Disposable {
  readonly #queue = new SampleQueue({ maxSamples: MAX_HELD_SAMPLES, historySamples: HISTORY });
  readonly #reader = new PlayoutReader(this.#queue);
  readonly #drift = new DriftControl();
  readonly #segments: Segment[] = [];
  readonly #result = { heard: 0, firstAt: -1, silent: true };
  #offset = new OffsetFilter(0);
  /** Mix position of the next pull, in samples; undefined before the first. */
  #next: number | undefined;
  #expectedPtsUs = 0;
  /** The next block opens a segment, whatever its stamp. */
  #severed = false;
  /** Position in the tick up to which the fading sound was added. */
  #tailAt = 0;
  #everPlayed = false;
  /** It played and ran out; if the sound then goes on, it was an underrun, and not the end. */
  #dry = false;
  #playing = false;
  #stretching = false;
  #error = 0;
  #late = 0;
  #repeated = 0;
  #overflow = 0;
  #silenced = 0;
  #underruns = 0;
  #jumps = 0;

  /**
   * Takes a block; copies it, keeps no reference. What cannot be used is counted, never thrown.
   *
   * @param playoutUs mix time at which the timeline wants the block's first sample heard.
   */
  push(given: AudioBlock, playoutUs: Micros): void {
    const block = isSound(given.samples) ? given : this.#repair(given);
    const count = block.samples.length / CHANNELS;
    const wanted = (playoutUs * SAMPLE_RATE) / 1e6;
    if (count === 0 || !Number.isFinite(wanted)) return;
    const last = this.#segments.at(-1);
    const deviationUs = block.ptsUs - this.#expectedPtsUs;
    const jump = block.discontinuity || deviationUs < -RESTART_US;
    if (last === undefined || jump || this.#severed || deviationUs > GAP_US) {
      if (jump && (this.#everPlayed || last !== undefined)) this.#jumps += 1;
      if (this.#dry && !jump && deviationUs < GAP_US) this.#underruns += 1;
      this.#dry = false;
      this.#open(block, wanted);
      return;
    }
    const skip = deviationUs < -GAP_US ? Math.round((-deviationUs * SAMPLE_RATE) / 1e6) : 0;
    this.#repeated += Math.min(skip, count);
    if (skip < count) this.#append(last, block, skip, wanted);
  }

  /**
   * Fills `out`, interleaved, with what is heard from `tickUs` on; silence where nothing is.
   *
   * @param tickUs mix time of the first sample; follows on the last pull, or lies later.
   * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if it goes back.
   */
  pull(out: Float32Array, tickUs: Micros): PullResult {
    const at = Math.round((tickUs * SAMPLE_RATE) / 1e6);
    const count = out.length / CHANNELS;
    this.#moveTo(at);
    this.#next = at + count;
    this.#result.heard = 0;
    this.#result.firstAt = -1;
    if (this.#playing) this.#steer(at, count);
    if (this.#playing) this.#result.firstAt = 0;
    this.#result.silent = !this.#playing && !this.#reader.fading;
    this.#tailAt = 0;
    this.#play(out, at, count);
    if (this.#playing) this.#queue.release(this.#reader.taken);
    else if (this.#segments.length === 0) this.#queue.release(this.#queue.end);
    return this.#result;
  }

  /** Reads the counters. */
  stats(): PlayoutStats {
    const head = this.#playing ? this.#reader.position : (this.#segments[0]?.first ?? this.#queue.end);
    return {
      heldMs: toMs(this.#queue.end - head),
      errorMs: this.#playing ? toMs(0 - this.#error) : 0,
      driftPpm: this.#drift.learnedPpm,
      lateMs: toMs(this.#late),
      repeatedMs: toMs(this.#repeated),
      overflowMs: toMs(this.#overflow),
      silencedSamples: this.#silenced,
      underruns: this.#underruns,
      splices: this.#reader.splices,
      jumps: this.#jumps,
    };
  }

  [Symbol.dispose](): void {
    this.#reader[Symbol.dispose]();
  }

  #repair(block: AudioBlock): AudioBlock {
    const samples = block.samples.map((value) => (Math.abs(value) <= LOUDEST ? value : 0));
    for (const value of block.samples) if (!(Math.abs(value) <= LOUDEST)) this.#silenced += 1;
    return { ...block, samples };
  }

  /** Begins a segment at the place that `block` asks for. */
  #open(block: AudioBlock, wanted: number): void {
    const count = block.samples.length / CHANNELS;
    const startAt = Math.round(wanted);
    const next = this.#next ?? startAt;
    this.#severed = true;
    this.#expectedPtsUs = block.ptsUs + (count * 1e6) / SAMPLE_RATE;
    this.#dropWaiting(startAt);
    const skip = Math.min(count, Math.max(0, next - startAt));
    this.#late += skip;
    if (skip === count) return;
    const first = this.#queue.end;
    const fits = startAt - next <= MAX_HELD_SAMPLES && this.#segments.length < MAX_SEGMENTS;
    const accepted = fits ? this.#queue.push(block.samples, skip) : 0;
    this.#overflow += count - skip - accepted;
    if (accepted === 0) return;
    this.#severed = skip + accepted < count;
    this.#segments.push({ first, end: first + accepted, startAt: startAt + skip });
    this.#offset = new OffsetFilter(wanted - (first - skip));
  }

  /** A segment that is to start at or before one that still waits takes its place. */
  #dropWaiting(startAt: number): void {
    const playing = this.#playing ? 1 : 0;
    while (this.#segments.length > playing) {
      const last = this.#segments.at(-1);
      if (last === undefined || last.startAt < startAt) return;
      this.#repeated += last.end - last.first;
      this.#segments.pop();
    }
  }

  #append(segment: Segment, block: AudioBlock, skip: number, wanted: number): void {
    const count = block.samples.length / CHANNELS;
    this.#offset.push(wanted - (this.#queue.end - skip), count - skip);
    const accepted = this.#queue.push(block.samples, skip);
    segment.end += accepted;
    this.#overflow += count - skip - accepted;
    this.#severed = skip + accepted < count;
    this.#expectedPtsUs = block.ptsUs + (count * 1e6) / SAMPLE_RATE;
  }

  /** The caller left out time: what would have been heard in it is lost. */
  #moveTo(at: number): void {
    const left = at - (this.#next ?? at);
    if (left < 0) throw new InvalidArgumentError("tickUs", "lies before the end of the last pull");
    if (left === 0 || !this.#playing) return;
    this.#late += left;
    this.#reader.seek(Math.round(this.#reader.position) + left, true);
  }

  /** Compares where the sound is with where it is wanted, and chooses the means to bring it there. */
  #steer(at: number, count: number): void {
    const [segment] = this.#segments;
    // While a newer segment waits, the offset is that one's; the two meet at its start anyway.
    if (segment === undefined || this.#segments.length > 1 || this.#reader.splicing) return;
    const error = this.#offset.value + this.#reader.position - at;
    this.#error = error;
    if (Math.abs(error) > JUMP) {
      this.#jump(segment, at, error);
      return;
    }
    if (Math.abs(error) > STRETCH_FROM) this.#stretching = true;
    else if (Math.abs(error) < STRETCH_TO) this.#stretching = false;
    this.#reader.stretch(this.#stretching ? -error : 0, segment.end, count);
    if (!this.#drift.wants(error)) this.#reader.copy(segment.end);
    else if (this.#reader.engage(segment.end)) {
      this.#reader.setSpeed(this.#drift.update(error, count));
    }
  }

  #jump(segment: Segment, at: number, error: number): void {
    const position = Math.round(this.#reader.position);
    const target = position - Math.round(Math.min(0, error));
    this.#jumps += 1;
    this.#late += Math.min(segment.end, target) - position;
    segment.first = Math.min(segment.end, target);
    segment.startAt = at + Math.round(Math.max(0, error));
    this.#stop(segment);
  }

  /** Lets the playing segment fade out here. */
  #stop(segment: Segment): void {
    this.#reader.breakOff(segment.end);
    this.#playing = false;
    this.#drift.release();
    this.#stretching = false;
  }

  #play(out: Float32Array, at: number, count: number): void {
    let done = 0;
    while (done < count) {
      const [segment, follower] = this.#segments;
      const start = segment?.startAt ?? Number.POSITIVE_INFINITY;
      if (!this.#playing || segment === undefined) {
        const silent = Math.max(0, Math.min(count - done, start - at - done));
        out.fill(0, done * CHANNELS, (done + silent) * CHANNELS);
        done += silent;
        this.#addTail(out, done);
        if (segment !== undefined && done < count) this.#begin(segment, at + done, done);
        continue;
      }
      const left = Math.min(count - done, (follower?.startAt ?? Number.POSITIVE_INFINITY) - at - done);
      const got = this.#reader.read(out, done, Math.max(0, left), segment.end);
      done += got;
      this.#result.heard += got;
      this.#addTail(out, done);
      if (got === left && done === count) return;
      this.#stop(segment);
      this.#segments.shift();
      this.#dry = this.#segments.length === 0;
    }
  }

  #addTail(out: Float32Array, to: number): void {
    this.#reader.addTail(out, this.#tailAt, to);
    this.#tailAt = to;
  }

  /** Starts `segment` at mix position `at`, less what is late by now. */
  #begin(segment: Segment, at: number, done: number): void {
    const late = at - segment.startAt;
    const first = segment.first + late;
    this.#late += Math.min(late, segment.end - segment.first);
    if (first >= segment.end) {
      this.#segments.shift();
      return;
    }
    // The first sound of all begins as its author made it; everything later begins in the middle of something.
    this.#reader.seek(first, this.#everPlayed || late > 0);
    this.#playing = true;
    this.#result.silent = false;
    this.#everPlayed = true;
    if (this.#result.firstAt < 0) this.#result.firstAt = done;
  }
}

const toMs = (samples: number): number => (samples * 1000) / SAMPLE_RATE;

function isSound(samples: Float32Array): boolean {
  let energy = 0;
  for (let i = 0; i < samples.length; i++) energy += (samples[i] ?? 0) * (samples[i] ?? 0);
  // One sample that is none would make more than this, or no number; usual blocks make less, so this look is enough.
  if (energy <= LOUDEST * LOUDEST) return true;
  return samples.every((value) => Math.abs(value) <= LOUDEST);
}
