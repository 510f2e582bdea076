import {
  AV_PIX_FMT_YUV420P,
  AVCOL_PRI_BT709,
  AVCOL_RANGE_MPEG,
  AVCOL_SPC_BT709,
  AVCOL_TRC_BT709,
  Frame,
  SoftwareScaleContext,
  SWS_POINT,
} from "node-av";
import { assert } from "../core/error.ts";

/** Row alignment in bytes: what swscale's widest stores may write past a row's end stays inside its padding. */
const STRIDE_ALIGN = 64;

/** An 8-bit limited-range colour, BT.709. */
export interface Yuv {
  readonly y: number;
  readonly u: number;
  readonly v: number;
}

/** Limited-range black. */
export const BLACK: Yuv = { y: 16, u: 128, v: 128 };

/**
 * A picture that we draw on: 8-bit 4:2:0, BT.709 limited, even width and height, rows padded to 64 bytes.
 *
 * Tiles, canvases and backgrounds are pictures. Owns its native memory; dispose it once, more is harmless.
 * A clone shares the pixels; {@link makeWritable} copies them only when somebody else still holds them.
 */
export class Picture implements Disposable {
  readonly widthPx: number;
  readonly heightPx: number;
  /** For `native/` and `mixer/` alone. Keeps the planes alive; never keep `raw.data` without it. */
  readonly raw: Frame;
  #disposed = false;
  #planes: readonly Buffer[] | undefined;
  #strides: number[] | undefined;

  private constructor(raw: Frame) {
    this.raw = raw;
    this.widthPx = raw.width;
    this.heightPx = raw.height;
  }

  /** A new picture with undefined pixels. Width and height are even and positive. */
  static alloc(widthPx: number, heightPx: number): Picture {
    assert(
      widthPx > 0 && heightPx > 0 && widthPx % 2 === 0 && heightPx % 2 === 0,
      "pictures have even sides",
    );
    const raw = new Frame();
    raw.alloc();
    raw.width = widthPx;
    raw.height = heightPx;
    raw.format = AV_PIX_FMT_YUV420P;
    raw.colorRange = AVCOL_RANGE_MPEG;
    raw.colorSpace = AVCOL_SPC_BT709;
    raw.colorPrimaries = AVCOL_PRI_BT709;
    raw.colorTrc = AVCOL_TRC_BT709;
    assert(raw.getBuffer(STRIDE_ALIGN) >= 0, "memory for a picture");
    return new Picture(raw);
  }

  /** A new picture in one colour. */
  static solid(widthPx: number, heightPx: number, color: Yuv): Picture {
    const picture = Picture.alloc(widthPx, heightPx);
    picture.fill(color);
    return picture;
  }

  /** Takes over a frame that is already in our format. */
  static adopt(raw: Frame): Picture {
    assert(raw.format === AV_PIX_FMT_YUV420P, "pictures are 8-bit 4:2:0");
    return new Picture(raw);
  }

  /** Another owner of the same pixels. */
  clone(): Picture {
    const raw = this.raw.clone();
    assert(raw !== null, "memory for a picture");
    return new Picture(raw);
  }

  /** Call before drawing: afterwards nobody else sees what is drawn. */
  makeWritable(): void {
    if (this.raw.isWritable) return;
    this.#planes = undefined;
    this.#strides = undefined;
    assert(this.raw.makeWritable() >= 0, "memory for a picture");
  }

  fill({ y, u, v }: Yuv): void {
    const planes = this.planes;
    for (const [index, value] of [y, u, v].entries()) planes[index]?.fill(value);
  }

  /** Bytes from one row to the next, by plane. */
  get strides(): number[] {
    this.#strides ??= this.raw.linesize;
    return this.#strides;
  }

  /** True if nobody else holds the pixels. */
  get isWritable(): boolean {
    return this.raw.isWritable;
  }

  /**
   * Y, U and V with their padding. Valid while this picture is not disposed and not made writable again. Made once:
   * their memory counts as the collector's until it has run.
   */
  get planes(): readonly Buffer[] {
    assert(!this.#disposed, "a live picture has planes");
    this.#planes ??= this.raw.data ?? undefined;
    assert(this.#planes !== undefined, "a live picture has planes");
    return this.#planes;
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.raw.free();
  }
}

/** Copies whole pictures of one size into bigger ones: exact at any even width, where scaling would overshoot. */
export class Stamp implements Disposable {
  readonly #context = new SoftwareScaleContext();
  readonly #heightPx: number;
  /** Where in each target's planes the copy goes; targets are few and live long. */
  readonly #targets = new WeakMap<readonly Buffer[], Map<string, Buffer[]>>();

  constructor(widthPx: number, heightPx: number) {
    this.#heightPx = heightPx;
    const format = AV_PIX_FMT_YUV420P;
    this.#context.getContext(widthPx, heightPx, format, widthPx, heightPx, format, SWS_POINT);
  }

  /** Copies `from` to even position (x, y) of `to`, which it must lie inside of and which must be writable. */
  copy(from: Picture, to: Picture, x: number, y: number): void {
    assert(
      x + from.widthPx <= to.widthPx && y + from.heightPx <= to.heightPx,
      "a tile lies inside its canvas",
    );
    const target = this.#target(to, x, y);
    this.#context.scaleSync([...from.planes], from.strides, 0, this.#heightPx, target, to.strides);
  }

  [Symbol.dispose](): void {
    this.#context.freeContext();
  }

  #target(to: Picture, x: number, y: number): Buffer[] {
    const known = this.#targets.get(to.planes) ?? new Map<string, Buffer[]>();
    this.#targets.set(to.planes, known);
    const key = `${x},${y}`;
    const target = known.get(key) ?? cornersAt(to, x, y);
    known.set(key, target);
    return target;
  }
}

function cornersAt({ planes, strides }: Picture, x: number, y: number): Buffer[] {
  return planes.map((plane, index) => {
    const shift = index === 0 ? 0 : 1;
    return plane.subarray((y >> shift) * (strides[index] ?? 0) + (x >> shift));
  });
}
