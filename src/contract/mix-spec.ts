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
  layout: LayoutRef.default("grid").describe("A shipped layout's name, or a document."),
  accel: Accel.default("auto"),
  slate: Id.optional().describe("Asset shown while no source is on screen."),
});
export type ViewSpec = z.output<typeof ViewSpec>;

/** The part of a view that `view.update` may change while it runs; size and rate are fixed for life. */
export const ViewUpdate = z.strictObject({
  slate: Id.nullable().optional().describe("Asset shown while no source is on screen; `null` takes it away."),
});
export type ViewUpdate = z.output<typeof ViewUpdate>;

/** A whole mix: what `mix.create` and `mix.apply` take. */
export const MixSpec = z.strictObject({
  id: Id.optional().describe("If absent, one is made."),
  name: z.string().max(256).optional().describe("For people."),
  audio: z
    .strictObject({
      maxSpeakers: z
        .number()
        .int()
        .min(1)
        .max(64)
        .default(4)
        .describe("How many sources of policy `speaker` are heard at once: the loudest."),
      loudness: z
        .number()
        .min(-40)
        .max(-5)
        .optional()
        .describe("Target of the loudness leveller in LUFS (ITU-R BS.1770); absent leaves levels alone."),
    })
    .prefault({}),
  views: z.array(ViewSpec).max(16).prefault([{}]),
  sources: z.array(SourceSpec).max(256).default([]),
  outputs: z.array(OutputSpec).max(1024).default([]),
  emptyTimeoutS: z
    .number()
    .positive()
    .max(604_800)
    .nullable()
    .default(null)
    .describe("Closes the mix when it has had no source for so many seconds; `null` never."),
});
export type MixSpec = z.output<typeof MixSpec>;
/** A {@link MixSpec} as a caller writes it, with defaults left out. */
export type MixSpecInput = z.input<typeof MixSpec>;
