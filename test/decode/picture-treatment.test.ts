import {
  AV_FRAME_FLAG_INTERLACED,
  AV_PIX_FMT_VAAPI,
  AVCOL_RANGE_JPEG,
  AVCOL_RANGE_MPEG,
  AVCOL_SPC_BT709,
  AVCOL_SPC_IPT_C2,
  AVCOL_SPC_YCGCO,
  AVCOL_TRC_SMPTE2084,
  type AVFrameFlag,
} from "node-av";
import { afterEach, describe, expect, test } from "vitest";
import { us } from "../../src/core/time.ts";
import { PictureTreatment } from "../../src/decode/picture-treatment.ts";
import { NativeFrame } from "../../src/native/frame.ts";
import { matrixKind } from "../../src/native/matrix.ts";
import { Picture } from "../../src/native/picture.ts";
import { Scaler } from "../../src/native/scaler.ts";
import type { DecodedPicture } from "../../src/native/video-decoder.ts";
import { at, frameOf } from "../native/drawing.ts";

afterEach(() => expect(NativeFrame.live).toBe(0));

/** A decoder's picture in one colour, which says of itself what is given. */
function decoded(
  pixel: readonly number[],
  colorSpace: number,
  change: Partial<DecodedPicture> = {},
  side = 64,
): DecodedPicture {
  const frame = frameOf(side, side, (_x, _y, plane) => Math.round(pixel[plane] ?? 0));
  frame.raw.colorSpace = colorSpace as typeof AVCOL_SPC_BT709;
  const plain = {
    damaged: false,
    discard: false,
    interlaced: false,
    hdr: false,
    alpha: false,
    overscan: undefined,
  };
  return { frame, ...plain, matrix: matrixKind(frame.raw), ...change };
}

/** What the mixer makes of it: Y, U and V of BT.709 limited. */
async function drawn(frame: NativeFrame): Promise<number[]> {
  const crop = { x: 0, y: 0, width: 64, height: 64 };
  using scaler = new Scaler({ crop, orientation: { rotate: 0, mirror: false }, widthPx: 32, heightPx: 32 });
  using picture = Picture.alloc(32, 32);
  await scaler.scale(frame.raw, picture, "caller");
  return [0, 1, 2].map((plane) => at(picture, plane, 8, 8));
}

type Rgb = readonly [red: number, green: number, blue: number];

/** ITU-T H.273 §8.3, equations 26 to 31 and those of YCgCo, for colours from 0 to 1. */
const bt709 = ([r, g, b]: Rgb): number[] => {
  const y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return [16 + 219 * y, 128 + (224 * (b - y)) / 1.8556, 128 + (224 * (r - y)) / 1.5748];
};
const ycgco = ([r, g, b]: Rgb, full: boolean): number[] => {
  const parts = [0.25 * r + 0.5 * g + 0.25 * b, -0.25 * r + 0.5 * g - 0.25 * b, 0.5 * r - 0.5 * b] as const;
  const [offset, luma, chroma] = full ? [0, 255, 255] : [16, 219, 224];
  return [offset + luma * parts[0], 128 + chroma * parts[1], 128 + chroma * parts[2]];
};

