import { CHANNELS, TICK_SAMPLES } from "../../media/frame.ts";

/** Pitch is looked for at 8 kHz: each sixth sample. */
const DECIMATION = 6;
const FRAME = TICK_SAMPLES / DECIMATION;
/** 60 to 400 Hz at 8 kHz, the range of voices. */
const MIN_LAG = 20;
const MAX_LAG = 133;
/** Pitch window: the last 40 ms. */
const PITCH_WINDOW = 2 * FRAME;

/** Normalised autocorrelation above this is a pitch. */
const PERIODIC = 0.55;

/** The noise floor is the least energy of the last ten pieces of twelve ticks: 2.4 s. */
const FLOOR_PIECES = 10;
const FLOOR_TICKS = 12;
/** A minimum lies below the mean of noise by about this factor. */
const FLOOR_BIAS = 1.6;
const FLOOR_LEAST = 3e-8;

/** Ticks that speech is held beyond its last sign: 160 ms, the length of a stop consonant and more. */
const HANGOVER_TICKS = 8;

/**
 * Tells speech from silence, hum, fans and keyboards, on decoded sound, 20 ms at a time.
 *
 * Speech is: clearly above the noise floor, with a pitch of 60 to 400 Hz, or far above it and low in the spectrum,
 * and in both cases with a level that fluctuates as syllables do. Music passes for speech most of the time.
 * Deterministic; holds numbers only.
 */
export class VoiceDetector {
  readonly #low = new Float64Array(3 * FRAME);
  readonly #minima = new Float64Array(FLOOR_PIECES).fill(Number.POSITIVE_INFINITY);
  #ticks = 0;
  #highPass = 0;
  #previous = 0;
  #low1 = 0;
  #low2 = 0;
  #lowEnergy = 0;
  #highEnergy = 0;
  #smooth = -1;
  #meanSnr = Number.NaN;
  #fluctuation = 0;
  #score = 0;
  #lag = MIN_LAG;
  #hangover = 0;

  /** True while somebody speaks, by what was pushed so far. */
  get speaking(): boolean {
    return this.#hangover > 0;
  }

  /** Takes one tick of interleaved stereo; returns {@link speaking}. Allocates nothing. */
  push(pcm: Float32Array): boolean {
    this.#filter(pcm);
    const snr = 10 * Math.log10(this.#lowEnergy / this.#noiseFloor() + 1e-9);
    this.#track(snr);
    const clear = snr > 6 && this.#lowEnergy > 1e-6 && this.#fluctuation > 1.2;
    const voiced = clear && this.#isPeriodic();
    const loud = snr > 18 && this.#lowEnergy > 0.3 * this.#highEnergy && this.#fluctuation > 2;
    return this.#decide(voiced || loud);
  }

  /** Takes one tick in which there was no sound at all. */
  pushSilence(): boolean {
    this.#low.fill(0);
    return this.#decide(false);
  }

  #decide(voice: boolean): boolean {
    this.#score += ((voice ? 1 : 0) - this.#score) * (voice ? 0.5 : 0.15);
    if (this.#score > 0.45) this.#hangover = HANGOVER_TICKS;
    else if (this.#hangover > 0) this.#hangover -= 1;
    return this.speaking;
  }

  /** Splits into below and above about 3 kHz, and keeps the low part at 8 kHz. */
  #filter(pcm: Float32Array): void {
    const low = this.#low;
    low.copyWithin(0, FRAME);
    let [hp, previous, low1, low2] = [this.#highPass, this.#previous, this.#low1, this.#low2];
    let [lowSum, highSum] = [0, 0];
    for (let i = 0, next = DECIMATION - 1, at = 2 * FRAME; i < TICK_SAMPLES; i++) {
      const mono = ((pcm[i * CHANNELS] ?? 0) + (pcm[i * CHANNELS + 1] ?? 0)) * 0.5;
      hp = 0.985 * (hp + mono - previous);
      previous = mono;
      low1 += (hp - low1) * 0.32;
      low2 += (low1 - low2) * 0.32;
      const high = mono - low2;
      highSum += high * high;
      if (i !== next) continue;
      next += DECIMATION;
      low[at++] = low2;
      lowSum += low2 * low2;
    }
    // Denormal numbers are slow, and say nothing.
    [this.#highPass, this.#low1, this.#low2] = [
      hp + 1e-18 - 1e-18,
      low1 + 1e-18 - 1e-18,
      low2 + 1e-18 - 1e-18,
    ];
    this.#previous = previous;
    this.#lowEnergy = lowSum / FRAME;
    this.#highEnergy = highSum / TICK_SAMPLES;
  }

  #noiseFloor(): number {
    const minima = this.#minima;
    const piece = Math.floor(this.#ticks / FLOOR_TICKS) % FLOOR_PIECES;
    if (this.#ticks % FLOOR_TICKS === 0) minima[piece] = Number.POSITIVE_INFINITY;
    this.#ticks += 1;
    this.#smooth = this.#smooth < 0 ? this.#lowEnergy : this.#smooth + (this.#lowEnergy - this.#smooth) * 0.4;
    minima[piece] = Math.min(minima[piece] ?? 0, this.#smooth);
    let floor = Number.POSITIVE_INFINITY;
    for (let i = 0; i < FLOOR_PIECES; i++) floor = Math.min(floor, minima[i] ?? 0);
    return Math.max(floor * FLOOR_BIAS, FLOOR_LEAST);
  }

  /** True if the last 40 ms repeat themselves at the pitch of a voice. */
  #isPeriodic(): boolean {
    const low = this.#low.subarray(3 * FRAME - PITCH_WINDOW);
    let here = 0;
    for (let i = MAX_LAG; i < PITCH_WINDOW; i++) here += (low[i] ?? 0) ** 2;
    // Pitch moves slowly, so the lag that fitted last is tried first.
    if (correlation(low, this.#lag, here) > PERIODIC) return true;
    for (let lag = MIN_LAG; lag <= MAX_LAG; lag++) {
      if (correlation(low, lag, here) <= PERIODIC) continue;
      this.#lag = lag;
      return true;
    }
    return false;
  }

  /** Syllables make the level go up and down 2 to 8 times a second; hum and fans do not. */
  #track(snr: number): void {
    this.#meanSnr = Number.isNaN(this.#meanSnr) ? snr : this.#meanSnr + (snr - this.#meanSnr) * 0.05;
    this.#fluctuation += (Math.abs(snr - this.#meanSnr) - this.#fluctuation) * 0.03;
  }
}

/** Normalised autocorrelation of the window's end, of energy `here`, at `lag`. */
function correlation(low: Float64Array, lag: number, here: number): number {
  let [dot, there] = [0, 1e-12];
  for (let i = MAX_LAG; i < PITCH_WINDOW; i++) {
    const past = low[i - lag] ?? 0;
    dot += (low[i] ?? 0) * past;
    there += past * past;
  }
  return dot <= 0 ? 0 : dot / Math.sqrt(here * there + 1e-12);
}
