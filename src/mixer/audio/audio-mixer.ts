import { ExistsError, InvalidArgumentError, NotFoundError } from "../../core/error.ts";
import { type Micros, ms, us } from "../../core/time.ts";
import { type AudioBlock, CHANNELS, SAMPLE_RATE, TICK_SAMPLES } from "../../media/frame.ts";
import { ActiveSpeaker } from "./active-speaker.ts";
import { toDb } from "./level-meter.ts";
import { LIMITER_DELAY_SAMPLES } from "./limiter.ts";
import { LoudnessMeter } from "./loudness.ts";
import { LoudnessLeveller } from "./loudness-leveller.ts";
import { add, SharedSum, type Sum, type SumInput, type SumRequest } from "./mix-sum.ts";
import { MixedSource, type SourceSettings } from "./mixed-source.ts";
import { SpeakerSelection } from "./speaker-selection.ts";
import { keyOf, type SumHandle, SumRegistry } from "./sum-registry.ts";
import type { Loudness, MixSound, SourceSound, TickSound } from "./tick-sound.ts";

export type { SumRequest } from "./mix-sum.ts";
export type { SourceSettings } from "./mixed-source.ts";
export type { SumHandle } from "./sum-registry.ts";
export type { Loudness, MixSound, SourceSound, TickSound } from "./tick-sound.ts";

/** Length of one tick. */
export const TICK_US: Micros = ms(20);
/**
 * How far beyond a tick's end its sound must be pushed: the limiter looks that far ahead. The mixer reads that far
 * ahead too, so the limiter's delay does not shift the sound against the picture.
 */
export const MIXER_AHEAD_US: Micros = us((LIMITER_DELAY_SAMPLES * 1e6) / SAMPLE_RATE);

const MAX_GAIN = 16;
const DEFAULTS: SourceSettings = { gain: 1, muted: false, policy: "always", priority: 0, delayMs: 0 };

/** How an {@link AudioMixer} mixes. */
export interface AudioMixerOptions {
  /** Most sources of policy `speaker` that are mixed at once. */
  readonly maxSpeakers: number;
  /** Target of the loudness leveller in LUFS; absent leaves levels alone. */
  readonly loudness?: number | undefined;
}

/**
 * Mixes the sound of all sources of a mix, in ticks of 20 ms.
 *
 * Invariants:
 * - Tick n is exactly the sound from mix time n * 20 ms on. What was pushed at playout time t is heard at t.
 * - Every sum is total minus what is left out, at double precision, then limited to -1 dBTP on its own.
 * - Nothing that changes clicks: sources, mutes, gains and speakers fade over 10 ms.
 * - The result depends on what was pushed and called between ticks, not on when.
 *
 * Synchronous and single-threaded. Holds native memory for sources whose clock drifts; dispose it.
 *
 * @example
 * const mixer = new AudioMixer({ maxSpeakers: 4 });
 * mixer.add("anna", { policy: "speaker" });
 * using anna = mixer.want({ without: "anna" });
 * mixer.push("anna", block, playoutUs);   // any number of times
 * const sound = mixer.tick(0);            // encode sound.mix, and anna.pcm unless anna.shared
 */
export class AudioMixer implements Disposable {
  readonly #sources = new Map<string, MixedSource>();
  /** Removed, and still fading out. */
  #leaving: MixedSource[] = [];
  /** Sources as a list, and with them those who leave; rebuilt when somebody comes or goes. */
  #present: readonly MixedSource[] = [];
  #all: readonly MixedSource[] = [];
  readonly #shared = new SharedSum();
  readonly #sums = new SumRegistry(this.#shared);
  readonly #total = new Float64Array(TICK_SAMPLES * CHANNELS);
  readonly #scratch = new Float64Array(TICK_SAMPLES * CHANNELS);
  readonly #sound: TickSound;
  #next: number | undefined;
  readonly #selection: SpeakerSelection;
  readonly #active = new ActiveSpeaker();
  readonly #leveller: LoudnessLeveller;
  readonly #loudness = new LoudnessMeter();

