import { chooseArrangement, counted, type LayoutSource } from "./arrangement.ts";
import type { Grid, LayoutDocument, Overlay, Slot, SlotStyle } from "./document.ts";
import { type Axis, cell, edge, evenRound, inset, type Ratio, ratio, type Span } from "./edges.ts";
import { gridCells, type Rectangle, type Size } from "./grid.ts";
import { type Look, lookOf } from "./look.ts";
import { type Occupancy, recall, remember } from "./occupancy.ts";
import { type Seat, seat } from "./seats.ts";
import { tileCount, tileId } from "./tile-count.ts";

/** Everything that decides a picture's geometry. */
export interface ResolveInput {
  readonly document: LayoutDocument;
  /** In even pixels. */
  readonly canvas: Size;
  readonly sources: readonly LayoutSource[];
  /** Source id of who speaks, or null. */
  readonly speaker: string | null;
  /** Slot id to source id or `empty`: what the operator decided; kept while the arrangement changes. */
  readonly assign: Readonly<Record<string, string>>;
  /** What the last call returned, so that nobody moves who need not. */
  readonly previous?: Occupancy | undefined;
}

/** One slot on the canvas, its source, and how it is to look. Rectangle in even pixels, inside the canvas. */
export interface Placement extends Rectangle, Look {
  readonly slot: string;
  /** Null: the slot stays empty. */
  readonly source: string | null;
  readonly z: number;
}

/** An overlay with its rectangle in even pixels; null where the picture's or text's own size decides. */
export interface PlacedOverlay {
  readonly overlay: Overlay;
  readonly x: number;
  readonly y: number;
  readonly width: number | null;
  readonly height: number | null;
  readonly z: number;
}

/** A layout with everything decided. */
export interface Resolved {
  /** In even pixels. */
  readonly canvas: Size;
  /** In drawing order: by z, then in the order of the document. */
  readonly placements: readonly Placement[];
  readonly occupancy: Occupancy;
  /** In drawing order. */
  readonly overlays: readonly PlacedOverlay[];
  readonly background: { readonly color: string; readonly image: string | null };
  readonly transition: {
    readonly ms: number;
    readonly easing: "linear" | "ease-in" | "ease-out" | "ease-in-out";
  };
}

/**
 * Decides who is shown where. Pure: the same input gives the same output.
 *
 * Sources beyond the number of slots are heard, not seen. O(slots * sources), a fraction of a millisecond for 100.
 */
export function resolve(input: ResolveInput): Resolved {
  const { document, canvas } = input;
  const candidates = counted(input.sources);
  const arrangement = chooseArrangement(document, canvas, candidates);
  const slots = arrangement.slots ?? [];
  const people = { ...input, candidates, previous: recall(input.previous, candidates) };
  const slotSeats = slots.map(seatOf);
  const tiles = tileCount(arrangement, slotSeats, people);
  const seats = [...slotSeats, ...tileSeats(tiles)];
  const seating = seat({ ...people, seats });
  const frame = frameOf(document, canvas);
  const places = [
    ...slots.map((slot) => slotPlace(slot, frame)),
    ...gridPlaces(arrangement.grid, tiles, frame),
  ];
  const byId = new Map(input.sources.map((one) => [one.id, one]));
  const placements = places.map((place, index) => {
    const { rectangle, style, z } = place;
    const slot = seats[index]?.id ?? "";
    const source = byId.get(seating[slot] ?? "") ?? null;
    const look = lookOf(document, style, { rectangle, canvas, source, speaker: input.speaker, index });
    return { slot, source: source?.id ?? null, ...rectangle, z, ...look };
  });
  return {
    canvas,
    placements: placements.sort((a, b) => a.z - b.z),
    occupancy: remember(input.previous, candidates, seating),
    overlays: (document.overlays ?? []).map((one) => placeOverlay(one, canvas)).sort((a, b) => a.z - b.z),
    background: {
      color: document.background?.color ?? "#000000",
      image: document.background?.image ?? null,
    },
    transition: { ms: document.transition?.ms ?? 0, easing: document.transition?.easing ?? "linear" },
  };
}

const seatOf = ({ id, take }: Slot): Seat => ({ id, take: take ?? "next" });

const tileSeats = (count: number): readonly Seat[] =>
  Array.from({ length: count }, (_, index) => ({ id: tileId(index + 1), take: "next" }));

interface Frame {
  readonly x: Axis;
  readonly y: Axis;
}

function frameOf({ gap, margin }: LayoutDocument, { width, height }: Size): Frame {
  const shorter = Math.min(width, height);
  const part = (value: number | string | undefined, step: number): number => {
    const { num, den } = ratio(value ?? 0);
    return (step / 2) * evenRound(2 * shorter * num, step * den);
  };
  const gapPx = part(gap, 4);
  const marginPx = part(margin, 2);
  return {
    x: { length: width, gap: gapPx, margin: marginPx },
    y: { length: height, gap: gapPx, margin: marginPx },
  };
}

interface Place {
  readonly rectangle: Rectangle;
  readonly style: SlotStyle & Pick<Slot, "fallback">;
  readonly z: number;
}

function slotPlace(slot: Slot, frame: Frame): Place {
  return { rectangle: insetBoth(areaOf(slot, frame), frame), style: slot, z: slot.z ?? 0 };
}

function gridPlaces(grid: Grid | undefined, count: number, frame: Frame): readonly Place[] {
  if (grid === undefined) return [];
  const { x = 0, y = 0, width = whole(x), height = whole(y) } = grid;
  const cells = gridCells(count, areaOf({ x, y, width, height }, frame), {
    aspect: ratio(grid.aspect ?? "16/9"),
    fill: grid.fill ?? false,
    gap: frame.x.gap,
    lastRow: grid.lastRow ?? "center",
  });
  return cells.map((one) => ({ rectangle: insetBoth(one, frame), style: grid, z: grid.z ?? 0 }));
}

/** From `start` to the border of the canvas. */
function whole(start: number | string): string {
  const { num, den } = ratio(start);
  return `${den - num}/${den}`;
}

function areaOf(area: Pick<Slot, "x" | "y" | "width" | "height">, frame: Frame): Rectangle {
  const across = cell(frame.x, ratio(area.x), ratio(area.width));
  const down = cell(frame.y, ratio(area.y), ratio(area.height));
  return rectangleOf(across, down);
}

const insetBoth = ({ x, y, width, height }: Rectangle, frame: Frame): Rectangle =>
  rectangleOf(inset(frame.x, { start: x, size: width }), inset(frame.y, { start: y, size: height }));

const rectangleOf = (across: Span, down: Span): Rectangle => ({
  x: across.start,
  y: down.start,
  width: across.size,
  height: down.size,
});

function placeOverlay(overlay: Overlay, canvas: Size): PlacedOverlay {
  const across = overlaySide(canvas.width, ratio(overlay.x), overlay.width);
  const down = overlaySide(canvas.height, ratio(overlay.y), overlay.height);
  return {
    overlay,
    x: across.start,
    y: down.start,
    width: across.size,
    height: down.size,
    z: overlay.z ?? 0,
  };
}

function overlaySide(length: number, start: Ratio, size: number | string | undefined) {
  if (size === undefined) return { start: edge(length, start), size: null };
  const axis = { length, gap: 0, margin: 0 };
  return inset(axis, cell(axis, start, ratio(size)));
}
