import { AVCOL_SPC_YCGCO } from "node-av";
import { describe, expect, test } from "vitest";
import { Picture } from "../../src/native/picture.ts";
import { Scaler } from "../../src/native/scaler.ts";
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
    frame.raw.colorSpace = AVCOL_SPC_YCGCO;
    using target = Picture.solid(32, 32, { y: 99, u: 128, v: 128 });
    for (let i = 0; i < 3; i++) await expect(scaler.scale(frame.raw, target, true)).rejects.toThrow();
    using good = frameOf(64, 64, gray);
    await scaler.scale(good.raw, target, true);
    expect(at(target, 0, 16, 16)).toBe(150);
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
      await scaler.scale(frame.raw, target, side === 128);
      expect([...new Set(luma(target))]).toEqual([value]);
    }
  });
});
