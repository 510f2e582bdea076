import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { gridCells, gridShape } from "../../src/layout/grid.ts";
import { boxes, documentOf, people, place, shipped } from "./people.ts";

/** `[last count, rows, columns]`, worked out on paper from min(W / columns, H / rows * 16 / 9). */
type Table = readonly (readonly [upTo: number, rows: number, columns: number])[];

const WIDE: Table = [
  [1, 1, 1],
  [2, 1, 2],
  [4, 2, 2],
  [6, 2, 3],
  [9, 3, 3],
  [12, 3, 4],
  [16, 4, 4],
  [20, 4, 5],
  [25, 5, 5],
  [30, 5, 6],
  [36, 6, 6],
  [42, 6, 7],
  [49, 7, 7],
  [56, 7, 8],
  [64, 8, 8],
  [72, 8, 9],
  [81, 9, 9],
  [90, 9, 10],
  [100, 10, 10],
];

const TALL: Table = [
  [1, 1, 1],
  [2, 2, 1],
  [3, 3, 1],
  [4, 4, 1],
  [5, 5, 1],
  [6, 6, 1],
  [8, 4, 2],
  [10, 5, 2],
  [12, 6, 2],
  [14, 7, 2],
  [16, 8, 2],
  [18, 9, 2],
  [21, 7, 3],
  [24, 8, 3],
  [27, 9, 3],
  [30, 10, 3],
  [33, 11, 3],
  [36, 12, 3],
  [40, 10, 4],
  [44, 11, 4],
  [48, 12, 4],
  [52, 13, 4],
  [56, 14, 4],
  [60, 15, 4],
  [65, 13, 5],
  [70, 14, 5],
  [75, 15, 5],
  [80, 16, 5],
  [85, 17, 5],
  [90, 18, 5],
  [96, 16, 6],
  [100, 17, 6],
];

const SQUARE: Table = [
  [1, 1, 1],
  [2, 2, 1],
  [3, 3, 1],
  [4, 2, 2],
  [6, 3, 2],
  [8, 4, 2],
  [10, 5, 2],
  [12, 4, 3],
  [15, 5, 3],
  [18, 6, 3],
  [20, 5, 4],
  [24, 6, 4],
  [28, 7, 4],
  [32, 8, 4],
  [35, 7, 5],
  [40, 8, 5],
  [45, 9, 5],
  [50, 10, 5],
  [54, 9, 6],
  [60, 10, 6],
  [66, 11, 6],
  [72, 12, 6],
  [77, 11, 7],
  [84, 12, 7],
  [91, 13, 7],
  [96, 12, 8],
  [100, 13, 8],
];

describe("gridShape", () => {
  const cases = [
    { width: 1280, height: 720, table: WIDE },
    { width: 1920, height: 1080, table: WIDE },
    { width: 854, height: 480, table: WIDE },
    { width: 848, height: 480, table: WIDE },
    { width: 1366, height: 768, table: WIDE },
    { width: 640, height: 360, table: WIDE },
    { width: 720, height: 1280, table: TALL },
    { width: 1080, height: 1920, table: TALL },
    { width: 720, height: 720, table: SQUARE },
  ];
  for (const { width, height, table } of cases) {
    test(`1 to 100 tiles on ${width}x${height}`, () => {
      for (let count = 1; count <= 100; count++) {
        const [, rows, columns] = table.find(([upTo]) => count <= upTo) ?? [];
        expect({ count, ...gridShape(count, { width, height }, 16 / 9) }).toEqual({ count, rows, columns });
      }
    });
  }

  test("other tile shapes", () => {
    const wide = { width: 1280, height: 720 };
    expect(gridShape(3, wide, 1)).toEqual({ rows: 1, columns: 3 });
    expect(gridShape(2, wide, 4)).toEqual({ rows: 2, columns: 1 });
    expect(gridShape(5, { width: 256, height: 720 }, 16 / 9)).toEqual({ rows: 5, columns: 1 });
    expect(gridShape(8, { width: 1280, height: 90 }, 16 / 9)).toEqual({ rows: 1, columns: 8 });
  });
});

