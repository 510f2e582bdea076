import { AV_PIX_FMT_YUV420P, AVCOL_RANGE_MPEG, AVCOL_SPC_BT709, Frame } from "node-av";
import { us } from "../../src/core/time.ts";
import { NativeFrame } from "../../src/native/frame.ts";
import type { Picture } from "../../src/native/picture.ts";

/** What one plane holds at (x, y). */
export type Pixel = (x: number, y: number, plane: number) => number;

/** A decoded frame of 8-bit 4:2:0, BT.709 limited, drawn by a function. */
export function frameOf(width: number, height: number, pixel: Pixel): NativeFrame {
  const raw = new Frame();
  raw.alloc();
  raw.width = width;
  raw.height = height;
  raw.format = AV_PIX_FMT_YUV420P;
  raw.colorSpace = AVCOL_SPC_BT709;
  raw.colorRange = AVCOL_RANGE_MPEG;
  if (raw.getBuffer(64) < 0) throw new Error("no memory");
  paint(raw, pixel);
  return new NativeFrame(raw, { ptsUs: us(0), durationUs: us(0), arrivalUs: us(0) });
}

/** One value of a picture: luma at full, chroma at half resolution. */
export function at(picture: Picture, plane: number, x: number, y: number): number {
  return picture.planes[plane]?.[y * (picture.strides[plane] ?? 0) + x] ?? -1;
}

/** Luma of a whole picture, without padding. */
export function luma(picture: Picture): Uint8Array {
  const out = new Uint8Array(picture.widthPx * picture.heightPx);
  const [plane] = picture.planes;
  const stride = picture.strides[0] ?? 0;
  for (let y = 0; y < picture.heightPx; y++) {
    out.set(plane?.subarray(y * stride, y * stride + picture.widthPx) ?? [], y * picture.widthPx);
  }
  return out;
}

function paint(raw: Frame, pixel: Pixel): void {
  for (const [index, plane] of (raw.data ?? []).entries()) {
    const shift = index === 0 ? 0 : 1;
    const stride = raw.linesize[index] ?? 0;
    for (let y = 0; y < raw.height >> shift; y++) {
      for (let x = 0; x < raw.width >> shift; x++) plane[y * stride + x] = pixel(x, y, index);
    }
  }
}
