import type { Micros } from "../../core/time.ts";
import { CHANNELS, SAMPLE_RATE, TICK_SAMPLES } from "../../media/frame.ts";
import { GainRamp } from "./gain-ramp.ts";
import { LevelMeter, SILENCE_DB, toDb } from "./level-meter.ts";
import { LoudnessMeter } from "./loudness.ts";
import { PlayoutBuffer } from "./playout-buffer.ts";
import type { Candidate } from "./speaker-selection.ts";
import { VoiceDetector } from "./voice-detector.ts";

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
/** A source that has given no sound for this long is not audible: 3 s. */
const AUDIBLE_SAMPLES = 3 * SAMPLE_RATE;

/**
 * One source inside an `AudioMixer`: its playout, its meters, its gain, its seat among those who are mixed.
 *
 * Owned by the mixer; all arrays are its own and are overwritten by the next {@link render}. Meters read what
 * arrives, before gain and mute.
 */
export class MixedSource implements Candidate, Disposable {
  readonly id: string;
  readonly playout: PlayoutBuffer = new PlayoutBuffer();
  readonly level: LevelMeter = new LevelMeter();
  readonly loudness: LoudnessMeter = new LoudnessMeter();
  settings: SourceSettings;
  readonly #voice = new VoiceDetector();
  readonly #gain: GainRamp;
  readonly #entry: GainRamp;
  readonly #seat = new GainRamp(0);
  readonly #pcm = new Float32Array(VALUES);
  readonly #weighted = new Float32Array(VALUES);
  #contribution: Float32Array | undefined;
  #count = TICK_SAMPLES;
  #levelDb = SILENCE_DB;
  #leaving = false;
  #silent = true;
  #wasUnheard = true;
  /** Since anything was heard; infinite before the first. */
  #silentSamples = Number.POSITIVE_INFINITY;

  /** @param running true if the mix sounds already: then the source fades in where it begins. */
  constructor(id: string, settings: SourceSettings, running: boolean) {
    this.id = id;
    this.settings = settings;
    this.#gain = new GainRamp(settings.muted ? 0 : settings.gain);
    this.#entry = new GainRamp(running ? 0 : 1);
  }

  get policy(): "speaker" | "always" {
    return this.settings.policy;
  }

  get priority(): number {
    return this.settings.priority;
  }

  get audible(): boolean {
    return !this.settings.muted && this.settings.gain > 0 && this.#silentSamples < AUDIBLE_SAMPLES;
  }

  get speaking(): boolean {
    return this.#voice.speaking;
  }

  get levelDb(): number {
    return this.#levelDb;
  }

  /** This tick's sound after gain and mute, interleaved, whether mixed or not. */
  get pcm(): Float32Array {
    return this.#count === TICK_SAMPLES ? this.#pcm : this.#pcm.subarray(0, this.#count * CHANNELS);
  }

  /** True if {@link pcm} is digital silence: nothing need be added. */
  get silent(): boolean {
    return this.#silent;
  }

  /** What it adds to the mix in this tick; undefined while it is not mixed. */
  get contribution(): Float32Array | undefined {
    return this.#contribution;
  }

  /** True once it was removed: it goes on, fading, until {@link gone}. */
  get leaving(): boolean {
    return this.#leaving;
  }

  /** True once a source that leaves cannot be heard any more. */
  get gone(): boolean {
    return this.#leaving && this.#gain.silent;
  }

  /** Fades out for good, at the weight it has. */
  leave(): void {
    this.settings = { ...this.settings, muted: true };
    this.#leaving = true;
  }

  /** Pulls, measures and amplifies the next `count` samples per channel into {@link pcm}. */
  render(atUs: Micros, count: number): void {
    this.#count = count;
    const wasSilent = this.#silent;
    this.#wasUnheard = wasSilent || this.#gain.silent;
    const pcm = this.pcm;
    const { heard, firstAt, silent } = this.playout.pull(pcm, atUs);
    this.#silent = silent;
    this.#silentSamples = heard > 0 ? 0 : this.#silentSamples + count;
    if (heard > 0) this.#enter(pcm, firstAt);
    this.#measure(pcm, silent);
    this.#gain.set(this.settings.muted ? 0 : this.settings.gain);
    // Sound that begins now begins at its gain; only sound that is heard already needs a ramp.
    if (wasSilent) this.#gain.jump(this.#gain.target);
    if (!silent) this.#gain.apply(pcm, pcm);
  }

  /** Makes {@link contribution} from {@link pcm}, with weight 1 if `mixed`, 0 if not, faded in between. */
  weigh(mixed: boolean): void {
    const pcm = this.pcm;
    const seat = this.#seat;
    // Sound that begins in this tick, or is unmuted, is under a fade of its own; so is sound that is muted in it.
    if (this.#wasUnheard) seat.jump(mixed ? 1 : 0);
    else if (!this.#gain.silent) seat.set(mixed ? 1 : 0);
    if (seat.silent) this.#contribution = undefined;
    else if (seat.settled) this.#contribution = pcm;
    else {
      this.#contribution = this.#weighted.subarray(0, pcm.length);
      seat.apply(pcm, this.#contribution);
    }
  }

  [Symbol.dispose](): void {
    this.playout[Symbol.dispose]();
  }

  #measure(pcm: Float32Array, silent: boolean): void {
    if (silent) this.level.clear();
    else this.level.measure(pcm);
    this.#levelDb = this.level.rmsDb + toDb(this.settings.gain);
    if (silent) this.loudness.pushSilence(this.#count);
    else this.loudness.push(pcm, this.level.peak);
    // A shorter piece only fills the limiters; the detector counts ticks.
    if (this.#count < TICK_SAMPLES) return;
    if (silent) this.#voice.pushSilence();
    else this.#voice.push(pcm);
  }

  #enter(pcm: Float32Array, firstAt: number): void {
    this.#entry.set(1);
    if (this.#entry.settled) return;
    const from = pcm.subarray(Math.max(0, firstAt) * CHANNELS);
    this.#entry.apply(from, from);
  }
}
