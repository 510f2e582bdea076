import { writeFileSync } from "node:fs";
import { layoutJsonSchema } from "../src/layout/json-schema.ts";

/** Writes `layouts/layout.schema.json`; run it after a change of `src/layout/document.ts`. */
const file = new URL("../layouts/layout.schema.json", import.meta.url);
writeFileSync(file, `${JSON.stringify(layoutJsonSchema(), null, 2)}\n`);
