import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parseLayout } from "../../src/layout/document.ts";
import { layoutJsonSchema } from "../../src/layout/json-schema.ts";
import { boxes, people, place, SHIPPED } from "./people.ts";

const guide = readFileSync(new URL("../../docs/layouts.md", import.meta.url), "utf8");

test("the guide's document is valid and does what the guide says", () => {
  const [, text = ""] = /```json\n([^`]+)```/.exec(guide) ?? [];
  const document = parseLayout(JSON.parse(text));
  const at = (count: number) => boxes(place({ document, sources: people(count) }).placements);
  expect(at(1)).toEqual(["left=a1 0,0 1280x720"]);
  expect(at(2)).toEqual(["left=a1 0,0 640x720", "right=a2 640,0 640x720"]);
  expect(at(3)).toHaveLength(3);
});

test("the guide names every shipped layout and every field of a document", () => {
  const fields = new Set<string>();
  const walk = (node: unknown): void => {
    if (typeof node !== "object" || node === null) return;
    const { properties } = node as { properties?: object };
    for (const name of Object.keys(properties ?? {})) fields.add(name);
    for (const child of Object.values(node)) walk(child);
  };
  walk(layoutJsonSchema());
  expect(fields.size).toBeGreaterThan(40);
  const missing = [...SHIPPED, ...fields].filter(
    (name) => !new RegExp(`[\`"]${name.replace("$", "\\$")}[\`"]`).test(guide),
  );
  expect(missing).toEqual([]);
});
