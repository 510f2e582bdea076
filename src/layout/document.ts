import { z } from "zod";
import { LayoutInvalidError } from "../core/error.ts";
import { schemaFault } from "../core/schema-fault.ts";
import { ratio } from "./edges.ts";

/** Most slots or grid tiles in one arrangement. */
export const MAX_TILES = 100;
/** Most arrangements and most overlays in one document. */
export const MAX_ARRANGEMENTS = 64;
/** Documents written with rounded decimals may pass the border of the canvas by this much; they are cut there. */
const SLACK = 0.001;

const Name = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, "must be 1 to 64 of A-Z a-z 0-9 _ -");

/** A share of the canvas: `0.25`, `"0.25"` or `"1/4"`. */
function share(min: number, max: number) {
  const range = `must be from ${min} to ${max}`;
  const text = /^(\d{1,6}\/[1-9]\d{0,5}|\d{1,3}(\.\d{1,6})?)$/;
  const error = `${range}, as a number or a string like "1/4"`;
  return z
    .union(
      [z.number().min(min, range).max(max, range), z.string().regex(text, `must be like 0.25 or "1/4"`)],
      {
        error,
      },
    )
    .refine((value) => within(value, min, max), range);
}

function within(value: number | string, min: number, max: number): boolean {
  const { num, den } = ratio(value);
  return num >= min * den && num <= max * den;
}

const Colour = z
  .string()
  .regex(/^#([0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})$/, "must be #rgb, #rgba, #rrggbb or #rrggbbaa");

const Corner = z.enum([
  "top-left",
  "top",
  "top-right",
  "left",
  "center",
  "right",
  "bottom-left",
  "bottom",
  "bottom-right",
]);

const Label = z.strictObject({
  text: z
    .string()
    .max(256)
    .refine(
      (text) => !/\{(?!(name|role|index)\})[^}]*\}?/.test(text),
      "may hold {name}, {role} and {index} only",
    )
    .describe("{name}, {role} and {index} are filled in."),
  at: Corner.optional(),
  color: Colour.optional(),
  background: Colour.optional(),
  size: share(0.005, 0.5).optional().describe("Height of the text; share of the canvas's shorter side."),
});

const Border = z.strictObject({
  width: share(0, 0.1).describe("Share of the canvas's shorter side."),
  color: Colour,
  speaking: Colour.optional().describe("Colour while this tile's source is the speaker."),
});

const Fallback = z.union([z.enum(["avatar", "card", "hide"]), z.strictObject({ color: Colour })]);

const style = {
  fit: z.enum(["cover", "contain", "fill"]).optional(),
  opacity: z.number().min(0).max(1).optional(),
  rotate: z
    .union([z.literal(0), z.literal(90), z.literal(180), z.literal(270)])
    .optional()
    .describe("Degrees, clockwise."),
  mirror: z.boolean().optional(),
  radius: share(0, 0.5).optional().describe("Of the corners; share of the canvas's shorter side."),
  border: Border.nullable().optional(),
  label: Label.nullable().optional(),
};

const Take = z.union([
  z.enum(["next", "speaker", "screen", "empty"]),
  z.strictObject({ source: Name }),
  z.strictObject({ role: z.string().min(1).max(64) }),
]);

const Area = { x: share(0, 1), y: share(0, 1), width: share(0.005, 1), height: share(0.005, 1) };
const Depth = z.number().int().min(-1000).max(1000).optional();

const Slot = z
  .strictObject({
    id: Name,
    ...Area,
    take: Take.optional(),
    z: Depth,
    fallback: Fallback.optional(),
    ...style,
  })
  .superRefine(staysInside);

const Grid = z
  .strictObject({
    x: Area.x.optional(),
    y: Area.y.optional(),
    width: Area.width.optional(),
    height: Area.height.optional(),
    aspect: share(0.1, 10).optional().describe("Width by height of a tile; 16/9 if absent."),
    fill: z.boolean().optional().describe("Tiles fill their cells; aspect then only picks rows and columns."),
    maxTiles: z.number().int().min(1).max(MAX_TILES).optional(),
    lastRow: z.enum(["center", "left", "stretch"]).optional(),
    z: Depth,
    fallback: Fallback.optional(),
    ...style,
  })
  .superRefine(staysInside);

const Count = z.number().int().min(0).max(10_000);

const Arrangement = z
  .strictObject({
    name: z.string().max(256).optional(),
    sources: z
      .tuple([Count, Count.nullable()])
      .refine(([least, most]) => most === null || least <= most, "the first must not be above the second")
      .optional(),
    canvas: z.enum(["16:9", "9:16", "1:1"]).optional(),
    has: z.enum(["screen"]).optional(),
    slots: z.array(Slot).max(MAX_TILES).optional(),
    grid: Grid.optional(),
  })
  .superRefine(hasDistinctSlots);

const TextStyle = z.strictObject({
  color: Colour.optional(),
  background: Colour.optional(),
  size: share(0.005, 0.5).optional(),
  align: z.enum(["left", "center", "right"]).optional(),
  radius: share(0, 0.5).optional(),
});

