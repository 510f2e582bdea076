import {
  AV_PIX_FMT_VAAPI,
  AVCOL_RANGE_JPEG,
  AVCOL_RANGE_MPEG,
  AVCOL_SPC_BT2020_NCL,
  AVCOL_SPC_FCC,
  AVCOL_SPC_ICTCP,
  AVCOL_SPC_IPT_C2,
  AVCOL_SPC_RESERVED,
  AVCOL_SPC_SMPTE170M,
  AVCOL_SPC_SMPTE240M,
  AVCOL_SPC_YCGCO,
  type Frame,
} from "node-av";
import { describe, expect, test } from "vitest";
import { MediaGraph } from "../../src/native/media-graph.ts";
import { Picture } from "../../src/native/picture.ts";
import { type ScaleJob, Scaler } from "../../src/native/scaler.ts";
import { at, frameOf, luma } from "./drawing.ts";

const job = {
  crop: { x: 0, y: 0, width: 64, height: 64 },
  orientation: { rotate: 0, mirror: false },
  widthPx: 32,
  heightPx: 32,
} as const;
const gray = (_x: number, _y: number, plane: number): number => (plane === 0 ? 150 : 128);

describe("a scaler", () => {
  test("refuses what it cannot convert every time, and never calls a picture drawn that it left as it was", async () => {
    using scaler = new Scaler(job);
    using frame = frameOf(64, 64, gray);
    frame.raw.format = AV_PIX_FMT_VAAPI; // As if its pixels were on a device.
    using target = Picture.solid(32, 32, { y: 99, u: 128, v: 128 });
    for (let i = 0; i < 3; i++) await expect(scaler.scale(frame.raw, target, "caller")).rejects.toThrow();
    using good = frameOf(64, 64, gray);
    await scaler.scale(good.raw, target, "caller");
    expect(at(target, 0, 16, 16)).toBe(150);
  });

  for (const colorSpace of [AVCOL_SPC_RESERVED, AVCOL_SPC_YCGCO, AVCOL_SPC_ICTCP, AVCOL_SPC_IPT_C2])
    test(`shows a matrix that swscale does not read, number ${colorSpace}, as if it were BT.709`, async () => {
      using scaler = new Scaler(job);
      using frame = frameOf(64, 64, (_x, _y, plane) => [150, 90, 180][plane] ?? 0);
      frame.raw.colorSpace = colorSpace;
      using target = Picture.solid(32, 32, { y: 99, u: 128, v: 128 });
      await scaler.scale(frame.raw, target, "pool");
      for (const [plane, want] of [150, 90, 180].entries())
        expect(Math.abs(at(target, plane, 8, 8) - want)).toBeLessThanOrEqual(1);
    });

  const large = { crop: { x: 0, y: 0, width: 1920, height: 1080 }, widthPx: 1280, heightPx: 720 };
  const conversions: readonly { name: string; job: ScaleJob; format: string; matrix: string }[] = [
    { name: "turned", job: turned(large, 90), format: "yuv420p", matrix: "bt709" },
    { name: "10 bit", job: turned(large, 0), format: "yuv420p10le", matrix: "bt709" },
    { name: "4:4:4", job: turned(large, 0), format: "yuv444p", matrix: "bt709" },
    { name: "BT.601", job: turned(large, 0), format: "yuv420p", matrix: "smpte170m" },
  ];
  for (const { name, job: wanted, format, matrix } of conversions)
    test(`converts on the pool what must be converted, to the very same picture: ${name}`, async () => {
      using frame = testPicture(format, matrix);
      using scaler = new Scaler(wanted);
      using here = Picture.solid(wanted.widthPx, wanted.heightPx, { y: 1, u: 1, v: 1 });
      using onPool = Picture.solid(wanted.widthPx, wanted.heightPx, { y: 2, u: 2, v: 2 });
      await scaler.scale(frame, here, "caller");
      const [all, own] = [process.cpuUsage(), process.threadCpuUsage()];
      for (let i = 0; i < 30; i++) await scaler.scale(frame, onPool, "pool");
      const [allUs, ownUs] = [process.cpuUsage(all).user, process.threadCpuUsage(own).user];
      expect(Buffer.compare(luma(onPool), luma(here))).toBe(0);
      expect(ownUs).toBeLessThan(allUs / 2);
    });

  const matrices = [
    { name: "BT.601", colorSpace: AVCOL_SPC_SMPTE170M, kr: 0.299, kb: 0.114 },
    { name: "SMPTE 240M", colorSpace: AVCOL_SPC_SMPTE240M, kr: 0.212, kb: 0.087 },
    { name: "FCC", colorSpace: AVCOL_SPC_FCC, kr: 0.3, kb: 0.11 },
    { name: "BT.2020", colorSpace: AVCOL_SPC_BT2020_NCL, kr: 0.2627, kb: 0.0593 },
  ] as const;
  const red = [0.8, 0.125, 0.125] as const;
  for (const { name, colorSpace, kr, kb } of matrices)
    for (const full of [false, true])
      test(`takes ${name}, ${full ? "full" : "limited"} range, to the colours of BT.709 by definition`, async () => {
        using scaler = new Scaler({ ...job, orientation: { rotate: 90, mirror: false } });
        const pixel = quantized(red, kr, kb, full);
        using frame = frameOf(64, 64, (_x, _y, plane) => Math.round(pixel[plane] ?? 0));
        frame.raw.colorSpace = colorSpace;
        frame.raw.colorRange = full ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
        using target = Picture.solid(32, 32, { y: 99, u: 128, v: 128 });
        await scaler.scale(frame.raw, target, "pool");
        for (const [plane, want] of quantized(red, 0.2126, 0.0722, false).entries())
          expect(Math.abs(at(target, plane, 8, 8) - want), `plane ${plane}`).toBeLessThan(1.3);
      });

  test("follows a source that changes size and colour in the middle", async () => {
    using scaler = new Scaler(job);
    using target = Picture.solid(32, 32, { y: 99, u: 128, v: 128 });
    for (const [side, value] of [
      [64, 50],
      [128, 90],
      [64, 200],
    ] as const) {
      using frame = frameOf(side, side, (_x, _y, plane) => (plane === 0 ? value : 128));
      await scaler.scale(frame.raw, target, side === 128 ? "caller" : "pool");
      expect([...new Set(luma(target))]).toEqual([value]);
    }
  });
});

/** Y, Cb and Cr of 8 bits (ITU-T H.273 §8.3), not rounded, of a colour from 0 to 1. */
function quantized(rgb: readonly [number, number, number], kr: number, kb: number, full: boolean): number[] {
  const [r, g, b] = rgb;
  const y = kr * r + (1 - kr - kb) * g + kb * b;
  const [offset, luma, chroma] = full ? [0, 255, 255] : [16, 219, 224];
  const differences = [(b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))];
  return [offset + luma * y, ...differences.map((one) => 128 + chroma * one)];
}

function turned(job: Omit<ScaleJob, "orientation">, rotate: 0 | 90): ScaleJob {
  return { ...job, orientation: { rotate, mirror: false } };
}

/** A 1080p picture full of things; the caller frees it. */
function testPicture(format: string, matrix: string): Frame {
  const chain = `testsrc2=size=1920x1080,format=${format},setparams=colorspace=${matrix}:range=tv[out]`;
  using graph = new MediaGraph(chain, []);
  const frame = graph.pull();
  if (frame === undefined) throw new Error("no test picture");
  return frame;
}
