import { AV_PIX_FMT_YUV420P, AVCOL_RANGE_MPEG, AVCOL_SPC_BT709 } from "node-av/constants";
import { Frame, Rational } from "node-av/lib";
import { DeviceError } from "../core/error.ts";
import { type FrameTiming, NativeFrame } from "./frame.ts";
import { succeed } from "./libav.ts";

/** BT.709 limited-range luma and chroma, 8 bit. */
export type Yuv = readonly [luma: number, blue: number, red: number];

/** Pictures on the way at once; beyond that the oldest is copied. */
const MAX_PICTURES = 16;

/** A 4:2:0 picture to draw rectangles into. What was drawn stays until drawn over. */
export class PaintedPicture<State> {
  /** Of the painter: what this picture shows, so that only the difference is drawn. Undefined: nothing yet. */
  shows: State | undefined;
  readonly raw: Frame;

  /** @param raw taken over. */
  constructor(raw: Frame) {
    this.raw = raw;
  }

  /** Fills a rectangle; odd edges move to even ones, for chroma is half as fine. What lies outside is left out. */
  fill(x: number, y: number, width: number, height: number, [luma, blue, red]: Yuv): void {
    const { data, linesize: strides, width: fullWidth, height: fullHeight } = this.raw;
    const [left, right] = [even(x, fullWidth), even(x + width, fullWidth)];
    const [top, bottom] = [even(y, fullHeight), even(y + height, fullHeight)];
    if (right <= left) return;
    for (const [plane, value] of [luma, blue, red].entries()) {
      const [bytes, stride = 0, shrink] = [data?.[plane], strides[plane], plane === 0 ? 1 : 2];
      for (let row = top / shrink; row < bottom / shrink; row++) {
        bytes?.fill(value, row * stride + left / shrink, row * stride + right / shrink);
      }
    }
  }
}

/**
 * Pictures that are drawn into again as soon as nobody else holds them, so that an animation pays only for what
 * changes. Dispose it; frames given out live on.
 */
export class PicturePool<State> implements Disposable {
  readonly #widthPx: number;
  readonly #heightPx: number;
  readonly #pictures: PaintedPicture<State>[] = [];

  /** Even sizes only. */
  constructor(widthPx: number, heightPx: number) {
    this.#widthPx = widthPx;
    this.#heightPx = heightPx;
  }

  /**
   * A picture to draw into, blank or as it was left.
   *
   * @throws {DeviceError} `ERR_DEVICE` if memory is out.
   */
  take(): PaintedPicture<State> {
    const free = this.#pictures.find((picture) => picture.raw.isWritable);
    if (free !== undefined) return free;
    if (this.#pictures.length < MAX_PICTURES) return this.#add();
    const oldest = this.#pictures.shift() ?? this.#add();
    succeed(oldest.raw.makeWritable(), "copy a picture");
    this.#pictures.push(oldest);
    return oldest;
  }

  /**
   * A reference to `picture` as a frame, which the caller owns.
   *
   * @throws {DeviceError} `ERR_DEVICE` if memory is out.
   */
  publish(picture: PaintedPicture<State>, timing: FrameTiming): NativeFrame {
    const copy = picture.raw.clone();
    if (copy === null) throw new DeviceError("no memory for a reference to a picture");
    return new NativeFrame(copy, timing);
  }

  /** Twice is harmless. */
  [Symbol.dispose](): void {
    for (const { raw } of this.#pictures.splice(0)) raw.free();
  }

  #add(): PaintedPicture<State> {
    const raw = new Frame();
    raw.alloc();
    raw.format = AV_PIX_FMT_YUV420P;
    raw.width = this.#widthPx;
    raw.height = this.#heightPx;
    raw.sampleAspectRatio = new Rational(1, 1);
    raw.colorSpace = AVCOL_SPC_BT709;
    raw.colorRange = AVCOL_RANGE_MPEG;
    succeed(raw.getBuffer(0), "allocate a picture");
    const picture = new PaintedPicture<State>(raw);
    picture.fill(0, 0, this.#widthPx, this.#heightPx, [16, 128, 128]);
    this.#pictures.push(picture);
    return picture;
  }
}

const even = (value: number, max: number): number => Math.min(max, Math.max(0, 2 * Math.round(value / 2)));
