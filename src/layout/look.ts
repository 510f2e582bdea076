import type { LayoutSource } from "./arrangement.ts";
import type { Fallback, LayoutDocument, Slot, SlotStyle } from "./document.ts";
import { ratio, toNumber } from "./edges.ts";
import type { Rectangle, Size } from "./grid.ts";

/** A frame inside the edge of a tile. */
export interface PlacedBorder {
  /** In pixels. */
  readonly width: number;
  /** `#rgb`, `#rgba`, `#rrggbb` or `#rrggbbaa`: the speaking colour while the tile's source speaks. */
  readonly color: string;
}

/** Words on a tile, with names filled in. */
export interface PlacedLabel {
  readonly text: string;
  readonly at: NonNullable<NonNullable<SlotStyle["label"]>["at"]>;
  readonly color: string;
  readonly background: string;
  /** Height of the text in pixels. */
  readonly size: number;
}

/** How a tile is drawn. */
export interface Look {
  readonly fit: "cover" | "contain" | "fill";
  /** 0 is not to be seen, 1 hides what is below. */
  readonly opacity: number;
  /** Degrees, clockwise. */
  readonly rotate: 0 | 90 | 180 | 270;
  /** Left and right exchanged, before rotation. */
  readonly mirror: boolean;
  /** Of the corners, in pixels; at most half of the tile's shorter side. */
  readonly radius: number;
  readonly border: PlacedBorder | null;
  readonly label: PlacedLabel | null;
  /** What is shown while the source has no picture. */
  readonly fallback: Fallback;
}

/** What a look depends on besides the document. */
export interface LookInput {
  readonly rectangle: Rectangle;
  readonly canvas: Size;
  readonly source: LayoutSource | null;
  readonly speaker: string | null;
  /** Of the slot, from 0. */
  readonly index: number;
}

const MAX_LABEL = 256;

/** The look of a slot: what it says itself, else the document's defaults, else plain. */
export function lookOf(
  document: LayoutDocument,
  own: SlotStyle & Pick<Slot, "fallback">,
  input: LookInput,
): Look {
  const base = document.defaults ?? {};
  const { rectangle, canvas } = input;
  const pixels = (value: number | string | undefined): number =>
    Math.round(Math.min(canvas.width, canvas.height) * toNumber(ratio(value ?? 0)));
  return {
    fit: own.fit ?? base.fit ?? "cover",
    opacity: own.opacity ?? base.opacity ?? 1,
    rotate: own.rotate ?? base.rotate ?? 0,
    mirror: own.mirror ?? base.mirror ?? false,
    radius: Math.min(pixels(own.radius ?? base.radius), rectangle.width / 2, rectangle.height / 2),
    border: borderOf(own.border === undefined ? base.border : own.border, input, pixels),
    label: labelOf(own.label === undefined ? base.label : own.label, input, pixels),
    fallback: own.fallback ?? document.fallback ?? "avatar",
  };
}

type Pixels = (value: number | string | undefined) => number;

function borderOf(border: SlotStyle["border"], input: LookInput, pixels: Pixels): PlacedBorder | null {
  if (border === undefined || border === null || input.source === null) return null;
  const width = pixels(border.width);
  const speaks = input.source.id === input.speaker;
  return width === 0 ? null : { width, color: (speaks ? border.speaking : undefined) ?? border.color };
}

function labelOf(label: SlotStyle["label"], input: LookInput, pixels: Pixels): PlacedLabel | null {
  const { source, index } = input;
  if (label === undefined || label === null || source === null) return null;
  const values: Record<string, string> = { name: source.name, role: source.role, index: `${index + 1}` };
  const text = label.text.replace(/\{(name|role|index)\}/g, (_, key: string) => values[key] ?? "");
  if (text.trim() === "") return null;
  return {
    text: [...text].slice(0, MAX_LABEL).join(""),
    at: label.at ?? "bottom-left",
    color: label.color ?? "#ffffff",
    background: label.background ?? "#00000080",
    size: Math.max(6, pixels(label.size ?? 0.03)),
  };
}
