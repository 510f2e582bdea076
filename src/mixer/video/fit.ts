import type { Orientation } from "../../media/stream-info.ts";
import type { Crop } from "../../native/scaler.ts";

/** A rectangle of the canvas in even pixels. */
export interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** The stored picture's geometry. */
export interface StoredShape {
  readonly widthPx: number;
  readonly heightPx: number;
  readonly pixelAspect: number;
  readonly orientation: Orientation;
}

/** How to draw a source into a placement: cut this from the stored picture, turn it, and scale it to that rectangle. */
export interface Fitted {
  readonly crop: Crop;
  readonly orientation: Orientation;
  readonly rect: Rect;
}

/** A shape within this of the slot's is stretched: one row of pixels less would cost more than it shows. */
const SAME_SHAPE = 0.01;

/**
 * Decides crop and rectangle. `cover` fills the placement and cuts what is too much, `contain` shows everything and
 * leaves bars free, `fill` stretches.
 *
 * @param zoom the operator's crop of the upright picture, in fractions.
 */
export function fitInto(
  placement: Rect,
  source: StoredShape,
  look: {
    readonly fit: "cover" | "contain" | "fill";
    readonly rotate: 0 | 90 | 180 | 270;
    readonly mirror: boolean;
  },
  zoom: Rect = { x: 0, y: 0, width: 1, height: 1 },
): Fitted {
  const orientation = turn(source.orientation, look);
  const sideways = orientation.rotate === 90 || orientation.rotate === 270;
  const shown = storedPart(source.orientation, zoom);
  let crop = { ...shown };
  const pixelWidth = source.widthPx * crop.width * source.pixelAspect;
  const pixelHeight = source.heightPx * crop.height;
  const shape = sideways ? pixelHeight / pixelWidth : pixelWidth / pixelHeight;
  const excess = shape / (placement.width / placement.height);
  let rect = placement;
  if (look.fit === "cover" && Math.abs(excess - 1) > SAME_SHAPE) {
    crop = cut(crop, excess, sideways);
  } else if (look.fit === "contain" && Math.abs(excess - 1) > SAME_SHAPE) {
    rect = inscribe(placement, excess);
  }
  return { crop: toPixels(crop, source), orientation, rect };
}

/** Both turns in one: the source's own first, then the document's. */
function turn(own: Orientation, look: { readonly rotate: number; readonly mirror: boolean }): Orientation {
  // The document mirrors before it rotates; ours is rotation first, so a mirrored turn runs the other way.
  const extra = look.mirror ? 360 - look.rotate : look.rotate;
  const rotate = own.mirror ? own.rotate - extra : own.rotate + extra;
  const quarter = ((rotate % 360) + 360) % 360;
  return { rotate: quarter as Orientation["rotate"], mirror: own.mirror !== look.mirror };
}

/** A part of the upright picture, as a part of the stored one. */
function storedPart({ rotate, mirror }: Orientation, upright: Rect): Rect {
  const part = mirror ? { ...upright, x: 1 - upright.x - upright.width } : upright;
  const { x, y, width, height } = part;
  if (rotate === 90) return { x: y, y: 1 - x - width, width: height, height: width };
  if (rotate === 180) return { x: 1 - x - width, y: 1 - y - height, width, height };
  if (rotate === 270) return { x: 1 - y - height, y: x, width: height, height: width };
  return part;
}

/** Cuts the longer side in the middle. `excess` over 1: the upright picture is too wide. */
function cut(part: Rect, excess: number, sideways: boolean): Rect {
  const cutsWidth = excess > 1 !== sideways;
  const keep = excess > 1 ? 1 / excess : excess;
  return cutsWidth
    ? { ...part, x: part.x + (part.width * (1 - keep)) / 2, width: part.width * keep }
    : { ...part, y: part.y + (part.height * (1 - keep)) / 2, height: part.height * keep };
}

function inscribe(placement: Rect, excess: number): Rect {
  const width = excess > 1 ? placement.width : Math.max(2, even(placement.width * excess));
  const height = excess > 1 ? Math.max(2, even(placement.height / excess)) : placement.height;
  const x = placement.x + 2 * Math.floor((placement.width - width) / 4);
  const y = placement.y + 2 * Math.floor((placement.height - height) / 4);
  return { x, y, width, height };
}

function toPixels(part: Rect, { widthPx, heightPx }: StoredShape): Crop {
  const x = Math.min(even(part.x * widthPx), Math.max(0, widthPx - 2));
  const y = Math.min(even(part.y * heightPx), Math.max(0, heightPx - 2));
  const right = part.x + part.width >= 1 ? widthPx : even((part.x + part.width) * widthPx);
  const bottom = part.y + part.height >= 1 ? heightPx : even((part.y + part.height) * heightPx);
  return { x, y, width: Math.max(1, right - x), height: Math.max(1, bottom - y) };
}

const even = (value: number): number => 2 * Math.round(value / 2);
