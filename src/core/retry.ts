/** How long to wait between attempts, in milliseconds. */
export interface BackoffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
  /** Growth from one attempt to the next. */
  readonly factor?: number;
  /** Share of the delay that is random, 0 to 1, so that peers do not return in step. */
  readonly jitter?: number;
}

/** Exponential backoff with jitter. Holds no timer: ask for the delay, then sleep on the clock. */
export class Backoff {
  readonly #options: Required<BackoffOptions>;
  readonly #random: () => number;
  #attempt = 0;

  constructor(options: BackoffOptions, random: () => number = Math.random) {
    this.#options = { factor: 2, jitter: 0.2, ...options };
    this.#random = random;
  }

  /** Attempts since the last {@link reset}. */
  get attempts(): number {
    return this.#attempt;
  }

  /** The delay before the next attempt, in milliseconds. */
  next(): number {
    const { firstMs, maxMs, factor, jitter } = this.#options;
    const full = Math.min(maxMs, firstMs * factor ** this.#attempt);
    this.#attempt += 1;
    return full * (1 - jitter * this.#random());
  }

  /** Call when an attempt has proven good, not merely connected. */
  reset(): void {
    this.#attempt = 0;
  }
}
