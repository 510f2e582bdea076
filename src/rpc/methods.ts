import { LAYOUT_METHODS } from "./layout-methods.ts";
import type { Method } from "./method.ts";
import { MIX_METHODS } from "./mix-methods.ts";
import { ASSET_METHODS, NODE_METHODS } from "./node-methods.ts";
import { OUTPUT_METHODS } from "./output-methods.ts";
import { SOURCE_METHODS } from "./source-methods.ts";
import { VIEW_METHODS } from "./view-methods.ts";

/** Every method that this build has, by name. What it does not have yet is in `not-supported.ts`. */
export const METHODS: ReadonlyMap<string, Method> = new Map(
  [
    ...NODE_METHODS,
    ...MIX_METHODS,
    ...SOURCE_METHODS,
    ...VIEW_METHODS,
    ...LAYOUT_METHODS,
    ...OUTPUT_METHODS,
    ...ASSET_METHODS,
  ].map((method) => [method.name, method]),
);
