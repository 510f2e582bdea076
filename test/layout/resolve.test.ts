import { describe, expect, test } from "vitest";
import type { LayoutSource } from "../../src/layout/arrangement.ts";
import { canvasShape, chooseArrangement } from "../../src/layout/arrangement.ts";
import { type Resolved, resolve } from "../../src/layout/resolve.ts";
import { boxes, documentOf, people, person, place, shipped, who } from "./people.ts";

const strip = documentOf({
  slots: [
    { id: "main", x: 0, y: 0, width: 1, height: "4/5", take: "speaker" },
    { id: "s1", x: 0, y: "4/5", width: "1/3", height: "1/5" },
    { id: "s2", x: "1/3", y: "4/5", width: "1/3", height: "1/5" },
    { id: "s3", x: "2/3", y: "4/5", width: "1/3", height: "1/5" },
  ],
});

/** A row of slots `n1` to `n{count}`, all `next`. */
const row = (count: number) =>
  documentOf({
    slots: Array.from({ length: count }, (_, index) => ({
      id: `n${index + 1}`,
      x: `${index}/${count}`,
      y: 0,
      width: `1/${count}`,
      height: 1,
    })),
  });

interface Scene {
  readonly sources: readonly LayoutSource[];
  readonly speaker?: string | null;
  readonly assign?: Readonly<Record<string, string>>;
}

/** Plays scenes one after another, each knowing the one before; answers who is where at the end of each. */
function play(document: Parameters<typeof place>[0]["document"], scenes: readonly Scene[]) {
  let last: Resolved | undefined;
  return scenes.map(({ sources, speaker = null, assign = {} }) => {
    last = place({ document, sources, speaker, assign, previous: last?.occupancy });
    return who(last.placements);
  });
}

describe("shipped layouts, rectangles by hand", () => {
  const cases = [
    {
      layout: "speaker",
      count: 3,
      size: [1280, 720],
      speaker: "a2",
      want: ["main=a2 0,0 1280x720"],
    },
    { layout: "speaker", count: 3, size: [720, 1280], speaker: null, want: ["main=a1 0,0 720x1280"] },
    { layout: "speaker-strip", count: 1, size: [1280, 720], speaker: null, want: ["main=a1 0,0 1280x720"] },
    {
      layout: "speaker-strip",
      count: 4,
      size: [1280, 720],
      speaker: "a3",
      want: [
        "main=a3 128,0 1024x576",
        ...["tile-1=a1 256,576 256x144", "tile-2=a2 512,576 256x144", "tile-3=a4 768,576 256x144"],
      ],
    },
    {
      layout: "speaker-strip",
      count: 9,
      size: [1280, 720],
      speaker: "a1",
      want: [
        "main=a1 80,0 1120x630",
        ...["tile-1=a2 0,630 160x90", "tile-2=a3 160,630 160x90", "tile-3=a4 320,630 160x90"],
        ...["tile-4=a5 480,630 160x90", "tile-5=a6 640,630 160x90", "tile-6=a7 800,630 160x90"],
        ...["tile-7=a8 960,630 160x90", "tile-8=a9 1120,630 160x90"],
      ],
    },
    {
      // 1280 * 81/256 = 405 -> 406; 874 left, of which 2 * 405 are tiles
      layout: "speaker-strip",
      count: 3,
      size: [720, 1280],
      speaker: "a1",
      want: ["main=a1 0,0 720x406", "tile-1=a2 0,438 720x406", "tile-2=a3 0,844 720x404"],
    },
    { layout: "side-by-side", count: 1, size: [1280, 720], speaker: null, want: ["left=a1 0,0 1280x720"] },
    {
      layout: "side-by-side",
      count: 2,
      size: [854, 480],
      speaker: "a2",
      want: ["left=a1 0,0 428x480", "right=a2 428,0 426x480"],
    },
    {
      layout: "side-by-side",
      count: 5,
      size: [720, 1280],
      speaker: null,
      want: ["left=a1 0,0 720x640", "right=a2 0,640 720x640"],
    },
    {
      layout: "pip",
      count: 2,
      size: [1280, 720],
      speaker: null,
      want: ["main=a1 0,0 1280x720", "inset=a2 934,504 320x180"],
    },
    {
      layout: "screen-share",
      count: 2,
      size: [1280, 720],
      speaker: null,
      screen: true,
      want: ["screen=a2 0,0 1024x720", "tile-1=a1 1024,288 256x144"],
    },
    { layout: "audio-only", count: 0, size: [1280, 720], speaker: null, want: [] },
  ];
  test.each(cases)("$layout, $count on $size", ({ layout, count, size, speaker, want, screen }) => {
    const [width = 0, height = 0] = size;
    const sources = people(count).map((one, index) =>
      screen === true && index === count - 1 ? { ...one, role: "screen" } : one,
    );
    const { placements } = place({ document: shipped(layout), canvas: { width, height }, sources, speaker });
    expect(boxes(placements)).toEqual(want);
  });
});

