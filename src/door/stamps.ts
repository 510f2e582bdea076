import { type Micros, ms, us } from "../core/time.ts";

/** Two stamps of one publisher further apart than this belong to different times. */
const MAX_STEP = ms(10_000);

/** Where a stamp lies. */
export interface PlacedStamp {
  readonly dtsUs: Micros;
  /** First of its stream after a jump. */
  readonly discontinuity: boolean;
}

/**
 * Unwraps the 32-bit millisecond stamps of one RTMP publisher, whose audio and video share an origin, and tells
 * where they jump.
 *
 * A jump is a step of more than 10 s from the newest stamp of either stream; each stream's first packet behind it
 * is marked. A stream that was silent while the other went on has not jumped.
 */
export class StampUnwrapper {
  #newestMs: number | undefined;
  #lastRaw = 0;
  #epoch = 0;
  readonly #epochOf = new Map<string, number>();

  /** @param rawMs as in the message: 32 bits. */
  place(stream: "audio" | "video", rawMs: number): PlacedStamp {
    const stepMs = this.#newestMs === undefined ? 0 : (rawMs - this.#lastRaw) | 0;
    const atMs = this.#newestMs === undefined ? rawMs : this.#newestMs + stepMs;
    const jumped = Math.abs(stepMs) * 1000 > MAX_STEP;
    if (jumped) this.#epoch += 1;
    const before = this.#epochOf.get(stream);
    this.#epochOf.set(stream, this.#epoch);
    if (this.#newestMs === undefined || stepMs > 0 || jumped) {
      this.#newestMs = atMs;
      this.#lastRaw = rawMs;
    }
    const known = before !== undefined || this.#epoch > 0;
    return { dtsUs: us(atMs * 1000), discontinuity: known && before !== this.#epoch };
  }
}
