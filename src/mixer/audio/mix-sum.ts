import { CHANNELS, TICK_SAMPLES } from "../../media/frame.ts";
import { raisedCosine } from "./fade.ts";
import { Limiter } from "./limiter.ts";
import type { MixedSource } from "./mixed-source.ts";

const VALUES = TICK_SAMPLES * CHANNELS;
const CROSS = raisedCosine(TICK_SAMPLES);

/** Which sound a listener or a recording wants. Exactly one of the fields, or none for the whole mix. */
export interface SumRequest {
  /** The mix without this source: what that participant hears. */
  readonly without?: string | undefined;
  /** This source alone, after its gain and mute, whether mixed or not. */
  readonly only?: string | undefined;
  /** Linear gain per source, on top of its own gain and mute; sources left out are silent. */
  readonly matrix?: Readonly<Record<string, number>> | undefined;
}

/** What a sum is made from in one tick. The mixer's own, valid during the tick. */
export interface SumInput {
  readonly sources: Iterable<MixedSource>;
  /** All contributions added up, at double precision, before the leveller. */
  readonly total: Float64Array;
  /** The leveller's gain at the start and at the end of the tick. */
  readonly levelFrom: number;
  readonly levelTo: number;
  readonly shared: SharedSum;
  /** Room for a sum of the same length as `total`. */
  readonly scratch: Float64Array;
}

/** One distinct sound of a mix, with a limiter of its own; computed once a tick however many listen. */
export interface Sum {
  /** Interleaved; overwritten by the next tick. The same array as the shared mix's where {@link shared}. */
  readonly pcm: Float32Array;
  /** True if it equals the shared mix bit for bit in this tick, so that one encode serves both. */
  readonly shared: boolean;
  /** Called before the shared sum renders. */
  begin(input: SumInput): void;
  /** Called after the shared sum rendered. */
  render(input: SumInput): void;
}

/** The sum of everyone who is mixed: what everybody hears who is not among them. */
export class SharedSum implements Sum {
  readonly shared = true;
  readonly pcm: Float32Array = new Float32Array(VALUES);
  readonly limiter: Limiter = new Limiter();

  begin(): void {}

  render({ total, scratch, levelFrom, levelTo }: SumInput): void {
    scratch.set(total);
    level(scratch, levelFrom, levelTo);
    this.limiter.process(scratch, this.pcm.subarray(0, total.length));
  }
}

/**
 * The mix without one source.
 *
 * While that source is not mixed this is the shared mix itself. When it enters, the limiter starts as a copy of the
 * shared one, whose input was the same until then, so nothing jumps. When it has left, one tick later its last sound
 * is out of the shared limiter too, and another tick cross-fades back.
 *
 * ```
 * shared --mixed--> own --not mixed--> leaving --a tick--> returning --a tick--> shared
 *                    ^------mixed---------'
 * ```
 */
export class SumWithout implements Sum {
  readonly #id: string;
  readonly #limiter = new Limiter();
  readonly #own = new Float32Array(VALUES);
  #pcm: Float32Array = this.#own;
  #state: "shared" | "own" | "leaving" | "returning" = "shared";

  /** @param id of the source; it need not exist as yet. */
  constructor(id: string) {
    this.#id = id;
  }

  get shared(): boolean {
    return this.#state === "shared";
  }

  get pcm(): Float32Array {
    return this.#pcm;
  }

  begin({ sources, shared }: SumInput): void {
    const mixed = contributes(sources, this.#id);
    // At the end of `returning` what was heard is the shared mix, so going back starts from there too.
    if (mixed && (this.#state === "shared" || this.#state === "returning"))
      this.#limiter.copy(shared.limiter);
    if (mixed) this.#state = "own";
    else if (this.#state === "own") this.#state = "leaving";
    else if (this.#state === "leaving") this.#state = "returning";
    else this.#state = "shared";
  }

  render(input: SumInput): void {
    const { sources, total, scratch, shared, levelFrom, levelTo } = input;
    this.#pcm = this.#state === "shared" ? shared.pcm : this.#own;
    if (this.#state === "shared") return;
    scratch.set(total);
    for (const source of sources)
      if (source.id === this.#id && !source.silent) add(scratch, source.contribution, -1);
    level(scratch, levelFrom, levelTo);
    this.#limiter.process(scratch, this.#own.subarray(0, total.length));
    if (this.#state === "returning") crossFade(this.#own, shared.pcm);
  }
}

/** One source alone, after its gain and mute, whether mixed or not: for isolated recordings. Not levelled. */
export class SumOnly implements Sum {
  readonly shared = false;
  readonly pcm: Float32Array = new Float32Array(VALUES);
  readonly #id: string;
  readonly #limiter = new Limiter();

  /** @param id of the source; it need not exist as yet. */
  constructor(id: string) {
    this.#id = id;
  }

  begin(): void {}

  render({ sources, total, scratch }: SumInput): void {
    scratch.fill(0);
    for (const source of sources) if (source.id === this.#id) add(scratch, source.pcm, 1);
    this.#limiter.process(scratch, this.pcm.subarray(0, total.length));
  }
}

/** A mix with gains of its own per source, on top of each source's gain and mute. Not levelled. */
export class SumMatrix implements Sum {
  readonly shared = false;
  readonly pcm: Float32Array = new Float32Array(VALUES);
  readonly #gains: Readonly<Record<string, number>>;
  readonly #limiter = new Limiter();

  /** @param gains linear, per source id; the rest is silent. */
  constructor(gains: Readonly<Record<string, number>>) {
    this.#gains = gains;
  }

  begin(): void {}

  render({ sources, total, scratch }: SumInput): void {
    scratch.fill(0);
    for (const source of sources) {
      const gain = Object.hasOwn(this.#gains, source.id) ? (this.#gains[source.id] ?? 0) : 0;
      if (gain !== 0 && !source.silent) add(scratch, source.pcm, gain);
    }
    this.#limiter.process(scratch, this.pcm.subarray(0, total.length));
  }
}

/** `sum += values * gain`; nothing if there is nothing to add. */
export function add(sum: Float64Array, values: Float32Array | undefined, gain: number): void {
  if (values === undefined) return;
  for (let i = 0; i < values.length; i++) sum[i] = (sum[i] ?? 0) + (values[i] ?? 0) * gain;
}

function contributes(sources: Iterable<MixedSource>, id: string): boolean {
  for (const source of sources) if (source.id === id && source.contribution !== undefined) return true;
  return false;
}

/** Gain that moves in a line from `from` to `to`; exact where both are 1. */
function level(sum: Float64Array, from: number, to: number): void {
  if (from === 1 && to === 1) return;
  const step = ((to - from) * CHANNELS) / sum.length;
  for (let i = 0, gain = from; i < sum.length; i += CHANNELS, gain += step) {
    sum[i] = (sum[i] ?? 0) * gain;
    sum[i + 1] = (sum[i + 1] ?? 0) * gain;
  }
}

/** Goes over from `old` to `next` along a raised cosine of one tick; the result is in `old`. */
export function crossFade(old: Float32Array, next: Float32Array): void {
  for (let i = 0; i < VALUES; i++) {
    const was = old[i] ?? 0;
    old[i] = was + ((next[i] ?? 0) - was) * (CROSS[i >> 1] ?? 1);
  }
}
