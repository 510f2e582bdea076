import type { Micros } from "../core/time.ts";
import type { Orientation } from "./stream-info.ts";

/**
 * One decoded picture, upright or with {@link Orientation} still to apply. The pixels live in native memory:
 * whoever takes a frame disposes it, exactly once. `native/frame.ts` implements it.
 */
export interface VideoFrame extends Disposable {
  /** In the source's stream time; the timeline turns it into mix time. */
  readonly ptsUs: Micros;
  /** 0 if unknown. */
  readonly durationUs: Micros;
  /** When the packet that completed it arrived, on the mix clock. */
  readonly arrivalUs: Micros;
  /** Stored size after cropping, before orientation and pixel aspect. */
  readonly widthPx: number;
  readonly heightPx: number;
  /** Pixel width over height; 1 for square pixels. */
  readonly pixelAspect: number;
  readonly orientation: Orientation;
  /** Another owner of the same pixels; costs a reference, not a copy. */
  clone(): VideoFrame;
}

/** Sampling rate of all PCM inside Tessera, in Hz. */
export const SAMPLE_RATE = 48_000;
/** Channels of all PCM inside Tessera, interleaved left, right. */
export const CHANNELS = 2;
/** Samples per channel in one audio tick of 20 ms. */
export const TICK_SAMPLES = 960;

/** Decoded sound: 48 kHz interleaved stereo float, nominally in [-1, 1]. */
export interface AudioBlock {
  /** Stream time of the first sample. */
  readonly ptsUs: Micros;
  /** `2 * n` values for n samples per channel. */
  readonly samples: Float32Array;
  readonly arrivalUs: Micros;
  /** The stream jumped before this block: do not smooth over the seam. */
  readonly discontinuity: boolean;
}
