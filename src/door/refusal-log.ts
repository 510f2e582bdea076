import type { Logger } from "../core/log.ts";
import { ms } from "../core/time.ts";
import type { Clock } from "../media/clock.ts";

const EVERY_US = ms(1000);

/** Logs whom a door does not serve, at most once a second: who floods the door must not flood the log. */
export class RefusalLog {
  readonly #log: Logger | undefined;
  readonly #clock: Clock;
  #lastUs: number | undefined;
  #unsaid = 0;

  /** @param log undefined: nothing is logged. */
  constructor(log: Logger | undefined, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** @param about never a stream's name or query: those are secrets. `unsaid` is added: those left out since the last. */
  tell(about: Readonly<Record<string, unknown>>, text: string): void {
    const now = this.#clock.now();
    if (this.#lastUs !== undefined && now - this.#lastUs < EVERY_US) {
      this.#unsaid += 1;
      return;
    }
    this.#log?.warn({ ...about, unsaid: this.#unsaid }, text);
    this.#lastUs = now;
    this.#unsaid = 0;
  }
}