describe("which arrangement", () => {
  const document = shipped("screen-share");
  const name = (count: number, size: [number, number], screen: boolean) => {
    const sources = people(count).map((one) =>
      screen && one.id === "a1" ? { ...one, role: "screen" } : one,
    );
    return chooseArrangement(document, { width: size[0], height: size[1] }, sources).name;
  };
  test("by screen, count and canvas", () => {
    expect(name(3, [1280, 720], false)).toBe("people");
    expect(name(1, [1280, 720], true)).toBe("screen alone");
    expect(name(3, [1280, 720], true)).toBe("screen");
    expect(name(3, [720, 1280], true)).toBe("portrait");
    expect(name(3, [720, 720], true)).toBe("square");
  });

  test("the last one if none matches", () => {
    const only = { sources: [1, 1], slots: [{ id: "one", x: 0, y: 0, width: 1, height: 1 }] };
    const { placements } = place({ document: documentOf(only), sources: people(4) });
    expect(who(placements)).toEqual({ one: "a1" });
  });

  test("wide, upright and square", () => {
    const shape = (width: number, height: number) => canvasShape({ width, height });
    expect([shape(1280, 720), shape(640, 480), shape(1280, 1024), shape(2560, 1080)]).toEqual(
      Array(4).fill("16:9"),
    );
    expect([shape(720, 1280), shape(480, 640)]).toEqual(["9:16", "9:16"]);
    expect([shape(720, 720), shape(800, 720)]).toEqual(["1:1", "1:1"]);
  });
});

describe("who takes a slot", () => {
  test("by priority, then by order of joining", () => {
    const sources = [
      person("a3"),
      person("a1"),
      person("b2", { priority: 5 }),
      person("c9", { priority: -1 }),
    ];
    expect(play(row(4), [{ sources }])).toEqual([{ n1: "b2", n2: "a1", n3: "a3", n4: "c9" }]);
  });

  test("sound alone takes none, a card does", () => {
    const sources = [person("a1", { hasVideo: false }), person("a2", { hasVideo: false, card: true })];
    expect(play(row(2), [{ sources }])).toEqual([{ n1: "a2", n2: null }]);
  });

  test("pins go before order, assignments before pins, and nobody is shown twice", () => {
    const document = documentOf({
      slots: ["next", { source: "a2" }, { role: "host" }, "screen", "empty", "next", { source: "a2" }].map(
        (take, index) => ({ id: `p${index}`, x: 0, y: `${index}/7`, width: 1, height: "1/7", take }),
      ),
    });
    const sources = [...people(3), person("h4", { role: "host" }), person("x5", { role: "screen" })];
    expect(play(document, [{ sources }])).toEqual([
      { p0: "a1", p1: "a2", p2: "h4", p3: "x5", p4: null, p5: "a3", p6: null },
    ]);
    expect(play(document, [{ sources, assign: { p5: "a2", p4: "h4", p0: "empty" } }])).toEqual([
      { p0: null, p1: null, p2: null, p3: "x5", p4: "h4", p5: "a2", p6: null },
    ]);
  });

  test("a pinned slot stays empty until its source is there; an assignment may name a source without picture", () => {
    const sources = people(2);
    expect(play(row(2), [{ sources, assign: { n1: "nobody" } }])).toEqual([{ n1: null, n2: "a1" }]);
    const silent = [...sources, person("q7", { hasVideo: false })];
    expect(play(row(2), [{ sources: silent, assign: { n1: "q7" } }])).toEqual([{ n1: "q7", n2: "a1" }]);
  });

  test("names that every object has are no assignments", () => {
    const slot = { id: "constructor", x: 0, y: 0, width: 1, height: 1 };
    expect(play(documentOf({ slots: [slot] }), [{ sources: people(1) }])).toEqual([{ constructor: "a1" }]);
  });

  test("tiles can be assigned and locked too; a locked tile makes the grid one larger", () => {
    const [first, second] = play(documentOf({ grid: {} }), [
      { sources: people(3), assign: { "tile-1": "a3" } },
      { sources: people(3), assign: { "tile-1": "empty" } },
    ]);
    expect(first).toEqual({ "tile-1": "a3", "tile-2": "a1", "tile-3": "a2" });
    expect(second).toEqual({ "tile-1": null, "tile-2": "a1", "tile-3": "a2", "tile-4": "a3" });
  });
});

