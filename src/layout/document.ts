import { z } from "zod";

/** A layout document as in INTERFACE. */
export const LayoutDocument = z.looseObject({ tessera: z.literal(1), name: z.string() });
export type LayoutDocument = z.output<typeof LayoutDocument>;
