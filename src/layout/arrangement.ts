import type { Arrangement, LayoutDocument } from "./document.ts";
import type { Size } from "./grid.ts";

/** A source as the layout sees it. */
export interface LayoutSource {
  readonly id: string;
  readonly name: string;
  /** `participant`, `screen` or whatever the mix calls it. */
  readonly role: string;
  /** Higher goes first. */
  readonly priority: number;
  /** Order of joining: lower came first. */
  readonly joined: number;
  /** Has, had or announced video. */
  readonly hasVideo: boolean;
  /** Takes a slot also without video, shown as a card. */
  readonly card: boolean;
}

/** The sources that take part in the picture, best first: by priority, then by order of joining, then by id. */
export function counted(sources: readonly LayoutSource[]): readonly LayoutSource[] {
  return sources.filter((source) => source.hasVideo || source.card).sort(byRank);
}

/** Which comes first where slots are few. */
export const byRank = (a: LayoutSource, b: LayoutSource): number =>
  b.priority - a.priority || a.joined - b.joined || (a.id < b.id ? -1 : Number(a.id > b.id));

/** The first arrangement that matches; if none does, the last. */
export function chooseArrangement(
  document: LayoutDocument,
  canvas: Size,
  sources: readonly LayoutSource[],
): Arrangement {
  const { arrangements } = document;
  const shape = canvasShape(canvas);
  const match = arrangements.find(
    (one) =>
      covers(one.sources, sources.length) &&
      (one.canvas === undefined || one.canvas === shape) &&
      (one.has === undefined || sources.some(({ role }) => role === one.has)),
  );
  return match ?? (arrangements.at(-1) as Arrangement); // the schema asks for at least one
}

/** `16:9` is a quarter wider than high or more, `9:16` a quarter higher than wide or more, `1:1` what is between. */
export function canvasShape({ width, height }: Size): "16:9" | "9:16" | "1:1" {
  if (width * 4 >= height * 5) return "16:9";
  return height * 4 >= width * 5 ? "9:16" : "1:1";
}

const covers = (range: Arrangement["sources"], count: number): boolean =>
  range === undefined || (range[0] <= count && (range[1] === null || count <= range[1]));
