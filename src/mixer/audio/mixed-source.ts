import type { Micros } from "../../core/time.ts";
import { CHANNELS, TICK_SAMPLES } from "../../media/frame.ts";
import { GainRamp } from "./gain-ramp.ts";
import { PlayoutBuffer } from "./playout-buffer.ts";

/** How a source takes part in the mix. */
export interface SourceSettings {
  /** Linear factor, 0 to 16; 1 leaves the level alone. */
  readonly gain: number;
  readonly muted: boolean;
  /** `speaker` competes for a place among the speakers; `always` is in the mix whenever it sounds. */
  readonly policy: "speaker" | "always";
  /** Higher goes first among the speakers. */
  readonly priority: number;
  /** The operator's trim, added to every playout time; positive plays later. */
  readonly delayMs: number;
}

const VALUES = TICK_SAMPLES * CHANNELS;

/**
 * One source inside an `AudioMixer`: its playout, its gain, its seat among those who are mixed.
 *
 * Owned by the mixer; all arrays are its own and are overwritten by the next {@link render}.
 */
export class MixedSource implements Disposable {
  readonly id: string;
  readonly playout: PlayoutBuffer = new PlayoutBuffer();
  settings: SourceSettings;
  /** Weight in the mix: 1 for who is mixed, 0 for who is not. */
  readonly seat: GainRamp = new GainRamp(0);
  /** Samples of this tick that came from the source. */
  heard = 0;
  /** Samples since anything was heard; infinite before the first. */
  silentSamples: number = Number.POSITIVE_INFINITY;
  readonly #gain: GainRamp;
  readonly #entry: GainRamp;
  readonly #pcm = new Float32Array(VALUES);
  readonly #weighted = new Float32Array(VALUES);
  #contribution: Float32Array | undefined;
  #count = TICK_SAMPLES;

  /** @param running true if the mix sounds already: then the source fades in where it begins. */
  constructor(id: string, settings: SourceSettings, running: boolean) {
    this.id = id;
    this.settings = settings;
    this.#gain = new GainRamp(settings.muted ? 0 : settings.gain);
    this.#entry = new GainRamp(running ? 0 : 1);
  }

  /** This tick's sound after gain and mute, interleaved, whether mixed or not. */
  get pcm(): Float32Array {
    return this.#count === TICK_SAMPLES ? this.#pcm : this.#pcm.subarray(0, this.#count * CHANNELS);
  }

  /** What it adds to the mix in this tick; undefined if nothing. */
  get contribution(): Float32Array | undefined {
    return this.#contribution;
  }

  /** True once a source that was muted for good cannot be heard any more. */
  get gone(): boolean {
    return this.#gain.silent;
  }

  /** Pulls the next `count` samples per channel, untouched by gain, into {@link pcm}. */
  render(atUs: Micros, count: number): void {
    this.#count = count;
    const pcm = this.pcm;
    const { heard, firstAt } = this.playout.pull(pcm, atUs);
    this.heard = heard;
    if (heard === 0) this.silentSamples += count;
    else this.#enter(pcm, firstAt);
  }

  /** Applies gain and mute to {@link pcm}. */
  amplify(): void {
    this.#gain.set(this.settings.muted ? 0 : this.settings.gain);
    this.#gain.apply(this.pcm, this.pcm);
  }

  /** Makes {@link contribution} from {@link pcm} and {@link seat}. */
  weigh(): void {
    const pcm = this.pcm;
    if (this.seat.silent) this.#contribution = undefined;
    else if (this.seat.settled && this.seat.current === 1) this.#contribution = pcm;
    else {
      this.#contribution = this.#weighted.subarray(0, pcm.length);
      this.seat.apply(pcm, this.#contribution);
    }
  }

  [Symbol.dispose](): void {
    this.playout[Symbol.dispose]();
  }

  #enter(pcm: Float32Array, firstAt: number): void {
    this.silentSamples = 0;
    this.#entry.set(1);
    if (this.#entry.settled) return;
    const from = pcm.subarray(Math.max(0, firstAt) * CHANNELS);
    this.#entry.apply(from, from);
  }
}