describe("a grid has room for all that is assigned to its tiles", () => {
  const both = documentOf({
    slots: [{ id: "main", x: 0, y: 0, width: 1, height: "1/2" }],
    grid: { y: "1/2", maxTiles: 3 },
  });
  const sources = people(3);
  const cases: [name: string, assign: Record<string, string>, want: Record<string, string | null>][] = [
    ["nothing assigned", {}, { main: "a1", "tile-1": "a2", "tile-2": "a3" }],
    ["the first to a tile", { "tile-1": "a1" }, { main: "a2", "tile-1": "a1", "tile-2": "a3" }],
    [
      "one who is not there",
      { "tile-1": "zz" },
      { main: "a1", "tile-1": null, "tile-2": "a2", "tile-3": "a3" },
    ],
    [
      "one without picture",
      { "tile-2": "q9" },
      { main: "a1", "tile-1": "a2", "tile-2": "q9", "tile-3": "a3" },
    ],
    [
      "one to two tiles",
      { "tile-1": "a3", "tile-2": "a3" },
      { main: "a1", "tile-1": "a3", "tile-2": null, "tile-3": "a2" },
    ],
    ["beyond the grid", { "tile-3": "a1" }, { main: "a1", "tile-1": "a2", "tile-2": "a3" }],
    ["beyond maxTiles", { "tile-9": "a1" }, { main: "a1", "tile-1": "a2", "tile-2": "a3" }],
    [
      "all locked",
      { "tile-1": "empty", "tile-2": "empty", "tile-3": "empty" },
      { main: "a1", "tile-1": null, "tile-2": null, "tile-3": null },
    ],
  ];
  test.each(cases)("%s", (_name, assign, want) => {
    const silent = person("q9", { hasVideo: false });
    expect(play(both, [{ sources: [...sources, silent], assign }])).toEqual([want]);
  });
});

describe("nobody moves who need not", () => {
  test("a new speaker and the last one change places", () => {
    const sources = people(4);
    expect(
      play(strip, [
        { sources, speaker: "a1" },
        { sources, speaker: "a3" },
        { sources, speaker: null },
        { sources, speaker: "a4" },
      ]),
    ).toEqual([
      { main: "a1", s1: "a2", s2: "a3", s3: "a4" },
      { main: "a3", s1: "a2", s2: "a1", s3: "a4" },
      { main: "a3", s1: "a2", s2: "a1", s3: "a4" },
      { main: "a4", s1: "a2", s2: "a1", s3: "a3" },
    ]);
  });

  test("a speaker who was not seen takes the last one's place, and that one leaves the picture", () => {
    const sources = people(6);
    expect(
      play(strip, [
        { sources, speaker: "a1" },
        { sources, speaker: "a6" },
      ])[1],
    ).toEqual({
      main: "a6",
      s1: "a2",
      s2: "a3",
      s3: "a4",
    });
  });

  test("a gap is closed by the first who waits", () => {
    const all = people(5);
    expect(play(row(3), [{ sources: all }, { sources: all.filter(({ id }) => id !== "a1") }])[1]).toEqual({
      n1: "a4",
      n2: "a2",
      n3: "a3",
    });
  });

  test("where nobody waits, the one on the last seat closes the gap", () => {
    const all = people(4);
    expect(
      play(documentOf({ grid: {} }), [{ sources: all }, { sources: all.filter(({ id }) => id !== "a2") }])[1],
    ).toEqual({ "tile-1": "a1", "tile-2": "a4", "tile-3": "a3" });
  });

  test("who comes back finds the picture as it was, also under a new number", () => {
    const all = people(4);
    const without = all.filter(({ id }) => id !== "a2");
    const again = [...without, person("a2", { joined: 99 })];
    const [before, , after] = play(row(4), [{ sources: all }, { sources: without }, { sources: again }]);
    expect(after).toEqual(before);
  });

  test("who comes back after others did something else is a newcomer", () => {
    const all = people(4);
    const without = all.filter(({ id }) => id !== "a2");
    const changed = [{ sources: all }, { sources: without }, { sources: without, speaker: "a3" }];
    expect(play(strip, [...changed, { sources: [...without, person("a2")], speaker: "a3" }])).toEqual([
      { main: "a1", s1: "a2", s2: "a3", s3: "a4" },
      { main: "a1", s1: "a4", s2: "a3", s3: null },
      { main: "a3", s1: "a4", s2: "a1", s3: null },
      { main: "a3", s1: "a4", s2: "a1", s3: "a2" },
    ]);
  });

  test("a newcomer of higher priority takes the first seat, and one moves for it", () => {
    const sources = people(3);
    const [, after] = play(row(4), [{ sources }, { sources: [...sources, person("v9", { priority: 1 })] }]);
    expect(after).toEqual({ n1: "v9", n2: "a2", n3: "a3", n4: "a1" });
  });

  test("a second screen waits until the first has gone", () => {
    const document = documentOf({ slots: [{ id: "s", x: 0, y: 0, width: 1, height: 1, take: "screen" }] });
    const [one, two] = [person("x2", { role: "screen" }), person("x1", { role: "screen" })];
    expect(play(document, [{ sources: [one] }, { sources: [one, two] }, { sources: [two] }])).toEqual([
      { s: "x2" },
      { s: "x2" },
      { s: "x1" },
    ]);
  });
});

