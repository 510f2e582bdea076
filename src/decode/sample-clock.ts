import { type Micros, us } from "../core/time.ts";
import { SAMPLE_RATE } from "../media/frame.ts";

/** Stamps that differ more than this from the count of samples say that sound is missing or doubled. */
const REANCHOR_US = 20_000;
/** A steady difference beyond this is drift, and is followed until it is below {@link CALM_US}. */
const DRIFT_US = 3_000;
const CALM_US = 500;
/** Fastest that drift is followed: microseconds per microsecond. */
const SLEW = 500e-6;
/** Blocks over which the difference is averaged, so that coarse stamps (1 ms in Matroska and FLV) do not count. */
const SMOOTHING = 64;

/** Where a block stands. */
export interface Placed {
  readonly ptsUs: Micros;
  /** Sound is missing, or something else follows. */
  readonly discontinuity: boolean;
}

/**
 * Gives blocks of sound exact stamps: counted in samples from an anchor, so that blocks meet without seam.
 *
 * Containers' stamps are only consulted. Jitter in them changes nothing; drift against the count is followed by at
 * most 500 ppm, so that sound keeps to the picture; a gap or jump of over 20 ms sets a new anchor.
 */
export class SampleClock {
  #anchorUs: number | undefined;
  #samples = 0;
  #meanUs = 0;
  #slewing = false;
  #jumped = false;

  /** The next block stands where its stamp says, after a seam. */
  jump(): void {
    this.#jumped ||= this.#anchorUs !== undefined;
    this.#anchorUs = undefined;
  }

  /**
   * Places a block of `samples` per channel at 48 kHz.
   *
   * @param stampUs what the stream says of its first sample, if anything.
   * @returns undefined if neither a stamp nor an earlier block says where it stands.
   */
  place(samples: number, stampUs: Micros | undefined): Placed | undefined {
    if (stampUs !== undefined) this.#consult(stampUs, samples);
    if (this.#anchorUs === undefined) return undefined;
    const placed = { ptsUs: us(this.#positionUs(this.#anchorUs)), discontinuity: this.#jumped };
    this.#jumped = false;
    this.#samples += samples;
    return placed;
  }

  #positionUs(anchorUs: number): number {
    return anchorUs + (this.#samples * 1e6) / SAMPLE_RATE;
  }

  #consult(stampUs: Micros, samples: number): void {
    const differenceUs = stampUs - this.#positionUs(this.#anchorUs ?? stampUs);
    if (this.#anchorUs === undefined || Math.abs(differenceUs) > REANCHOR_US) {
      this.#jumped ||= this.#anchorUs !== undefined;
      this.#anchor(stampUs);
      return;
    }
    this.#meanUs += (differenceUs - this.#meanUs) / SMOOTHING;
    const limitUs = this.#slewing ? CALM_US : DRIFT_US;
    this.#slewing = Math.abs(this.#meanUs) > limitUs;
    if (!this.#slewing) return;
    const stepUs =
      Math.sign(this.#meanUs) * Math.min(Math.abs(this.#meanUs), (samples * 1e6 * SLEW) / SAMPLE_RATE);
    this.#anchorUs += stepUs;
    this.#meanUs -= stepUs;
  }

  #anchor(stampUs: Micros): void {
    this.#anchorUs = stampUs;
    this.#samples = 0;
    this.#meanUs = 0;
    this.#slewing = false;
  }
}