describe("the treatment of pictures", () => {
  const colours: readonly Rgb[] = [
    [0.8, 0.125, 0.125],
    [0.125, 0.7, 0.2],
    [0.15, 0.25, 0.8],
    [0.5, 0.5, 0.5],
  ];
  for (const full of [false, true])
    test(`gives YCgCo its colours, ${full ? "full" : "limited"} range`, async () => {
      using treatment = new PictureTreatment("frame");
      for (const colour of colours) {
        const picture = decoded(ycgco(colour, full), AVCOL_SPC_YCGCO);
        picture.frame.raw.colorRange = full ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
        const [frame] = await treatment.applyAsync(picture);
        using shown = frame ?? picture.frame;
        expect(shown.shortfalls).toEqual([]);
        for (const [plane, got] of (await drawn(shown)).entries())
          expect(Math.abs(got - (bt709(colour)[plane] ?? 0)), `${colour} plane ${plane}`).toBeLessThan(3);
      }
    });

  test("passes what needs nothing untouched, without a copy", () => {
    using treatment = new PictureTreatment("frame");
    const picture = decoded([150, 128, 128], AVCOL_SPC_BT709);
    const [frame] = treatment.apply(picture);
    expect(frame).toBe(picture.frame);
    frame?.[Symbol.dispose]();
  });

  test("shows a matrix that nothing reads, and says so", async () => {
    using treatment = new PictureTreatment("frame");
    const [frame] = treatment.apply(decoded([150, 90, 180], AVCOL_SPC_IPT_C2));
    using shown = frame as NativeFrame;
    expect(shown.shortfalls).toEqual(["matrixUnknown"]);
    expect(await drawn(shown)).toEqual([150, 90, 180]);
  });

  test("says it of HDR too, which is tone-mapped all the same", async () => {
    using treatment = new PictureTreatment("frame");
    const picture = decoded([150, 128, 128], AVCOL_SPC_IPT_C2, { hdr: true });
    picture.frame.raw.colorTrc = AVCOL_TRC_SMPTE2084;
    const [frame] = await treatment.applyAsync(picture);
    using shown = frame as NativeFrame;
    expect(shown.shortfalls).toEqual(["matrixUnknown"]);
    expect(treatment.counts).toMatchObject({ toneMapped: 1, untreated: 0 });
  });

  test("hands on what libavfilter refuses, and says what was not done", async () => {
    using treatment = new PictureTreatment("frame");
    for (let i = 0; i < 3; i++) {
      const picture = decoded([150, 128, 128], AVCOL_SPC_BT709, { hdr: true, alpha: true });
      picture.frame.raw.format = AV_PIX_FMT_VAAPI; // As if its pixels were on a device.
      const [frame] = await treatment.applyAsync(picture);
      expect(frame?.shortfalls).toEqual(["hdrClipped", "alphaIgnored"]);
      frame?.[Symbol.dispose]();
    }
    expect(treatment.counts).toEqual({ deinterlaced: 0, toneMapped: 0, untreated: 3 });
  });

  test("loses one picture where a filter fails on its way, and shows those like it as they are", async () => {
    using treatment = new PictureTreatment("frame");
    const shown: number[] = [];
    for (const run of ["apply", "applyAsync", "applyAsync"] as const) {
      // zimg refuses odd sizes of 4:2:0, and only when it sees them.
      const frames = await treatment[run](decoded([150, 128, 128], AVCOL_SPC_YCGCO, {}, 63));
      shown.push(frames.length);
      for (const frame of frames) {
        expect(frame.shortfalls).toEqual(["matrixUnknown"]);
        frame[Symbol.dispose]();
      }
    }
    expect(shown).toEqual([0, 1, 1]);
    expect(treatment.counts.untreated).toBe(3);
  });

  test("does the same on the pool as on the calling thread", async () => {
    const results: number[][] = [];
    for (const run of ["apply", "applyAsync"] as const) {
      using treatment = new PictureTreatment("field");
      for (let i = 0; i < 4; i++) {
        const picture = decoded([100 + i, 128, 128], AVCOL_SPC_BT709, { interlaced: true });
        using frame = picture.frame;
        frame.raw.flags = (frame.raw.flags | AV_FRAME_FLAG_INTERLACED) as AVFrameFlag;
        const timed = frame.retimed({ ...frame, ptsUs: us(i * 40_000), durationUs: us(40_000) });
        for (const frame of await treatment[run]({ ...picture, frame: timed })) {
          results.push([run === "apply" ? 0 : 1, frame.ptsUs, frame.raw.data?.[0]?.[0] ?? -1]);
          frame[Symbol.dispose]();
        }
      }
      for (const frame of treatment.flush()) frame[Symbol.dispose]();
    }
    const [here, onPool] = [0, 1].map((which) => results.filter(([one]) => one === which));
    expect(here?.length).toBeGreaterThan(4);
    expect(onPool?.map((row) => row.slice(1))).toEqual(here?.map((row) => row.slice(1)));
  });
});
