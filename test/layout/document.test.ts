import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LayoutInvalidError } from "../../src/core/error.ts";
import { parseLayout } from "../../src/layout/document.ts";
import { layoutJsonSchema } from "../../src/layout/json-schema.ts";
import { people, place, SHIPPED, shipped } from "./people.ts";

const slot = { id: "a", x: 0, y: 0, width: 1, height: 1 };
const withSlot = (more: object) => ({
  tessera: 1,
  name: "n",
  arrangements: [{ slots: [{ ...slot, ...more }] }],
});
const withGrid = (grid: unknown) => ({ tessera: 1, name: "n", arrangements: [{ grid }] });
const withOverlay = (overlay: object) => ({ ...withGrid({}), overlays: [overlay] });

const refusal = (value: unknown, at = ""): LayoutInvalidError => {
  try {
    parseLayout(value, at);
  } catch (error) {
    if (error instanceof LayoutInvalidError) return error;
    throw error;
  }
  throw new Error("was accepted");
};

/** INTERFACE's own example, word for word. */
const EXAMPLE = {
  tessera: 1,
  name: "speaker-strip",
  title: "Speaker with a filmstrip",
  background: { color: "#101418", image: "stage" },
  gap: 0.01,
  fallback: "avatar",
  defaults: {
    fit: "cover",
    radius: 0.02,
    border: { width: 0.004, color: "#0000", speaking: "#2dd4bf" },
    label: { text: "{name}", at: "bottom-left" },
  },
  arrangements: [
    { sources: [0, 1], slots: [{ id: "main", x: 0, y: 0, width: 1, height: 1 }] },
    {
      sources: [2, 7],
      slots: [
        { id: "main", x: 0, y: 0, width: 1, height: "4/5", take: "speaker" },
        { id: "s1", x: 0, y: "4/5", width: "1/6", height: "1/5" },
      ],
    },
    { sources: [8, null], grid: { aspect: "16/9", maxTiles: 25, lastRow: "center" } },
  ],
  overlays: [{ id: "logo", image: "logo", x: 0.9, y: 0.03, width: 0.08, z: 100 }],
  transition: { ms: 300, easing: "ease-in-out" },
};

test("a valid document comes back as it was written", () => {
  expect(parseLayout(EXAMPLE)).toEqual(EXAMPLE);
});

