import { monotonicMs } from "./time.ts";

const RESTARTS = 5;
const WINDOW_MS = 600_000;

/** At most five restarts in any ten minutes. */
export class RestartBudget {
  readonly #now: () => number;
  #taken: number[] = [];

  /** @param now monotonic milliseconds. */
  constructor(now: () => number = monotonicMs) {
    this.#now = now;
  }

  /** Takes one restart; false if there is none left. */
  take(): boolean {
    const now = this.#now();
    this.#taken = this.#taken.filter((at) => now - at < WINDOW_MS);
    if (this.#taken.length >= RESTARTS) return false;
    this.#taken.push(now);
    return true;
  }
}