  /** @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if `maxSpeakers` is no whole number of at least 1. */
  constructor(options: AudioMixerOptions) {
    checkOptions(options);
    this.#selection = new SpeakerSelection(options);
    this.#leveller = new LoudnessLeveller(options.loudness);
    this.#sound = this.#createSound();
  }

  /**
   * Takes a source in. Before the first tick it sounds from its very first sample; later it fades in.
   *
   * @throws {ExistsError} `ERR_EXISTS` if the id is taken; {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if a gain
   *   is negative or a setting no number.
   */
  add(id: string, settings: Partial<SourceSettings> = {}): void {
    if (this.#sources.has(id)) throw new ExistsError(`source ${id} is in the mix already`);
    const checked = check({ ...DEFAULTS, ...settings });
    this.#sources.set(id, new MixedSource(id, checked, this.#next !== undefined));
    this.#rebuild();
  }

  /** Changes what is given. @throws {NotFoundError} `ERR_NOT_FOUND` if there is no such source, else as {@link add}. */
  update(id: string, settings: Partial<SourceSettings>): void {
    const source = this.#get(id);
    source.settings = check({ ...source.settings, ...settings });
  }

  /** Fades a source out and forgets it; one that is not there is none already. */
  remove(id: string): void {
    const source = this.#sources.get(id);
    if (source === undefined) return;
    this.#sources.delete(id);
    source.leave();
    this.#leaving.push(source);
    this.#rebuild();
  }

  /** Changes how it mixes, from the next tick on. @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` as the constructor. */
  configure(options: AudioMixerOptions): void {
    checkOptions(options);
    this.#selection.maxSpeakers = options.maxSpeakers;
    this.#leveller.target = options.loudness;
  }

  /**
   * Gives a source's decoded sound; copied. Sound of a source that is not there is dropped.
   *
   * @param playoutUs mix time at which the timeline wants the first sample heard, before the operator's trim.
   */
  push(id: string, block: AudioBlock, playoutUs: Micros): void {
    const source = this.#sources.get(id);
    source?.playout.push(block, us(playoutUs + source.settings.delayMs * 1000));
  }

  /**
   * Asks for a sum, from the next tick on. Equal requests share one sum and its limiter.
   *
   * A handle for `without` yields the shared mix while that source is not mixed and goes over to its own sum, and
   * back, without a jump: both are aligned to the sample, and `shared` says which it is.
   */
  want(request: SumRequest = {}): SumHandle {
    return this.#sums.want(request);
  }

  /**
   * Mixes tick `index`, that is mix time `index * 20 ms`. Ticks follow on one another; those left out are not heard.
   *
   * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if the index goes back.
   */
  tick(index: number): TickSound {
    if (this.#next !== undefined && index < this.#next) throw new InvalidArgumentError("index", "goes back");
    const atUs = us(index * TICK_US);
    // The limiters lag behind their input; the first input makes up for it.
    if (index !== this.#next) this.#advance(atUs, LIMITER_DELAY_SAMPLES);
    this.#advance(us(atUs + MIXER_AHEAD_US), TICK_SAMPLES);
    this.#next = index + 1;
    return this.#sound;
  }

  /** How a source sounds. Makes a new object. @throws {NotFoundError} `ERR_NOT_FOUND` if there is no such source. */
  stats(id: string): SourceSound {
    const source = this.#get(id);
    const { level, loudness } = source;
    return {
      speaking: source.speaking,
      mixed: this.#selection.mixed.includes(id),
      levelDbov: level.dbov,
      rmsDb: level.rmsDb,
      peakDb: level.peakDb,
      lufs: readLoudness(loudness),
      truePeakDb: loudness.truePeakDb,
      playout: source.playout.stats(),
    };
  }

  /** How the shared mix sounds. Makes a new object. */
  mixStats(): MixSound {
    return {
      lufs: readLoudness(this.#loudness),
      truePeakDb: this.#loudness.truePeakDb,
      limiterGainDb: toDb(this.#shared.limiter.gain),
      levellerGainDb: this.#leveller.gainDb,
      sums: this.#sums.size,
    };
  }

  [Symbol.dispose](): void {
    for (const source of this.#all) source[Symbol.dispose]();
    this.#sources.clear();
    this.#leaving = [];
    this.#all = [];
    this.#present = [];
  }

  #advance(atUs: Micros, count: number): void {
    for (const source of this.#all) source.render(atUs, count);
    const mixed = this.#selection.update(this.#present);
    if (count === TICK_SAMPLES) this.#active.update(this.#present);
    const total = this.#total.subarray(0, count * CHANNELS).fill(0);
    for (const source of this.#all) {
      source.weigh(mixed.includes(source.id));
      if (!source.silent) add(total, source.contribution, 1);
    }
    const levelFrom = this.#leveller.gain;
    this.#leveller.push(total);
    const input: SumInput = {
      sources: this.#all,
      total,
      levelFrom,
      levelTo: this.#leveller.gain,
      shared: this.#shared,
      scratch: this.#scratch.subarray(0, count * CHANNELS),
    };
    this.#sums.render(input);
    if (count === TICK_SAMPLES) this.#loudness.push(this.#shared.pcm);
    this.#bury();
  }

  #bury(): void {
    if (this.#leaving.length === 0) return;
    for (const source of this.#leaving) if (source.gone) source[Symbol.dispose]();
    this.#leaving = this.#leaving.filter((source) => !source.gone);
    this.#rebuild();
  }

  #rebuild(): void {
    this.#present = [...this.#sources.values()];
    this.#all = [...this.#present, ...this.#leaving];
  }

  #get(id: string): MixedSource {
    const source = this.#sources.get(id);
    if (source === undefined) throw new NotFoundError(`no source ${id} in the mix`);
    return source;
  }

  #find(request: SumRequest): Sum {
    const sum = this.#sums.find(request);
    if (sum === undefined) throw new NotFoundError(`nobody wants the sum ${keyOf(request)}`);
    return sum;
  }

  #isMixed(id: string): boolean {
    return this.#all.some((source) => source.id === id && source.contribution !== undefined);
  }

  #createSound(): TickSound {
    const mixer = this;
    return {
      mix: this.#shared.pcm,
      get index(): number {
        return (mixer.#next ?? 0) - 1;
      },
      get speakers(): readonly string[] {
        return mixer.#selection.mixed;
      },
      get speaker(): string | null {
        return mixer.#active.current;
      },
      get talkers(): number {
        return mixer.#selection.mixed.length;
      },
      without(id) {
        const sum = mixer.#sums.find({ without: id });
        if (sum === undefined && mixer.#isMixed(id)) return mixer.#find({ without: id }).pcm;
        return sum?.pcm ?? mixer.#shared.pcm;
      },
      isShared(id) {
        return mixer.#sums.find({ without: id })?.shared ?? !mixer.#isMixed(id);
      },
      only: (id) => mixer.#find({ only: id }).pcm,
      matrix: (gains) => mixer.#find({ matrix: gains }).pcm,
    };
  }
}

const readLoudness = ({ momentary, shortTerm, integrated }: LoudnessMeter): Loudness => ({
  momentary,
  shortTerm,
  integrated,
});

function check(settings: SourceSettings): SourceSettings {
  const { gain, delayMs, priority } = settings;
  if (!(gain >= 0 && gain <= MAX_GAIN)) throw new InvalidArgumentError("gain", `must be 0 to ${MAX_GAIN}`);
  if (!Number.isFinite(delayMs)) throw new InvalidArgumentError("delayMs", "must be a number");
  if (Number.isNaN(priority)) throw new InvalidArgumentError("priority", "must be a number");
  return settings;
}

function checkOptions({ maxSpeakers, loudness }: AudioMixerOptions): void {
  const valid = Number.isInteger(maxSpeakers) && maxSpeakers >= 1;
  if (!valid) throw new InvalidArgumentError("maxSpeakers", "must be a whole number of at least 1");
  if (!Number.isFinite(loudness ?? 0)) throw new InvalidArgumentError("loudness", "must be a number");
}
