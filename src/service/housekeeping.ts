import type { Logger } from "../core/log.ts";
import type { Mix } from "./mix.ts";
import type { Publishers } from "./publishers.ts";
import { monotonicMs } from "./time.ts";

/** What housekeeping needs of the service. */
export interface House {
  readonly publishers: Publishers;
  mixes(): Mix[];
  has(mix: string): boolean;
  inOrder(mix: string, task: () => Promise<void>): Promise<void>;
  remove(mix: string, why: string): Promise<void>;
}

const SWEEP_MS = 1000;
/** How often readings of the mixes' clocks are saved; `MixClock` counts on it. */
const FLOOR_MS = 10_000;

/** Does once a second what is nobody's request: empty mixes, abandoned publishes, readings of clocks. */
export class Housekeeping implements Disposable {
  readonly #house: House;
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;
  readonly #emptySinceMs = new WeakMap<Mix, number>();
  /** Mixes whose last round waits behind a slow request. */
  readonly #busy = new Set<Mix>();
  #lastFloorMs = monotonicMs();

  constructor(house: House, log: Logger) {
    this.#house = house;
    this.#log = log;
    this.#timer = setInterval(() => this.#sweep(), SWEEP_MS);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #sweep(): void {
    const keepFloors = monotonicMs() - this.#lastFloorMs >= FLOOR_MS;
    if (keepFloors) this.#lastFloorMs = monotonicMs();
    for (const mix of this.#house.mixes()) {
      if (this.#busy.has(mix)) continue;
      this.#busy.add(mix);
      this.#sweepMix(mix, keepFloors)
        .catch((error: unknown) => this.#log.error({ err: error, mix: mix.id }, "housekeeping failed"))
        .finally(() => this.#busy.delete(mix));
    }
  }

  async #sweepMix(mix: Mix, keepFloor: boolean): Promise<void> {
    if (keepFloor || mix.dirty) await this.#house.inOrder(mix.id, async () => mix.note({}));
    if (mix.phase === "running") await this.#house.publishers.sweep(mix);
    if (this.#isEmptyTooLong(mix)) await this.#house.inOrder(mix.id, () => this.#removeEmpty(mix));
  }

  #isEmptyTooLong(mix: Mix): boolean {
    const { emptyTimeoutS, sources } = mix.state;
    if (emptyTimeoutS === null || sources.length > 0) {
      this.#emptySinceMs.delete(mix);
      return false;
    }
    const sinceMs = this.#emptySinceMs.get(mix) ?? monotonicMs();
    this.#emptySinceMs.set(mix, sinceMs);
    return monotonicMs() - sinceMs >= emptyTimeoutS * 1000;
  }

  async #removeEmpty(mix: Mix): Promise<void> {
    const isEmpty = this.#house.has(mix.id) && mix.state.sources.length === 0;
    if (isEmpty) await this.#house.remove(mix.id, "had no source for too long");
  }
}
