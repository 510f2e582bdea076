import { readFileSync } from "node:fs";
import type { LayoutSource } from "../../src/layout/arrangement.ts";
import { type LayoutDocument, parseLayout } from "../../src/layout/document.ts";
import { type Placement, type ResolveInput, resolve } from "../../src/layout/resolve.ts";

/** The layouts that INTERFACE promises. */
export const SHIPPED: readonly string[] = [
  "grid",
  "speaker",
  "speaker-strip",
  "side-by-side",
  "pip",
  "screen-share",
  "lecture",
  "interview",
  "panel",
  "vertical",
  "broadcast-lower-third",
  "audio-only",
];

export const shipped = (name: string): LayoutDocument =>
  parseLayout(JSON.parse(readFileSync(new URL(`../../layouts/${name}.json`, import.meta.url), "utf8")));

/** A camera; `joined` is the number in its id: `person("a7")` joined seventh. */
export const person = (id: string, more: Partial<LayoutSource> = {}): LayoutSource => ({
  id,
  name: id.toUpperCase(),
  role: "participant",
  priority: 0,
  joined: Number(id.replace(/\D/g, "")),
  hasVideo: true,
  card: false,
  ...more,
});

/** `a1` to `a{count}`. */
export const people = (count: number): readonly LayoutSource[] =>
  Array.from({ length: count }, (_, index) => person(`a${index + 1}`));

/** A document of this test's own, checked like any other. */
export const documentOf = (arrangement: object, more: object = {}): LayoutDocument =>
  parseLayout({ tessera: 1, name: "test", arrangements: [arrangement], ...more });

export const place = (input: Partial<ResolveInput> & Pick<ResolveInput, "document">) =>
  resolve({ canvas: { width: 1280, height: 720 }, sources: [], speaker: null, assign: {}, ...input });

/** `slot: source` for each slot, which is all that seating is about. */
export const who = (placements: readonly Placement[]): Record<string, string | null> =>
  Object.fromEntries(placements.map(({ slot, source }) => [slot, source]));

/** Rectangles as a person writes them down. */
export const boxes = (placements: readonly Placement[]): readonly string[] =>
  placements.map(({ slot, source, x, y, width, height }) => `${slot}=${source} ${x},${y} ${width}x${height}`);
