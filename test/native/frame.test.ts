import { describe, expect, test } from "vitest";
import { InternalError } from "../../src/core/error.ts";
import { us } from "../../src/core/time.ts";
import { NativeFrame, orientationOf } from "../../src/native/frame.ts";
import { PicturePool } from "../../src/native/picture-pool.ts";

const timing = { ptsUs: us(1000), durationUs: us(40_000), arrivalUs: us(5) };

/** FFmpeg's form: nine int32, the first two columns in 16.16. */
function matrix(a: number, b: number, c: number, d: number): Uint8Array {
  return new Uint8Array(Int32Array.from([a, b, 0, c, d, 0, 0, 0, 16_384], (one) => one * 65_536).buffer);
}

describe("a frame", () => {
  test("counts as live until it is disposed, once however often", () => {
    using pool = new PicturePool<string>(64, 32);
    const frame = pool.publish(pool.take(), timing);
    expect(NativeFrame.live).toBe(1);
    expect(frame).toMatchObject({ ...timing, widthPx: 64, heightPx: 32, pixelAspect: 1 });
    expect(frame.orientation).toEqual({ rotate: 0, mirror: false });
    frame[Symbol.dispose]();
    frame[Symbol.dispose]();
    expect(NativeFrame.live).toBe(0);
    expect(() => frame.raw).toThrow(InternalError);
    expect(() => frame.clone()).toThrow(InternalError);
  });

  test("shares its pixels with its clones, which outlive it", () => {
    using pool = new PicturePool<string>(64, 32);
    const picture = pool.take();
    picture.fill(0, 0, 64, 32, [77, 100, 200]);
    const frame = pool.publish(picture, timing);
    const copy = frame.retimed({ ...timing, ptsUs: us(2000) });
    frame[Symbol.dispose]();
    expect(copy.ptsUs).toBe(2000);
    expect(copy.raw.data?.[0]?.[10]).toBe(77);
    copy[Symbol.dispose]();
    expect(NativeFrame.live).toBe(0);
  });
});

describe("a display matrix", () => {
  const half = Math.SQRT1_2;
  const cases = [
    { name: "identity", bytes: matrix(1, 0, 0, 1), want: { rotate: 0, mirror: false } },
    { name: "a quarter clockwise", bytes: matrix(0, 1, -1, 0), want: { rotate: 90, mirror: false } },
    { name: "half a turn", bytes: matrix(-1, 0, 0, -1), want: { rotate: 180, mirror: false } },
    { name: "a quarter counterclockwise", bytes: matrix(0, -1, 1, 0), want: { rotate: 270, mirror: false } },
    { name: "mirrored", bytes: matrix(-1, 0, 0, 1), want: { rotate: 0, mirror: true } },
    { name: "upside down", bytes: matrix(1, 0, 0, -1), want: { rotate: 180, mirror: true } },
    {
      name: "thirty degrees is nearest to none",
      bytes: matrix(0.866, 0.5, -0.5, 0.866),
      want: { rotate: 0, mirror: false },
    },
    {
      name: "sixty is nearest to a quarter",
      bytes: matrix(0.5, 0.866, -0.866, 0.5),
      want: { rotate: 90, mirror: false },
    },
    { name: "scaled", bytes: matrix(0, 2 * half, -half, 0), want: { rotate: 90, mirror: false } },
    { name: "collapsed", bytes: matrix(0, 0, 0, 0), want: { rotate: 0, mirror: false } },
    { name: "too short", bytes: new Uint8Array(20), want: { rotate: 0, mirror: false } },
  ] as const;
  for (const { name, bytes, want } of cases) test(name, () => expect(orientationOf(bytes)).toEqual(want));
});
