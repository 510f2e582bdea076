import { CHANNELS } from "../../media/frame.ts";
import { raisedCosine } from "./fade.ts";

/** Length of every gain change, in samples per channel: 10 ms. */
export const RAMP_SAMPLES = 480;

const RISE = raisedCosine(RAMP_SAMPLES);

/**
 * A gain that never jumps: each change runs along a raised cosine of 10 ms. A change during a change starts from
 * the gain reached so far. At a steady gain of 1 it leaves the samples bit for bit.
 */
export class GainRamp {
  #from: number;
  #to: number;
  #done = RAMP_SAMPLES;

  constructor(gain: number) {
    this.#from = gain;
    this.#to = gain;
  }

  /** The gain it has reached or is on its way to. */
  get target(): number {
    return this.#to;
  }

  /** True once the last change is through. */
  get settled(): boolean {
    return this.#done === RAMP_SAMPLES;
  }

  /** True while nothing at all comes through, and nothing is about to. */
  get silent(): boolean {
    return this.settled && this.#to === 0;
  }

  /** The gain of the sample that comes next. */
  get current(): number {
    return this.settled ? this.#to : this.#from + (this.#to - this.#from) * (RISE[this.#done] ?? 1);
  }

  /** Begins a change to `gain`, linear, over the next {@link RAMP_SAMPLES}. */
  set(gain: number): void {
    if (gain === this.#to) return;
    this.#from = this.current;
    this.#to = gain;
    this.#done = 0;
  }

  /** Takes `gain` at once: only for sound that has not begun. */
  jump(gain: number): void {
    this.#from = gain;
    this.#to = gain;
    this.#done = RAMP_SAMPLES;
  }

  /** `output = input * gain` over interleaved values of equal length; both may be the same array. */
  apply(input: Float32Array, output: Float32Array): void {
    const ramped = Math.min((RAMP_SAMPLES - this.#done) * CHANNELS, input.length);
    const [from, span, start] = [this.#from, this.#to - this.#from, this.#done];
    for (let i = 0; i < ramped; i += CHANNELS) {
      const gain = from + span * (RISE[start + (i >> 1)] ?? 1);
      output[i] = (input[i] ?? 0) * gain;
      output[i + 1] = (input[i + 1] ?? 0) * gain;
    }
    this.#done += ramped / CHANNELS;
    const gain = this.#to;
    if (gain === 0) output.fill(0, ramped);
    else if (gain !== 1) for (let i = ramped; i < input.length; i++) output[i] = (input[i] ?? 0) * gain;
    else if (input !== output) output.set(input.subarray(ramped), ramped);
  }
}
