import type { PlayoutStats } from "./playout-buffer.ts";

/** What one tick sounds like. The mixer's own object: everything in it is valid until the next tick. */
export interface TickSound {
  readonly index: number;
  /** What everyone hears who is not among the mixed: 48 kHz interleaved stereo, 20 ms. */
  readonly mix: Float32Array;
  /** Ids of who is mixed, sorted; the same array as long as it does not change. */
  readonly speakers: readonly string[];
  /** Who speaks, or null if nobody does. */
  readonly speaker: string | null;
  /** How many are mixed: with the shared mix, the number of distinct sounds for participants. */
  readonly talkers: number;
  /**
   * The mix without a source; `mix` itself while that source is not mixed.
   *
   * @throws {NotFoundError} `ERR_NOT_FOUND` if it differs from the mix and nobody wants it.
   */
  without(id: string): Float32Array;
  /** True if {@link without} of this id is the shared mix. */
  isShared(id: string): boolean;
  /** That source alone. @throws {NotFoundError} `ERR_NOT_FOUND` if nobody wants it. */
  only(id: string): Float32Array;
  /** The mix with gains of its own. @throws {NotFoundError} `ERR_NOT_FOUND` if nobody wants it. */
  matrix(gains: Readonly<Record<string, number>>): Float32Array;
}

/** Loudness after ITU-R BS.1770-4, in LUFS; -Infinity while there was none. */
export interface Loudness {
  readonly momentary: number;
  readonly shortTerm: number;
  readonly integrated: number;
}

/** How one source sounds, before its gain and mute. */
export interface SourceSound {
  readonly speaking: boolean;
  readonly mixed: boolean;
  /** RFC 6464 §3: -dBov of the last tick, 0 to 127. */
  readonly levelDbov: number;
  /** Of the last tick, relative to full scale. */
  readonly rmsDb: number;
  readonly peakDb: number;
  readonly lufs: Loudness;
  /** Greatest so far, in dBTP. */
  readonly truePeakDb: number;
  readonly playout: PlayoutStats;
}

/** How the shared mix sounds. */
export interface MixSound {
  readonly lufs: Loudness;
  /** Greatest so far, in dBTP. */
  readonly truePeakDb: number;
  /** What the limiter takes away at this moment, 0 or less. */
  readonly limiterGainDb: number;
  readonly levellerGainDb: number;
  /** Distinct sums that somebody wants. */
  readonly sums: number;
}
