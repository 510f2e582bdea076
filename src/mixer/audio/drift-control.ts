import { SAMPLE_RATE } from "../../media/frame.ts";

/** Time constant of the offset filter, in samples: 1 s. */
const SMOOTHING = SAMPLE_RATE;
/** An offset this far from the filtered one is a step, once it stays for {@link STEP_SAMPLES}. */
const STEP_THRESHOLD = SAMPLE_RATE * 0.015;
const STEP_SAMPLES = SAMPLE_RATE * 0.06;

/**
 * Estimates where the timeline wants a source, from stamps that jitter.
 *
 * An offset is mix position less stream position, in samples. Rounding of container stamps averages out over a
 * second; a change of the playout delay is followed within three blocks.
 */
export class OffsetFilter {
  #value: number;
  #seen = 0;
  #stepSum = 0;
  #stepSeen = 0;

  /** @param first offset that the source is anchored at. */
  constructor(first: number) {
    this.#value = first;
  }

  /** The filtered offset, in samples. */
  get value(): number {
    return this.#value;
  }

  /** Takes the offset asked for by a block of `samples`. */
  push(offset: number, samples: number): void {
    const deviation = offset - this.#value;
    if (Math.abs(deviation) > STEP_THRESHOLD && this.#follow(offset, deviation, samples)) return;
    if (Math.abs(deviation) <= STEP_THRESHOLD) this.#stepSeen = 0;
    else return;
    this.#seen += samples;
    // A plain mean at first, so that one rounded stamp does not rule the first second.
    this.#value += deviation * Math.min(1, samples / Math.min(this.#seen, SMOOTHING));
  }

  /** Collects evidence for a step; true once it is taken. */
  #follow(offset: number, deviation: number, samples: number): boolean {
    const sameSide = this.#stepSeen === 0 || this.#stepSum * deviation > 0;
    this.#stepSum =
      sameSide && this.#stepSeen > 0 ? this.#stepSum + deviation * samples : deviation * samples;
    this.#stepSeen = sameSide ? this.#stepSeen + samples : samples;
    if (this.#stepSeen < STEP_SAMPLES) return false;
    this.#value = offset;
    this.#seen = samples;
    this.#stepSeen = 0;
    return true;
  }
}

/** Beyond this the loop starts to correct; within it sound is copied bit for bit. 2 ms. */
const ENGAGE = SAMPLE_RATE * 0.002;
/** Within this, and with next to no speed asked for, it stops again after {@link RELEASE_SAMPLES}. 0.25 ms. */
const RELEASE = SAMPLE_RATE * 0.00025;
const RELEASE_PPM = 8;
const RELEASE_SAMPLES = SAMPLE_RATE * 5;
/** Covers clocks that are off by 1000 ppm, with reserve to come back from an error. */
const MAX_PPM = 1500;
/** Natural frequency 0.2 rad/s, critically damped: settles in about 20 s, too slow for an ear to notice. */
const OMEGA = 0.2;
/** Samples per second to parts per million of the sampling rate. */
const PPM = 1e6 / SAMPLE_RATE;

/**
 * Turns the offset error of one source into a playing speed: a proportional-integral loop with a dead band.
 *
 * The integral learns the drift of the source's clock, so the error goes to zero under steady drift.
 */
export class DriftControl {
  #engaged = false;
  #integralPpm = 0;
  #quietSamples = 0;

  /** True if `error`, in samples, or what went before asks for a speed other than exactly 1. */
  wants(error: number): boolean {
    return this.#engaged || Math.abs(error) >= ENGAGE;
  }

  /** Speed that a steady drift takes, in ppm longer, without what an error takes at the moment. */
  get learnedPpm(): number {
    return this.#integralPpm;
  }

  /** Forgets the error, keeps the drift learnt: after a seam the clock is still the same clock. */
  release(): void {
    this.#engaged = false;
    this.#quietSamples = 0;
  }

  /**
   * @param error wanted less actual offset, in samples; positive means that the source plays too early.
   * @param samples since the last call.
   * @returns speed to play at, in ppm longer.
   */
  update(error: number, samples: number): number {
    this.#engaged = true;
    const dt = samples / SAMPLE_RATE;
    const proportional = 2 * OMEGA * error * PPM;
    const wanted = proportional + this.#integralPpm;
    const ppm = Math.max(-MAX_PPM, Math.min(MAX_PPM, wanted));
    // No wind-up: the integral stands still while the output is at its limit.
    if (ppm === wanted) this.#integralPpm += OMEGA * OMEGA * error * dt * PPM;
    this.#settle(error, samples);
    return ppm;
  }

  #settle(error: number, samples: number): void {
    const quiet = Math.abs(error) < RELEASE && Math.abs(this.#integralPpm) < RELEASE_PPM;
    this.#quietSamples = quiet ? this.#quietSamples + samples : 0;
    if (this.#quietSamples >= RELEASE_SAMPLES) this.release();
  }
}
