import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Rectangle } from "../../src/layout/grid.ts";
import { resolve } from "../../src/layout/resolve.ts";
import { toSvg } from "../../src/layout/svg.ts";
import { people, place, SHIPPED, shipped } from "./people.ts";

const SIZES = [
  { width: 1280, height: 720 },
  { width: 720, height: 1280 },
  { width: 720, height: 720 },
];

const overlap = (a: Rectangle, b: Rectangle): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

test("layouts/ holds the layouts that are promised, and nothing else", () => {
  const files = readdirSync(new URL("../../layouts/", import.meta.url));
  expect(files.sort()).toEqual([...SHIPPED.map((name) => `${name}.json`), "layout.schema.json"].sort());
});

describe.each(SHIPPED)("%s", (name) => {
  const document = shipped(name);

  test("is called what its file is called, and says what it is", () => {
    expect(document.name).toBe(name);
    expect(document.title).toMatch(/\w/);
    expect(document.description).toMatch(/\.$/);
  });

  const scenes = SIZES.flatMap((canvas) => [false, true].map((screen) => ({ ...canvas, screen })));
  test.each(scenes)("is whole at any count: $width x $height, screen: $screen", ({ screen, ...canvas }) => {
    const promisesScreen = screen && document.arrangements.some(({ has }) => has === "screen");
    for (const count of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 25, 49]) {
      const sources = people(count).map((one, index) =>
        screen && index === count - 1 ? { ...one, role: "screen" } : one,
      );
      const { placements } = place({ document, canvas, sources, speaker: "a1" });
      const flat = placements.filter(({ z }) => z === 0);
      const faults = [
        ...placements.filter(({ source }) => source === null).map(({ slot }) => `${slot} is a hole`),
        ...flat.flatMap((a, index) => flat.slice(index + 1).filter((b) => overlap(a, b))),
        ...(placements.length === 0 ? ["shows nobody"] : []),
        ...(promisesScreen && !placements.some(({ source }) => source === `a${count}`)
          ? ["hides the screen"]
          : []),
      ];
      expect({ count, faults }).toEqual({ count, faults: [] });
    }
  });

  test("stands with nobody there", () => {
    for (const canvas of SIZES) {
      const { placements, background } = place({ document, canvas });
      expect(placements.every(({ source }) => source === null)).toBe(true);
      expect(background.color).toMatch(/^#/);
    }
  });
});

test("an SVG of a layout holds every tile, and whatever is said in names stays text", () => {
  const names = [
    '</text><script>alert("1")</script>',
    "&amp; 'x'",
    "\u0000\ud800\u0007",
    "日本語 العربية 🙂",
    "e",
  ];
  const sources = people(5).map((one, index) => ({ ...one, name: names[index] ?? "" }));
  const canvas = { width: 1280, height: 720 };
  const svg = toSvg(resolve({ document: shipped("panel"), canvas, sources, speaker: null, assign: {} }));
  expect(svg.match(/<clipPath/g)).toHaveLength(5);
  expect(svg).not.toMatch(/<script/);
  expect(svg.isWellFormed()).toBe(true);
  expect([...svg].filter((sign) => sign < " " && sign !== "\n")).toEqual([]);
  expect(svg).toContain("日本語 العربية 🙂");
  expect(svg.replace(/xmlns="[^"]*"/, "")).not.toMatch(/https?:|href/);
});
