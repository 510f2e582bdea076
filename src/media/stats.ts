import type { Micros } from "../core/time.ts";

/** Counts events and bytes over a sliding window of whole seconds. */
export class RateMeter {
  readonly #seconds: number;
  readonly #slots: { second: number; count: number; bytes: number }[] = [];

  constructor(windowSeconds = 3) {
    this.#seconds = windowSeconds;
  }

  add(nowUs: Micros, bytes: number): void {
    const second = Math.floor(nowUs / 1e6);
    const last = this.#slots.at(-1);
    if (last?.second === second) {
      last.count += 1;
      last.bytes += bytes;
      return;
    }
    this.#slots.push({ second, count: 1, bytes });
    if (this.#slots.length > this.#seconds + 1) this.#slots.shift();
  }

  /** Events and bits per second over the last whole seconds; zero when nothing came. */
  read(nowUs: Micros): { readonly perSecond: number; readonly bitsPerSecond: number } {
    const current = Math.floor(nowUs / 1e6);
    let [count, bytes] = [0, 0];
    for (const slot of this.#slots) {
      if (slot.second >= current || slot.second < current - this.#seconds) continue;
      count += slot.count;
      bytes += slot.bytes;
    }
    return { perSecond: count / this.#seconds, bitsPerSecond: (bytes * 8) / this.#seconds };
  }
}

/** The last `capacity` values, for quantiles. */
export class Window {
  readonly #values: Float64Array;
  #count = 0;

  constructor(capacity = 512) {
    this.#values = new Float64Array(capacity);
  }

  add(value: number): void {
    this.#values[this.#count % this.#values.length] = value;
    this.#count += 1;
  }

  /** Nearest-rank quantile, `q` in [0, 1]; 0 if empty. */
  quantile(q: number): number {
    const held = this.#values.slice(0, Math.min(this.#count, this.#values.length)).sort();
    return held[Math.min(held.length - 1, Math.max(0, Math.ceil(q * held.length) - 1))] ?? 0;
  }
}

/** Counts durations by size, as Prometheus histograms do. */
export class DurationHistogram {
  /** Upper bounds of the buckets in seconds, ascending; one bucket more holds the rest. */
  readonly bounds: readonly number[];
  readonly #counts: number[];
  #sumSeconds = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  /** Notes one duration in seconds. */
  observe(seconds: number): void {
    const bucket = this.bounds.findIndex((bound) => seconds <= bound);
    const at = bucket < 0 ? this.bounds.length : bucket;
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#sumSeconds += seconds;
  }

  /** Plain data; the counts are per bucket, not summed up. */
  read(): {
    readonly bounds: readonly number[];
    readonly counts: readonly number[];
    readonly sumSeconds: number;
  } {
    return { bounds: this.bounds, counts: [...this.#counts], sumSeconds: this.#sumSeconds };
  }
}
