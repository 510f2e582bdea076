import type { MixState } from "../contract/worker.ts";
import { monotonicMs, wallMs } from "./time.ts";

/** A mix's epoch: wall time at which its clock read `ptsUs`. */
export type Epoch = MixState["epoch"];

/** How far a clock may be behind its last saved reading, in microseconds: readings are saved every 10 s. */
const UNSAVED_US = 10_000_000;

/**
 * Control's own reading of a mix's clock, so that a restarted worker goes on where the last one was, whatever
 * happened to the wall clock in between.
 */
export class MixClock {
  #epoch: Epoch;
  #sinceMs: number;

  /**
   * @param stored the epoch last saved.
   * @param floorUs the clock is past this; beats a wall clock that was set back while nobody ran.
   */
  constructor(stored: Epoch, floorUs: number, nowMs: number = wallMs()) {
    const byWall = stored.ptsUs + (nowMs - stored.wallMs) * 1000;
    const ptsUs = byWall >= floorUs ? byWall : floorUs + UNSAVED_US;
    this.#epoch = { wallMs: nowMs, ptsUs: Math.round(ptsUs) };
    this.#sinceMs = monotonicMs();
  }

  /** What the mix clock reads now. */
  nowUs(): number {
    return Math.round(this.#epoch.ptsUs + (monotonicMs() - this.#sinceMs) * 1000);
  }

  /** The epoch for a worker that starts now. */
  restart(nowMs: number = wallMs()): Epoch {
    this.#epoch = { wallMs: nowMs, ptsUs: this.nowUs() };
    this.#sinceMs = monotonicMs();
    return this.#epoch;
  }
}
