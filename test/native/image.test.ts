import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { encodeStill, renderImage } from "../../src/native/image.ts";
import { Picture } from "../../src/native/picture.ts";
import { at } from "./drawing.ts";

const RED = { y: 63, u: 102, v: 240 };
const BLUE = { y: 32, u: 240, v: 118 };

/** Red, and from `x` on blue. */
function halves(widthPx: number, heightPx: number, x: number): Picture {
  const picture = Picture.solid(widthPx, heightPx, RED);
  for (const [plane, value] of [BLUE.y, BLUE.u, BLUE.v].entries()) {
    const [shift, stride = 0] = [plane === 0 ? 0 : 1, picture.strides[plane]];
    for (let row = 0; row < heightPx >> shift; row++)
      picture.planes[plane]?.fill(value, row * stride + (x >> shift), row * stride + (widthPx >> shift));
  }
  return picture;
}

/** The processor time that this thread alone spends until `work` is done. */
async function threadMs(work: () => Promise<Disposable | Uint8Array>): Promise<number> {
  const before = process.threadCpuUsage();
  const made = await work();
  const { user, system } = process.threadCpuUsage(before);
  if (Symbol.dispose in made) made[Symbol.dispose]();
  return (user + system) / 1000;
}

describe("a still", () => {
  for (const widthPx of [320, 322, 334])
    test(`of ${widthPx} pixels a row has them all where they were`, async () => {
      using picture = halves(widthPx, 182, 160);
      const png = await encodeStill(picture, "png");
      const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
      expect([info.format, info.width, info.height, info.channels]).toEqual(["raw", widthPx, 182, 3]);
      const pixel = (x: number, y: number): number[] => [
        ...data.subarray((y * widthPx + x) * 3).subarray(0, 3),
      ];
      for (const y of [0, 90, 181]) {
        for (const x of [0, 150]) expectNear(pixel(x, y), [255, 0, 0]);
        for (const x of [170, widthPx - 1]) expectNear(pixel(x, y), [0, 0, 255]);
      }
      expect((await sharp(await encodeStill(picture, "jpeg")).metadata()).width).toBe(widthPx);
    });

  test("of 4K takes next to nothing of the thread that ticks", async () => {
    using picture = halves(3840, 2160, 1600);
    await encodeStill(picture, "jpeg");
    // Converting it takes over 100 ms of a processor.
    expect(await threadMs(() => encodeStill(picture, "jpeg"))).toBeLessThan(30);
  });
});

describe("an image", () => {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="9"><rect width="16" height="9" fill="red"/></svg>`;
  const options = { fit: "cover", background: "black" } as const;

  test("becomes a picture in limited BT.709", async () => {
    using picture = await renderImage(svg, { widthPx: 334, heightPx: 180 }, options);
    for (const [x, y] of [
      [0, 0],
      [333, 179],
    ] as const) {
      const yuv = [at(picture, 0, x, y), at(picture, 1, x >> 1, y >> 1), at(picture, 2, x >> 1, y >> 1)];
      expectNear(yuv, [RED.y, RED.u, RED.v]);
    }
  });

  test("of 4K takes little of the thread that ticks", async () => {
    const render = () => renderImage(svg, { widthPx: 3840, heightPx: 2160 }, options);
    (await render())[Symbol.dispose]();
    expect(await threadMs(render)).toBeLessThan(30);
  });
});

function expectNear(got: number[], want: number[]): void {
  for (const [index, value] of want.entries())
    expect(Math.abs((got[index] ?? -100) - value), `${got} instead of ${want}`).toBeLessThanOrEqual(2);
}
