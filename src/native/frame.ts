import { AV_NOPTS_VALUE } from "node-av/constants";
import type { Frame } from "node-av/lib";
import { assert, DeviceError } from "../core/error.ts";
import type { Micros } from "../core/time.ts";
import type { VideoFrame } from "../media/frame.ts";
import type { Orientation } from "../media/stream-info.ts";

/** Already upright. */
export const UPRIGHT: Orientation = { rotate: 0, mirror: false };

/**
 * What is wrong with how a picture is shown, for no filter here mends it: its colours are of a matrix that nothing
 * reads, HDR is shown as if it were not, alpha is left out, lines of two fields stand in one picture.
 */
export type Shortfall = "matrixUnknown" | "hdrClipped" | "alphaIgnored" | "interlaced";

/** What a frame says beside its pixels. */
export interface FrameTiming {
  readonly ptsUs: Micros;
  readonly durationUs: Micros;
  readonly arrivalUs: Micros;
  readonly orientation?: Orientation;
  /** None by default. */
  readonly shortfalls?: readonly Shortfall[];
}

/**
 * A picture in FFmpeg's memory. It owns its `Frame`: planes read through {@link raw} live exactly as long as this
 * object is neither disposed nor unreachable, so keep it, not the planes.
 *
 * Any pixel format, colour space and range: `raw` says which, and the scaler converts.
 */
export class NativeFrame implements VideoFrame {
  static #live = 0;

  readonly ptsUs: Micros;
  readonly durationUs: Micros;
  readonly arrivalUs: Micros;
  readonly widthPx: number;
  readonly heightPx: number;
  readonly pixelAspect: number;
  readonly orientation: Orientation;
  readonly shortfalls: readonly Shortfall[];
  #raw: Frame | undefined;

  /** @param raw taken over: nobody else frees it. */
  constructor(raw: Frame, timing: FrameTiming) {
    this.#raw = raw;
    this.ptsUs = timing.ptsUs;
    this.durationUs = timing.durationUs;
    this.arrivalUs = timing.arrivalUs;
    this.orientation = timing.orientation ?? UPRIGHT;
    this.shortfalls = timing.shortfalls ?? [];
    this.widthPx = raw.width;
    this.heightPx = raw.height;
    const { num, den } = raw.sampleAspectRatio;
    this.pixelAspect = num > 0 && den > 0 ? num / den : 1;
    NativeFrame.#live += 1;
  }

  /** Frames neither disposed nor forgotten in this process; tests hold it against leaks. */
  static get live(): number {
    return NativeFrame.#live;
  }

  /**
   * FFmpeg's frame, for `native` and `mixer` alone. Borrowed: do not free it, do not keep it longer than this.
   *
   * @throws {InternalError} `ERR_INTERNAL` after disposal.
   */
  get raw(): Frame {
    assert(this.#raw !== undefined, "a disposed frame is not read");
    return this.#raw;
  }

  /** @throws {DeviceError} `ERR_DEVICE` if memory is out. */
  clone(): NativeFrame {
    return this.retimed(this);
  }

  /** Another owner of the same pixels under other stamps; costs a reference, not a copy. */
  retimed(timing: FrameTiming): NativeFrame {
    const copy = this.raw.clone();
    if (copy === null) throw new DeviceError("no memory for a reference to a frame");
    return new NativeFrame(copy, timing);
  }

  /** Gives the pixels back. Twice is harmless. */
  [Symbol.dispose](): void {
    if (this.#raw === undefined) return;
    this.#raw.free();
    this.#raw = undefined;
    NativeFrame.#live -= 1;
  }
}

/** FFmpeg's best guess of when a decoded frame is shown, in its packets' ticks; undefined if it has none. */
export function stampOf(frame: Frame): bigint | undefined {
  const best = frame.bestEffortTimestamp;
  if (best !== AV_NOPTS_VALUE) return best;
  return frame.pts === AV_NOPTS_VALUE ? undefined : frame.pts;
}

/**
 * Reads an FFmpeg display matrix (9 little-endian int32, ISO 14496-12 §6.2.2): how to turn the stored picture upright.
 * What is no multiple of a quarter turn becomes the nearest one; a matrix that collapses the picture is upright.
 */
export function orientationOf(matrix: Uint8Array): Orientation {
  if (matrix.byteLength < 36) return UPRIGHT;
  const view = new DataView(matrix.buffer, matrix.byteOffset, 36);
  const at = (index: number): number => view.getInt32(index * 4, true);
  const [a, b, c, d] = [at(0), at(1), at(3), at(4)];
  const determinant = a * d - b * c;
  if (determinant === 0) return UPRIGHT;
  const mirror = determinant < 0;
  // The mirror comes last, so undo it: then (1, 0) goes to (cos, sin) of a clockwise turn, y pointing down.
  const quarter = Math.round(Math.atan2(b, mirror ? -a : a) / (Math.PI / 2));
  const rotate = ((((quarter % 4) + 4) % 4) * 90) as Orientation["rotate"];
  return { rotate, mirror };
}
