import { InvalidArgumentError } from "../../core/error.ts";
import { CHANNELS, TICK_SAMPLES } from "../../media/frame.ts";
import {
  crossFade,
  type SharedSum,
  type Sum,
  type SumInput,
  SumMatrix,
  SumOnly,
  type SumRequest,
  SumWithout,
} from "./mix-sum.ts";

/** A sum that somebody wants. Its owner disposes it; the sum is computed as long as one handle to it is open. */
export interface SumHandle extends Disposable {
  /** This tick's sound, 48 kHz interleaved stereo; the mixer's array, valid until its next tick. Silent before the first. */
  readonly pcm: Float32Array;
  /** True if {@link pcm} is the shared mix bit for bit: an encode of the shared mix serves this one too. */
  readonly shared: boolean;
  /**
   * Wants something else from the next tick but one on, where it cross-fades.
   *
   * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if the request asks for more than one thing.
   */
  change(request: SumRequest): void;
  /** Another handle to what this one gives now, whatever it is changing to. */
  clone(): SumHandle;
}

interface Entry {
  readonly key: string;
  readonly sum: Sum;
  users: number;
}

/** The distinct sums of a mix that somebody wants, each once, and the handles to them. */
export class SumRegistry {
  readonly #shared: SharedSum;
  readonly #entries = new Map<string, Entry>();
  /** Handles in the middle of a change. */
  readonly #changing = new Set<OpenHandle>();

  /** @param shared the mix itself, which is computed whether wanted or not. */
  constructor(shared: SharedSum) {
    this.#shared = shared;
  }

  /** Distinct sums, the shared one included if it is wanted. */
  get size(): number {
    return this.#entries.size;
  }

  /** Opens a handle. @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if more than one thing is asked for. */
  want(request: SumRequest): SumHandle {
    return new OpenHandle(this, this.take(request));
  }

  /** The sum of an equal request, if somebody wants it. */
  find(request: SumRequest): Sum | undefined {
    return this.#entries.get(keyOf(request))?.sum;
  }

  /** Renders every sum, and the shared one, for one tick. */
  render(input: SumInput): void {
    for (const { sum } of this.#entries.values()) if (sum !== this.#shared) sum.begin(input);
    this.#shared.render(input);
    for (const { sum } of this.#entries.values()) if (sum !== this.#shared) sum.render(input);
    for (const handle of this.#changing) if (handle.advance()) this.#changing.delete(handle);
  }

  /** Counts one more user of a sum; {@link release} gives it back. */
  take(request: SumRequest): Entry {
    const key = keyOf(request);
    const entry = this.#entries.get(key) ?? { key, sum: this.#create(request), users: 0 };
    this.#entries.set(key, entry);
    return this.share(entry);
  }

  /** Counts one more user of a sum that has some; {@link release} gives it back. */
  share(entry: Entry): Entry {
    entry.users += 1;
    return entry;
  }

  release(entry: Entry): void {
    entry.users -= 1;
    if (entry.users === 0) this.#entries.delete(entry.key);
  }

  /** Calls {@link OpenHandle.advance} after each tick until it says that it is through. */
  follow(handle: OpenHandle): void {
    this.#changing.add(handle);
  }

  #create({ without, only, matrix }: SumRequest): Sum {
    if (without !== undefined) return new SumWithout(without);
    if (only !== undefined) return new SumOnly(only);
    if (matrix !== undefined) return new SumMatrix({ ...matrix });
    return this.#shared;
  }
}

class OpenHandle implements SumHandle {
  readonly #registry: SumRegistry;
  /** What is heard. */
  #entry: Entry;
  /** What is to be heard: it renders for one tick unheard, so that its limiter's delay is filled, then fades in. */
  #next: Entry | undefined;
  #warm = false;
  #blend: Float32Array | undefined;
  #blending = false;
  #open = true;

  constructor(registry: SumRegistry, entry: Entry) {
    this.#registry = registry;
    this.#entry = entry;
  }

  get pcm(): Float32Array {
    return this.#blending && this.#blend !== undefined ? this.#blend : this.#entry.sum.pcm;
  }

  get shared(): boolean {
    return !this.#blending && this.#entry.sum.shared;
  }

  change(request: SumRequest): void {
    if (!this.#open || keyOf(request) === (this.#next ?? this.#entry).key) return;
    const next = this.#registry.take(request);
    // Of two changes in a row the first was never heard.
    if (this.#next !== undefined) this.#registry.release(this.#next);
    this.#next = next;
    this.#warm = false;
    this.#registry.follow(this);
  }

  clone(): SumHandle {
    return new OpenHandle(this.#registry, this.#registry.share(this.#entry));
  }

  /** Called when all sums of a tick are there; true once nothing is left to change. */
  advance(): boolean {
    this.#blending = false;
    const next = this.#next;
    if (next === undefined) return true;
    if (!this.#warm) {
      this.#warm = true;
      return false;
    }
    this.#blend ??= new Float32Array(TICK_SAMPLES * CHANNELS);
    this.#blend.set(this.#entry.sum.pcm);
    crossFade(this.#blend, next.sum.pcm);
    this.#blending = true;
    this.#registry.release(this.#entry);
    this.#entry = next;
    this.#next = undefined;
    return false;
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    this.#registry.release(this.#entry);
    if (this.#next !== undefined) this.#registry.release(this.#next);
    this.#next = undefined;
  }
}

/** Equal for equal requests. @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if more than one thing is asked for. */
export function keyOf({ without, only, matrix }: SumRequest): string {
  const given = [without, only, matrix].filter((one) => one !== undefined).length;
  if (given > 1) throw new InvalidArgumentError("request", "takes one of without, only and matrix");
  if (without !== undefined) return `without:${without}`;
  if (only !== undefined) return `only:${only}`;
  if (matrix === undefined) return "mix";
  return `matrix:${JSON.stringify(Object.entries(matrix).sort(([a], [b]) => (a < b ? -1 : 1)))}`;
}
