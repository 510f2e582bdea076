import { z } from "zod";
import { LayoutDocument } from "./document.ts";

/**
 * The JSON Schema (draft 2020-12) of a layout document, for editors.
 *
 * It says what a field may hold; `parseLayout` also checks what fields say of each other, such as a slot that
 * reaches beyond the canvas.
 */
export function layoutJsonSchema(): Record<string, unknown> {
  const { $schema, ...rest } = z.toJSONSchema(LayoutDocument, { io: "input", reused: "ref" });
  return { $schema, title: "Tessera layout document", ...rest };
}
