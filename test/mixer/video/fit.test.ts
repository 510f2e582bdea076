import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fitInto, type StoredShape } from "../../../src/mixer/video/fit.ts";

const plain = { fit: "cover", rotate: 0, mirror: false } as const;
const source = (widthPx: number, heightPx: number, more: Partial<StoredShape> = {}): StoredShape => ({
  widthPx,
  heightPx,
  pixelAspect: 1,
  orientation: { rotate: 0, mirror: false },
  ...more,
});
const cell = { x: 100, y: 50, width: 640, height: 360 };

describe("fitInto", () => {
  const cases = [
    {
      name: "cover keeps a picture of the same shape whole",
      from: source(1280, 720),
      look: plain,
      crop: [0, 0, 1280, 720],
      rect: [100, 50, 640, 360],
    },
    {
      name: "cover stretches by under 1 % rather than cut a row",
      from: source(1280, 724),
      look: plain,
      crop: [0, 0, 1280, 724],
      rect: [100, 50, 640, 360],
    },
    {
      name: "cover cuts 4:3 above and below",
      from: source(640, 480),
      look: plain,
      crop: [0, 60, 640, 360],
      rect: [100, 50, 640, 360],
    },
    {
      name: "cover cuts 21:9 left and right",
      from: source(1680, 720),
      look: plain,
      crop: [200, 0, 1280, 720],
      rect: [100, 50, 640, 360],
    },
    {
      name: "contain shows 4:3 between bars",
      from: source(640, 480),
      look: { ...plain, fit: "contain" },
      crop: [0, 0, 640, 480],
      rect: [180, 50, 480, 360],
    },
    {
      name: "contain shows 21:9 under bars",
      from: source(1680, 720),
      look: { ...plain, fit: "contain" },
      crop: [0, 0, 1680, 720],
      rect: [100, 92, 640, 274],
    },
    {
      name: "fill stretches",
      from: source(640, 480),
      look: { ...plain, fit: "fill" },
      crop: [0, 0, 640, 480],
      rect: [100, 50, 640, 360],
    },
    {
      name: "anamorphic pixels count: 720x576 at 64:45 is 16:9",
      from: source(720, 576, { pixelAspect: 64 / 45 }),
      look: plain,
      crop: [0, 0, 720, 576],
      rect: [100, 50, 640, 360],
    },
    {
      name: "a phone's upright video stored lying down is cut upright",
      from: source(1280, 720, { orientation: { rotate: 90, mirror: false } }),
      look: plain,
      crop: [438, 0, 404, 720],
      rect: [100, 50, 640, 360],
    },
  ] as const;
  for (const { name, from, look, crop, rect } of cases) {
    test(name, () => {
      const fitted = fitInto(cell, from, look);
      const { x, y, width, height } = fitted.crop;
      expect([x, y, width, height]).toEqual(crop);
      expect([fitted.rect.x, fitted.rect.y, fitted.rect.width, fitted.rect.height]).toEqual(rect);
    });
  }

  test("the operator's crop of a turned picture is cut where it was seen", () => {
    const turned = source(1000, 500, { orientation: { rotate: 90, mirror: false } });
    const fitted = fitInto(cell, turned, { ...plain, fit: "fill" }, { x: 0, y: 0, width: 1, height: 0.5 });
    // The upper half of the upright picture is the left half of the stored one.
    expect(fitted.crop).toEqual({ x: 0, y: 0, width: 500, height: 500 });
  });

  test("whatever the shapes, the crop lies inside the source and the rectangle inside the cell", () => {
    const side = fc.integer({ min: 2, max: 4000 });
    const even = fc.integer({ min: 1, max: 400 }).map((half) => half * 2);
    const turn = fc.constantFrom<0 | 90 | 180 | 270>(0, 90, 180, 270);
    fc.assert(
      fc.property(
        side,
        side,
        even,
        even,
        turn,
        fc.boolean(),
        fc.constantFrom("cover", "contain", "fill"),
        (w, h, cw, ch, rotate, mirror, fit) => {
          const into = { x: 10, y: 20, width: cw, height: ch };
          const { crop, rect } = fitInto(into, source(w, h, { orientation: { rotate, mirror } }), {
            fit: fit as "cover",
            rotate: 0,
            mirror: false,
          });
          expect(crop.x >= 0 && crop.y >= 0 && crop.width > 0 && crop.height > 0).toBe(true);
          expect(crop.x + crop.width <= w && crop.y + crop.height <= h).toBe(true);
          expect(rect.width > 0 && rect.height > 0 && rect.width % 2 === 0 && rect.height % 2 === 0).toBe(
            true,
          );
          expect(
            rect.x >= 10 && rect.y >= 20 && rect.x + rect.width <= 10 + cw && rect.y + rect.height <= 20 + ch,
          ).toBe(true);
        },
      ),
      { seed: 7, numRuns: 2000 },
    );
  });
});
