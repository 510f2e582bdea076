import { assert } from "../core/error.ts";

/** Pictures of a speed run at most, and at least, however slow the device is. */
const MOST_FRAMES = 48;
export const LEAST_FRAMES = 3;
/** How long it goes on, in milliseconds. */
const RUN_MS = 500;

/** Counts pictures and time of a bounded run. The first picture warms up; its time does not count. */
export class SpeedRun {
  readonly #most: number;
  #startMs = performance.now();
  #count = 0;

  constructor(most: number = MOST_FRAMES) {
    assert(most > 1, "a run has two pictures or more");
    this.#most = most;
  }

  get count(): number {
    return this.#count;
  }

  goesOn(): boolean {
    const isLate = this.#count >= LEAST_FRAMES && performance.now() - this.#startMs > RUN_MS;
    return this.#count < this.#most && !isLate;
  }

  /** One picture more is done. */
  step(): void {
    this.#count += 1;
    if (this.#count === 1) this.#startMs = performance.now();
  }

  /** Does something whose time does not count. */
  aside<T>(work: () => T): T {
    const fromMs = performance.now();
    const result = work();
    this.#startMs += performance.now() - fromMs;
    return result;
  }

  /** Pictures per second so far, to a tenth; 0 if there were none. */
  fps(): number {
    const elapsedMs = Math.max(0.001, performance.now() - this.#startMs);
    return Math.round((Math.max(0, this.#count - 1) * 10_000) / elapsedMs) / 10;
  }
}

/** Frees what it holds at the end of its scope. */
export class Owned<T extends Disposable> implements Disposable {
  readonly items: T[];

  constructor(items: T[] = []) {
    this.items = items;
  }

  [Symbol.dispose](): void {
    for (const item of this.items) item[Symbol.dispose]();
    this.items.length = 0;
  }
}
