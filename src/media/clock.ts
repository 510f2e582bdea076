import { type Micros, us } from "../core/time.ts";

/** The one clock of a mix: integer microseconds since the mix began. Injected everywhere, so that tests can hold time. */
export interface Clock {
  /** Never goes back. */
  now(): Micros;
  /**
   * Resolves at or after `at`; at once if it has passed.
   *
   * @throws `signal.reason` if aborted first.
   */
  sleepUntil(at: Micros, signal?: AbortSignal): Promise<void>;
}

/** Resolves `delay` from now on `clock`. */
export const sleep = (clock: Clock, delay: Micros, signal?: AbortSignal): Promise<void> =>
  clock.sleepUntil(us(clock.now() + delay), signal);

/**
 * Follows the machine's monotonic clock. It may be made to stand at its origin until {@link start}, so that inputs
 * can be opened before time runs.
 */
export class LiveClock implements Clock {
  readonly #originUs: Micros;
  readonly #started = Promise.withResolvers<void>();
  #zeroNs: bigint | undefined;

  /** @param originUs what it reads at the start: 0 unless a mix is continued. */
  constructor(originUs: Micros = us(0), options: { readonly held?: boolean } = {}) {
    this.#originUs = originUs;
    if (options.held !== true) this.start();
  }

  /** Lets time run; idempotent. */
  start(): void {
    this.#zeroNs ??= process.hrtime.bigint() - BigInt(this.#originUs) * 1000n;
    this.#started.resolve();
  }

  now(): Micros {
    if (this.#zeroNs === undefined) return this.#originUs;
    return Number((process.hrtime.bigint() - this.#zeroNs) / 1000n) as Micros;
  }

  async sleepUntil(at: Micros, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (at <= this.now()) return;
    await this.#started.promise;
    signal?.throwIfAborted();
    // A Node timer counts whole milliseconds and may fire one early, hence the loop.
    for (let left = at - this.now(); left > 0; left = at - this.now()) await pause(left, signal);
  }
}

function pause(leftUs: number, signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const done = (): void => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", done);
    if (signal?.aborted) reject(signal.reason);
    else resolve();
  };
  const timer = setTimeout(done, Math.max(1, Math.floor(leftUs / 1000)));
  signal?.addEventListener("abort", done, { once: true });
  return promise;
}

/** Wall time in milliseconds since the Unix epoch: for manifests, events and state, never for media. */
export const wallTimeMs = (): number => Date.now();

/** A clock that stands still until told otherwise; `--fast` and tests drive it. It has no timers. */
export class VirtualClock implements Clock {
  #nowUs = us(0);
  readonly #sleepers: { readonly at: Micros; readonly wake: () => void }[] = [];

  now(): Micros {
    return this.#nowUs;
  }

  /** Moves time forward and wakes, in order, who waited for it. Going back is ignored. */
  advanceTo(at: Micros): void {
    if (at > this.#nowUs) this.#nowUs = at;
    this.#sleepers.sort((a, b) => a.at - b.at);
    while (this.#sleepers[0] !== undefined && this.#sleepers[0].at <= this.#nowUs)
      this.#sleepers.shift()?.wake();
  }

  sleepUntil(at: Micros, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (at <= this.#nowUs) return Promise.resolve();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const aborted = (): void => {
      this.#sleepers.splice(this.#sleepers.indexOf(sleeper), 1);
      reject(signal?.reason);
    };
    // A signal outlives its sleeps by far, and looks through all its listeners for each new one.
    const wake = (): void => {
      signal?.removeEventListener("abort", aborted);
      resolve();
    };
    const sleeper = { at, wake };
    this.#sleepers.push(sleeper);
    signal?.addEventListener("abort", aborted, { once: true });
    return promise;
  }
}