describe("a bad document is refused with a pointer to the fault", () => {
  const cases: [name: string, document: unknown, pointer: string, says: RegExp][] = [
    ["not an object", 7, "", /object/],
    ["nothing", undefined, "", /object/],
    ["another version", { ...EXAMPLE, tessera: 2 }, "/tessera", /1/],
    ["no name", { tessera: 1, arrangements: [{ grid: {} }] }, "/name", /string/],
    ["a name with spaces", { ...EXAMPLE, name: "a b" }, "/name", /A-Z/],
    ["a misspelt key", { ...EXAMPLE, arangements: [] }, "/arangements", /did you mean "arrangements"/],
    ["an unknown key", { ...EXAMPLE, "a/b~c": 1 }, "/a~1b~0c", /not a known key/],
    ["a misspelt key deep inside", withSlot({ widht: 1 }), "/arrangements/0/slots/0/widht", /"width"/],
    ["no arrangements", { tessera: 1, name: "n", arrangements: [] }, "/arrangements", />=1|small/i],
    [
      "an empty arrangement",
      { tessera: 1, name: "n", arrangements: [{}] },
      "/arrangements/0",
      /slots, a grid or both/,
    ],
    [
      "no slots",
      { tessera: 1, name: "n", arrangements: [{ slots: [] }] },
      "/arrangements/0",
      /slots, a grid/,
    ],
    [
      "65 arrangements",
      { tessera: 1, name: "n", arrangements: Array(65).fill({ grid: {} }) },
      "/arrangements",
      /64/,
    ],
    [
      "101 slots",
      {
        tessera: 1,
        name: "n",
        arrangements: [{ slots: Array.from({ length: 101 }, (_, i) => ({ ...slot, id: `s${i}` })) }],
      },
      "/arrangements/0/slots",
      /100/,
    ],
    ["101 tiles", withGrid({ maxTiles: 101 }), "/arrangements/0/grid/maxTiles", /100/],
    [
      "an id that stands twice",
      { tessera: 1, name: "n", arrangements: [{ slots: [slot, { ...slot, id: "b" }, slot] }] },
      "/arrangements/0/slots/2/id",
      /twice/,
    ],
    [
      "a slot named like a tile beside a grid",
      { tessera: 1, name: "n", arrangements: [{ slots: [{ ...slot, id: "tile-3" }], grid: {} }] },
      "/arrangements/0/slots/0/id",
      /grid/,
    ],
    ["a bad id", withSlot({ id: "" }), "/arrangements/0/slots/0/id", /A-Z/],
    ["beyond the right", withSlot({ x: 0.5, width: "2/3" }), "/arrangements/0/slots/0/width", /1\.1667/],
    ["beyond the bottom", withSlot({ y: "1/2", height: 0.51 }), "/arrangements/0/slots/0/height", /1\.01/],
    ["a grid beyond the canvas", withGrid({ x: 0.5, width: 0.6 }), "/arrangements/0/grid/width", /1\.1/],
    ["left of the canvas", withSlot({ x: -0.1 }), "/arrangements/0/slots/0/x", /from 0 to 1/],
    ["no size", withSlot({ width: 0 }), "/arrangements/0/slots/0/width", /from 0.005 to 1/],
    ["no size in a string", withSlot({ width: "0/5" }), "/arrangements/0/slots/0/width", /from 0.005/],
    ["divided by nothing", withSlot({ x: "1/0" }), "/arrangements/0/slots/0/x", /"1\/4"/],
    ["words for a number", withSlot({ x: "half" }), "/arrangements/0/slots/0/x", /"1\/4"/],
    ["a huge number in a string", withSlot({ x: "1".repeat(5000) }), "/arrangements/0/slots/0/x", /"1\/4"/],
    ["NaN", withSlot({ x: Number.NaN }), "/arrangements/0/slots/0/x", /from 0 to 1/],
    ["infinity", withSlot({ width: Infinity }), "/arrangements/0/slots/0/width", /from 0.005 to 1/],
    ["null for a number", withSlot({ y: null }), "/arrangements/0/slots/0/y", /from 0 to 1/],
    ["an unknown fit", withSlot({ fit: "zoom" }), "/arrangements/0/slots/0/fit", /cover/],
    ["a crooked rotation", withSlot({ rotate: 45 }), "/arrangements/0/slots/0/rotate", /./],
    ["too opaque", withSlot({ opacity: 1.5 }), "/arrangements/0/slots/0/opacity", /1/],
    ["half a depth", withSlot({ z: 0.5 }), "/arrangements/0/slots/0/z", /int/],
    ["an unknown take", withSlot({ take: "loudest" }), "/arrangements/0/slots/0/take", /./],
    ["a bad pin", withSlot({ take: { source: "a b" } }), "/arrangements/0/slots/0/take/source", /A-Z/],
    ["a colour by name", { ...EXAMPLE, background: { color: "red" } }, "/background/color", /#rgb/],
    [
      "an unknown word in a label",
      withSlot({ label: { text: "{nme}" } }),
      "/arrangements/0/slots/0/label/text",
      /\{name\}/,
    ],
    [
      "an image by address",
      { ...EXAMPLE, background: { image: "http://x/y.png" } },
      "/background/image",
      /A-Z/,
    ],
    [
      "sources the wrong way round",
      { tessera: 1, name: "n", arrangements: [{ sources: [5, 2], grid: {} }] },
      "/arrangements/0/sources",
      /above/,
    ],
    [
      "no such shape",
      { tessera: 1, name: "n", arrangements: [{ canvas: "4:3", grid: {} }] },
      "/arrangements/0/canvas",
      /16:9/,
    ],
    [
      "an overlay of two kinds",
      withOverlay({ id: "o", text: "a", image: "b", x: 0, y: 0 }),
      "/overlays/0",
      /exactly one/,
    ],
    ["an overlay of nothing", withOverlay({ id: "o", x: 0, y: 0 }), "/overlays/0", /exactly one/],
    [
      "two overlays of one name",
      {
        ...withGrid({}),
        overlays: [
          { id: "o", text: "a", x: 0, y: 0 },
          { id: "o", text: "b", x: 0, y: 0 },
        ],
      },
      "/overlays/1/id",
      /twice/,
    ],
    ["a transition of an hour", { ...EXAMPLE, transition: { ms: 3_600_000 } }, "/transition/ms", /10000/],
  ];
  test.each(cases)("%s", (_name, document, pointer, says) => {
    const error = refusal(document);
    expect(error.pointer).toBe(pointer);
    expect(error.message).toMatch(says);
    expect(error.code).toBe("ERR_LAYOUT_INVALID");
  });

  test("the pointer begins where the document lies in the request", () => {
    expect(refusal(withSlot({ x: 2 }), "/layout").pointer).toBe("/layout/arrangements/0/slots/0/x");
  });
});

test("decimals that were rounded may pass the border by a thousandth, and are cut there", () => {
  const document = parseLayout(withSlot({ x: 0.3334, width: 0.6667 }));
  const { placements } = place({ document, sources: people(1) });
  expect(placements[0]).toMatchObject({ x: 426, width: 854 });
});

test("ten thousand slots, and names without end, are refused in a moment", () => {
  const many = Array.from({ length: 10_000 }, (_, index) => ({
    ...slot,
    id: `s${index}`,
    label: { text: "x" },
  }));
  const start = performance.now();
  refusal({ tessera: 1, name: "n", arrangements: [{ slots: many }] });
  refusal({ tessera: 1, name: "x".repeat(5_000_000), arrangements: [{ grid: {} }] });
  refusal({ ...EXAMPLE, ["x".repeat(1_000_000)]: 1 });
  refusal(withSlot({ label: { text: "{".repeat(100_000) } }));
  expect(performance.now() - start).toBeLessThan(2000);
});

/** Puts `value` at the place that `steps` lead to in a copy of the document. */
function mutated(document: unknown, steps: readonly number[], value: unknown): unknown {
  const copy = structuredClone(document);
  let node = copy as Record<string, unknown>;
  for (const step of steps) {
    const keys = Object.keys(node);
    const key = keys[step % Math.max(1, keys.length)];
    if (key === undefined) break;
    const child = node[key];
    if (typeof child !== "object" || child === null || step % 3 === 0) {
      node[key] = value;
      break;
    }
    node = child as Record<string, unknown>;
  }
  return copy;
}

test("whatever is done to a document, it is refused with a pointer or gives a picture", () => {
  const value = fc.oneof(
    fc.constantFrom(
      0,
      1,
      -1,
      0.5,
      1e9,
      Number.NaN,
      "1/2",
      "5/0",
      "9/8",
      "",
      null,
      true,
      [],
      {},
      "empty",
      "screen",
    ),
    fc.double(),
    fc.string(),
    fc.json().map((text) => JSON.parse(text)),
  );
  const all = [EXAMPLE, ...SHIPPED.map(shipped)];
  let refused = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(...all),
      fc.array(fc.nat(), { minLength: 1, maxLength: 8 }),
      value,
      fc.nat(12),
      (document, steps, junk, count) => {
        const bad = mutated(document, steps, junk);
        try {
          const canvas = { width: 320, height: 180 };
          const { placements } = place({ document: parseLayout(bad), canvas, sources: people(count) });
          for (const { x, y, width, height } of placements) {
            expect([x, y, width, height].every((side) => side >= 0 && side % 2 === 0)).toBe(true);
            expect(x + width <= 320 && y + height <= 180).toBe(true);
          }
        } catch (error) {
          if (!(error instanceof LayoutInvalidError)) throw error;
          expect(error.pointer).toMatch(/^(\/|$)/);
          refused += 1;
        }
      },
    ),
    { numRuns: 4000 },
  );
  expect(refused).toBeGreaterThan(1000);
});

test("layouts/layout.schema.json is what the code checks; `node scripts/layout-schema.ts` writes it", () => {
  const file = new URL("../../layouts/layout.schema.json", import.meta.url);
  expect(JSON.parse(readFileSync(file, "utf8"))).toEqual(layoutJsonSchema());
});
