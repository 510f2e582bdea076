/** What {@link toDb} gives for silence, in dB. */
export const SILENCE_DB = -127;

/** Linear amplitude to dB relative to full scale; {@link SILENCE_DB} at the least. */
export const toDb = (amplitude: number): number => Math.max(SILENCE_DB, 20 * Math.log10(amplitude));

/**
 * Measures how loud a stretch of sound is: for speaker selection, displays and the RTP audio-level extension.
 *
 * 0 dBov is a full-scale square wave, so a full-scale sine reads 3 (RFC 6464 §3). Both channels count alike. Holds
 * numbers only.
 */
export class LevelMeter {
  #meanSquare = 0;
  #peak = 0;

  /** Measures interleaved `pcm` and forgets what went before. O(n), allocates nothing. Empty is silence. */
  measure(pcm: Float32Array): void {
    let sum = 0;
    let peak = 0;
    for (let i = 0; i < pcm.length; i++) {
      const level = Math.abs(pcm[i] ?? 0);
      sum += level * level;
      if (level > peak) peak = level;
    }
    this.#meanSquare = pcm.length === 0 ? 0 : sum / pcm.length;
    this.#peak = peak;
  }

  /** Forgets the last measurement: silence. */
  clear(): void {
    this.#meanSquare = 0;
    this.#peak = 0;
  }

  /** Root mean square, in dB relative to full scale, -127 at the least. */
  get rmsDb(): number {
    return toDb(Math.sqrt(this.#meanSquare));
  }

  /** Greatest absolute sample, linear. */
  get peak(): number {
    return this.#peak;
  }

  /** Greatest sample, in dB relative to full scale, -127 at the least. */
  get peakDb(): number {
    return toDb(this.#peak);
  }

  /** Level as RFC 6464 §3 has it: -dBov, a whole number, 0 at full scale and 127 at silence. */
  get dbov(): number {
    return Math.min(127, Math.max(0, Math.round(-this.rmsDb)));
  }
}
