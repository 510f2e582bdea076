import { CHANNELS, TICK_SAMPLES } from "../../media/frame.ts";
import { LoudnessMeter, toLufs } from "./loudness.ts";

/** Sound below this, or this far below what is usual, is a pause: the gain stands still. In LUFS and LU. */
const GATE = -60;
const RELATIVE_GATE = -12;
/** Sound between the gates and above this is not a pause but somebody quieter; the usual level sinks to meet it. */
const QUIET_VOICE = -50;
const SINK_PER_STEP = 10 ** (-0.08 / 10);
/** The usual loudness is an average over about this many gated steps of 100 ms: 4 s of sound. */
const MEMORY_STEPS = 40;
/** The first steps make the average alone, so that the gain finds its place within a sentence. */
const LEAST_STEPS = 4;
/** Fastest change: within a word of 300 ms less than 0.5 dB, which nobody hears. */
const SLEW_DB_PER_STEP = 0.15;
/** Until {@link MEMORY_STEPS} of sound were heard, the gain may find its place at this speed. */
const EARLY_SLEW_DB_PER_STEP = 0.4;
const MAX_BOOST_DB = 18;
const MAX_CUT_DB = 24;

/**
 * Brings a mix to a target loudness by a gain that follows the speech of the last seconds, never a word.
 *
 * Measures before its own gain, so it cannot chase itself. Silence and pauses do not move it, so noise is not pumped
 * up. Between -24 and +18 dB, 1.5 dB a second at the most, 4 dB a second in the first seconds of sound.
 */
export class LoudnessLeveller {
  /** In LUFS. Undefined lets the gain go back to 0 dB, as slowly as it came, and leaves levels alone from there. */
  target: number | undefined;
  readonly #meter = new LoudnessMeter();
  readonly #pcm = new Float32Array(TICK_SAMPLES * CHANNELS);
  #steps = 0;
  #heard = 0;
  #usualEnergy = 0;
  #gainDb = 0;

  /** @param target in LUFS; see {@link target}. */
  constructor(target: number | undefined) {
    this.target = target;
  }

  /** Gain from here on, in dB. */
  get gainDb(): number {
    return this.#gainDb;
  }

  /** Gain from here on, linear. */
  get gain(): number {
    return this.#gainDb === 0 ? 1 : 10 ** (this.#gainDb / 20);
  }

  /** Takes a tick of the mix before this gain, interleaved. Ramp from the old {@link gain} to the new over a tick. */
  push(mix: Float64Array): void {
    if (this.target === undefined && this.#gainDb === 0) return;
    const pcm = this.#pcm.subarray(0, mix.length);
    pcm.set(mix);
    this.#meter.push(pcm);
    if (this.#meter.steps === this.#steps) return;
    this.#steps = this.#meter.steps;
    if (this.target === undefined) this.#approach(0, SLEW_DB_PER_STEP);
    else this.#follow(this.#meter.momentary, this.target);
  }

  #follow(momentary: number, target: number): void {
    const usual = toLufs(this.#usualEnergy);
    if (momentary < usual + RELATIVE_GATE && momentary > QUIET_VOICE) this.#usualEnergy *= SINK_PER_STEP;
    if (!(momentary > GATE) || momentary < usual + RELATIVE_GATE) return;
    this.#heard += 1;
    const share = 1 / Math.min(this.#heard, MEMORY_STEPS);
    this.#usualEnergy += (10 ** ((momentary + 0.691) / 10) - this.#usualEnergy) * share;
    if (this.#heard < LEAST_STEPS) return;
    const wanted = target - toLufs(this.#usualEnergy);
    const bounded = Math.max(-MAX_CUT_DB, Math.min(MAX_BOOST_DB, wanted));
    const slew = this.#heard < MEMORY_STEPS ? EARLY_SLEW_DB_PER_STEP : SLEW_DB_PER_STEP;
    this.#approach(bounded, slew);
  }

  #approach(gainDb: number, slewDb: number): void {
    this.#gainDb += Math.max(-slewDb, Math.min(slewDb, gainDb - this.#gainDb));
  }
}