const Overlay = z
  .strictObject({
    id: Name,
    image: Name.optional().describe("Name of an asset."),
    text: z.string().max(4096).optional(),
    clock: z.enum(["HH:mm", "HH:mm:ss"]).optional(),
    x: Area.x,
    y: Area.y,
    width: Area.width.optional(),
    height: Area.height.optional(),
    z: Depth,
    opacity: style.opacity,
    style: TextStyle.optional(),
  })
  .superRefine((overlay, context) => {
    staysInside(overlay, context);
    const { image, text, clock } = overlay;
    if ([image, text, clock].filter((one) => one !== undefined).length === 1) return;
    context.addIssue({ code: "custom", message: "needs exactly one of image, text and clock" });
  });

/** A layout document as in INTERFACE: who is shown where, for every number of sources. Nothing is filled in. */
export const LayoutDocument = z.strictObject({
  $schema: z.string().max(1024).optional().describe("For editors; not read."),
  tessera: z.literal(1),
  name: Name,
  title: z.string().max(256).optional(),
  description: z.string().max(4096).optional(),
  background: z
    .strictObject({
      color: Colour.optional(),
      image: Name.optional().describe("Name of an asset."),
    })
    .optional(),
  gap: share(0, 0.2).optional().describe("Between tiles; share of the canvas's shorter side."),
  margin: share(0, 0.2).optional().describe("Around all tiles; share of the canvas's shorter side."),
  fallback: Fallback.optional().describe("What is shown of a source that has no picture."),
  defaults: z.strictObject(style).optional(),
  arrangements: z.array(Arrangement).min(1).max(MAX_ARRANGEMENTS),
  overlays: z
    .array(Overlay)
    .max(MAX_ARRANGEMENTS)
    .superRefine((items, context) => distinctIds(items, context))
    .optional(),
  transition: z
    .strictObject({
      ms: z.number().int().min(0).max(10_000),
      easing: z.enum(["linear", "ease-in", "ease-out", "ease-in-out"]).optional(),
    })
    .optional(),
});
export type LayoutDocument = z.output<typeof LayoutDocument>;
export type Arrangement = z.output<typeof Arrangement>;
export type Slot = z.output<typeof Slot>;
export type Grid = z.output<typeof Grid>;
export type Overlay = z.output<typeof Overlay>;
export type Take = z.output<typeof Take>;
export type Fallback = z.output<typeof Fallback>;

/** What may be said of a slot's look, at the slot, its grid, or in the document's defaults. */
export type SlotStyle = Pick<Slot, "fit" | "opacity" | "rotate" | "mirror" | "radius" | "border" | "label">;

/**
 * Checks a document and types it; what is valid comes back as it was written.
 *
 * @param at RFC 6901 pointer of `value` within what the caller sent.
 * @throws {LayoutInvalidError} `ERR_LAYOUT_INVALID` with a pointer to the first fault; an unknown key names the
 *   nearest known one.
 */
export function parseLayout(value: unknown, at = ""): LayoutDocument {
  const result = LayoutDocument.safeParse(value);
  if (result.success) return result.data;
  const { pointer, problem } = schemaFault(LayoutDocument, result.error);
  throw new LayoutInvalidError(at + pointer, problem, { cause: result.error });
}

type Context = Pick<z.core.$RefinementCtx, "addIssue">;

interface AreaLike {
  readonly x?: number | string | undefined;
  readonly y?: number | string | undefined;
  readonly width?: number | string | undefined;
  readonly height?: number | string | undefined;
}

function staysInside(area: AreaLike, context: Context): void {
  const sides = [
    ["x", "width"],
    ["y", "height"],
  ] as const;
  for (const [start, size] of sides) {
    const from = ratio(area[start] ?? 0);
    const length = ratio(area[size] ?? 0);
    const to = from.num / from.den + length.num / length.den;
    if (to <= 1 + SLACK) continue;
    const message = `reaches beyond the canvas: ${start} + ${size} is ${Number(to.toFixed(4))}`;
    context.addIssue({ code: "custom", path: [size], message });
  }
}

function distinctIds(
  items: readonly { readonly id: string }[],
  context: Context,
  under: readonly string[] = [],
): void {
  const seen = new Set<string>();
  for (const [index, { id }] of items.entries()) {
    if (seen.has(id))
      context.addIssue({ code: "custom", path: [...under, index, "id"], message: `"${id}" stands twice` });
    seen.add(id);
  }
}

function hasDistinctSlots(arrangement: z.input<typeof Arrangement>, context: Context): void {
  const { slots = [], grid } = arrangement;
  if (slots.length === 0 && grid === undefined) {
    context.addIssue({ code: "custom", message: "needs slots, a grid or both" });
  }
  distinctIds(slots, context, ["slots"]);
  const taken = grid === undefined ? -1 : slots.findIndex(({ id }) => /^tile-\d+$/.test(id));
  if (taken === -1) return;
  const message = "is the name of a tile of this arrangement's grid";
  context.addIssue({ code: "custom", path: ["slots", taken, "id"], message });
}