describe("how a tile looks", () => {
  const look = (slot: object, more: object = {}, speaker: string | null = null) =>
    place({
      document: documentOf({ slots: [{ id: "a", x: 0, y: 0, width: "1/2", height: 1, ...slot }] }, more),
      sources: [person("a1", { name: "Ada <b>", role: "host" })],
      speaker,
    }).placements[0];

  test("plain by default", () => {
    expect(look({})).toEqual({
      ...{ slot: "a", source: "a1", x: 0, y: 0, width: 640, height: 720, z: 0 },
      ...{ fit: "cover", opacity: 1, rotate: 0, mirror: false, radius: 0 },
      ...{ border: null, label: null, fallback: "avatar" },
    });
  });

  test("the slot goes before the defaults, null takes a default away", () => {
    const defaults = {
      fit: "contain",
      radius: 0.02,
      label: { text: "{name}" },
      border: { width: 0.01, color: "#fff" },
    };
    expect(look({ fit: "fill", label: null }, { defaults, fallback: "card" })).toMatchObject({
      fit: "fill",
      radius: 14,
      label: null,
      border: { width: 7, color: "#fff" },
      fallback: "card",
    });
  });

  test("a label is filled in, and markup in a name stays text", () => {
    expect(look({ label: { text: "{index}. {name} ({role})", at: "top" } })?.label).toEqual({
      text: "1. Ada <b> (host)",
      at: "top",
      color: "#ffffff",
      background: "#00000080",
      size: 22,
    });
  });

  test("the border takes its speaking colour while its source speaks", () => {
    const border = { width: 0.01, color: "#000000", speaking: "#2dd4bf" };
    expect(look({ border })?.border?.color).toBe("#000000");
    expect(look({ border }, {}, "a1")?.border?.color).toBe("#2dd4bf");
  });

  test("corners are never rounder than the tile", () => {
    expect(look({ radius: 0.5, width: 0.1, height: 0.1 })?.radius).toBe(36);
  });

  test("drawing order is z, then the order of the document", () => {
    const slots = [{ id: "top", z: 1 }, { id: "first" }, { id: "second" }, { id: "under", z: -1 }].map(
      (one) => ({ x: 0, y: 0, width: 1, height: 1, ...one }),
    );
    const { placements } = place({ document: documentOf({ slots }), sources: people(4) });
    expect(placements.map(({ slot }) => slot)).toEqual(["under", "first", "second", "top"]);
  });
});

test("overlays, background and transition come along", () => {
  const document = documentOf(
    { grid: {} },
    {
      background: { color: "#123456", image: "stage" },
      overlays: [
        { id: "logo", image: "logo", x: 0.9, y: 0.03, width: 0.08, z: 100 },
        { id: "bar", text: "Live", x: 0, y: "9/10", width: 1, height: "1/10" },
      ],
      transition: { ms: 300, easing: "ease-in-out" },
    },
  );
  const { overlays, background, transition } = place({ document });
  expect(background).toEqual({ color: "#123456", image: "stage" });
  expect(transition).toEqual({ ms: 300, easing: "ease-in-out" });
  expect(overlays.map(({ overlay, x, y, width, height, z }) => [overlay.id, x, y, width, height, z])).toEqual(
    [
      ["bar", 0, 648, 1280, 72, 0],
      ["logo", 1152, 22, 102, null, 100],
    ],
  );
});

test("an occupancy from another document, or from far away, does no harm", () => {
  const occupancy = {
    present: "",
    seating: { main: "ghost", s1: "a2", zz: "a1" },
    earlier: [],
    undone: null,
  };
  const input = { document: strip, canvas: { width: 640, height: 360 }, speaker: null, assign: {} };
  const { placements } = resolve({ ...input, sources: people(3), previous: occupancy });
  expect(who(placements)).toEqual({ main: "a1", s1: "a2", s2: "a3", s3: null });
});
