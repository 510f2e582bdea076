import { z } from "zod";
import { LayoutDocument } from "../layout/document.ts";
import { Accel, Fps, OutputSpec, Side } from "./output-spec.ts";
import { Id, SourceSpec } from "./source-spec.ts";

/** A shipped or stored layout's name, or a whole document. */
export const LayoutRef = z.union([z.string().min(1).max(64), LayoutDocument]);
export type LayoutRef = z.output<typeof LayoutRef>;

/** One composed picture of a mix, with its own layout, size and frame rate. */
export const ViewSpec = z.strictObject({
  id: Id.default("main"),
  width: Side.default(1280),
  height: Side.default(720),
  fps: Fps.default(30),
  layout: LayoutRef.default("grid"),
  accel: Accel.default("auto"),
  /** Asset shown while no source is on screen. */
  slate: Id.optional(),
});
export type ViewSpec = z.output<typeof ViewSpec>;

/** The part of a view that `view.update` may change while it runs; size and rate are fixed for life. */
export const ViewUpdate = z.strictObject({ slate: Id.nullable().optional() });
export type ViewUpdate = z.output<typeof ViewUpdate>;

/** A whole mix: what `mix.create` and `mix.apply` take. */
export const MixSpec = z.strictObject({
  id: Id.optional(),
  name: z.string().max(256).optional(),
  audio: z
    .strictObject({
      maxSpeakers: z.number().int().min(1).max(64).default(4),
      /** Target of the loudness leveller in LUFS (ITU-R BS.1770); absent leaves levels alone. */
      loudness: z.number().min(-40).max(-5).optional(),
    })
    .prefault({}),
  views: z.array(ViewSpec).max(16).prefault([{}]),
  sources: z.array(SourceSpec).max(256).default([]),
  outputs: z.array(OutputSpec).max(1024).default([]),
  /** Closes the mix when it has had no source for this long; null never. */
  emptyTimeoutS: z.number().positive().max(604_800).nullable().default(null),
});
export type MixSpec = z.output<typeof MixSpec>;
/** A {@link MixSpec} as a caller writes it, with defaults left out. */
export type MixSpecInput = z.input<typeof MixSpec>;