describe("the shipped grid, by hand", () => {
  const canvas = (size: string) => {
    const [width = 0, height = 0] = size.split("x").map(Number);
    return { width, height };
  };
  const cases: { size: string; count: number; want: string[] }[] = [
    { size: "1280x720", count: 0, want: [] },
    { size: "1280x720", count: 1, want: ["0,0 1280x720"] },
    { size: "1280x720", count: 2, want: ["0,180 640x360", "640,180 640x360"] },
    { size: "1280x720", count: 3, want: ["0,0 640x360", "640,0 640x360", "320,360 640x360"] },
    {
      size: "1280x720",
      count: 4,
      want: ["0,0 640x360", "640,0 640x360", "0,360 640x360", "640,360 640x360"],
    },
    {
      size: "1280x720",
      count: 5,
      want: ["0,120 426x240", "426,120 428x240", "854,120 426x240", "214,360 426x240", "640,360 426x240"],
    },
    {
      size: "1280x720",
      count: 7,
      want: [
        ...["0,0 426x240", "426,0 428x240", "854,0 426x240"],
        ...["0,240 426x240", "426,240 428x240", "854,240 426x240"],
        "426,480 428x240",
      ],
    },
    { size: "854x480", count: 1, want: ["0,0 854x480"] },
    { size: "854x480", count: 2, want: ["0,120 428x240", "428,120 426x240"] },
    { size: "854x480", count: 3, want: ["0,0 428x240", "428,0 426x240", "214,240 426x240"] },
    { size: "848x480", count: 1, want: ["0,0 848x480"] },
    { size: "640x360", count: 2, want: ["0,90 320x180", "320,90 320x180"] },
    { size: "720x1280", count: 1, want: ["0,438 720x404"] }, // 437.5 and 842.5
    { size: "720x1280", count: 2, want: ["0,236 720x404", "0,640 720x406"] },
    { size: "720x720", count: 2, want: ["40,0 640x360", "40,360 640x360"] },
  ];
  for (const { size, count, want } of cases) {
    test(`${count} on ${size}`, () => {
      const { placements } = place({
        document: shipped("grid"),
        canvas: canvas(size),
        sources: people(count),
      });
      expect(boxes(placements)).toEqual(want.map((box, index) => `tile-${index + 1}=a${index + 1} ${box}`));
    });
  }

  test("100 on 1280x720 are ten by ten of 128x72", () => {
    const { placements } = place({ document: shipped("grid"), sources: people(100) });
    for (const [index, { x, y, width, height }] of placements.entries()) {
      expect([x, y, width, height]).toEqual([128 * (index % 10), 72 * Math.floor(index / 10), 128, 72]);
    }
    expect(placements).toHaveLength(100);
  });

  test("the hundred and first is heard, not seen", () => {
    const { placements } = place({ document: shipped("grid"), sources: people(101) });
    expect(placements.map(({ source }) => source)).not.toContain("a101");
    expect(placements).toHaveLength(100);
  });
});

describe("what a grid may ask for", () => {
  const show = (grid: object, count: number, more: object = {}) =>
    boxes(place({ document: documentOf({ grid }, more), sources: people(count) }).placements).map((box) =>
      box.replace(/^\S+ /, ""),
    );

  test("maxTiles", () => expect(show({ maxTiles: 4 }, 9)).toHaveLength(4));
  test("a last row at the left", () =>
    expect(show({ lastRow: "left" }, 3)).toEqual(["0,0 640x360", "640,0 640x360", "0,360 640x360"]));
  test("a last row that is stretched", () =>
    expect(show({ lastRow: "stretch" }, 3)).toEqual(["0,0 640x360", "640,0 640x360", "0,360 1280x360"]));
  test("tiles that fill their cells", () =>
    expect(show({ fill: true }, 2)).toEqual(["0,0 640x720", "640,0 640x720"]));
  test("a part of the canvas", () =>
    expect(show({ x: "4/5" }, 2)).toEqual(["1024,216 256x144", "1024,360 256x144"]));
  test("a gap, exact between tiles, with tiles of exactly their aspect", () =>
    // 0.0111 * 720 = 7.99 -> 8; (1280 - 8) / 2 = 636 wide, 357.75 high
    expect(show({}, 4, { gap: 0.0111 })).toEqual([
      "0,0 636x356",
      "644,0 636x356",
      "0,364 636x356",
      "644,364 636x356",
    ]));
});

test("neighbours touch, rows are centred, nothing leaves the area", () => {
  const side = fc.integer({ min: 160, max: 2048 }).map((half) => 2 * half);
  const aspect = fc.constantFrom([16, 9], [4, 3], [1, 1], [9, 16], [239, 100]);
  const lastRow = fc.constantFrom("center" as const, "left" as const, "stretch" as const);
  const gap = fc.constantFrom(0, 4, 8, 12);
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 100 }),
      side,
      side,
      aspect,
      lastRow,
      gap,
      fc.boolean(),
      (count, width, height, [num = 1, den = 1], where, gapPx, fill) => {
        const area = { x: 64, y: 32, width, height };
        const options = { aspect: { num, den }, fill, gap: gapPx, lastRow: where };
        const cells = gridCells(count, area, options);
        const { columns } = gridShape(count, area, num / den, gapPx);
        expect(cells).toHaveLength(count);
        for (const [index, one] of cells.entries()) {
          for (const value of Object.values(one)) expect(value % 2).toBe(0);
          expect(one.width).toBeGreaterThan(0);
          expect(one.height).toBeGreaterThan(0);
          expect(one.x).toBeGreaterThanOrEqual(area.x);
          expect(one.y).toBeGreaterThanOrEqual(area.y);
          expect(one.x + one.width).toBeLessThanOrEqual(area.x + width);
          expect(one.y + one.height).toBeLessThanOrEqual(area.y + height);
          const right = cells[index + 1];
          if (right !== undefined && (index + 1) % columns !== 0) expect(one.x + one.width).toBe(right.x);
          const below = cells[index + columns];
          if (below !== undefined) expect(one.y + one.height).toBe(below.y);
        }
        const first = cells[0];
        const last = cells.at(-1);
        const lastStart = cells[Math.floor((count - 1) / columns) * columns];
        if (where === "left" || first === undefined || last === undefined || lastStart === undefined) return;
        const leftRoom = lastStart.x - area.x;
        const rightRoom = area.x + width - last.x - last.width;
        expect(Math.abs(leftRoom - rightRoom)).toBeLessThanOrEqual(2);
      },
    ),
    { numRuns: 400 },
  );
});
