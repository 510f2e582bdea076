import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LayoutDocument, parseLayout } from "../../src/layout/document.ts";
import { NOT_DRAWN, notDrawnMarkdown } from "../../src/rpc/not-supported.ts";
import type { View } from "../../src/session/view.ts";
import { luma } from "../native/drawing.ts";
import { until } from "../service/fixtures/node.ts";
import { Stage, sourceSpec } from "../session/stage.ts";

let stage: Stage;
let view: View;
let glance: Disposable;
/** Two sources side by side, the second a card, and a strip of background below. */
const PLAIN = { tessera: 1, name: "x", background: { color: "#204060" }, fallback: { color: "#804020" } };

beforeAll(async () => {
  stage = new Stage({ views: [{ id: "main", width: 160, height: 96, fps: 25 }] });
  stage.mix.addSource(sourceSpec({ id: "anna", kind: "test", pattern: "bars" }));
  stage.mix.addSource(sourceSpec({ id: "ben", name: "Ben", kind: "rtmp", video: { card: true } }));
  view = stage.mix.views.get("main") as View;
  glance = view.glance();
  await stage.mix.updateVisibility();
  // The green bar is there: her picture is, and no card in its place.
  await until(async () => (await picture()).includes(133), "her picture");
});
afterAll(async () => {
  glance[Symbol.dispose]();
  await stage[Symbol.asyncDispose]();
});

let revision = 1;
/** What the view shows with a document like {@link PLAIN}, at the first frame that has it. */
async function picture(slot: object = {}, top: object = {}): Promise<Uint8Array> {
  const slots = [
    { id: "anna", x: 0, y: 0, width: "1/2", height: "3/4", take: { source: "anna" }, ...slot },
    { id: "ben", x: "1/2", y: 0, width: "1/2", height: "3/4", take: { source: "ben" } },
  ];
  const layout = parseLayout({ ...PLAIN, arrangements: [{ slots }], ...top });
  revision += 1;
  await view.setLayout({ ...view.state, layout, revision }, undefined);
  const shown = await view.nextPicture();
  using still = shown?.picture;
  return still === undefined ? new Uint8Array() : luma(still);
}

/** For each field of a slot's look, a value that would be seen. */
const OF_SLOT: Record<string, unknown> = {
  fit: "contain",
  rotate: 180,
  mirror: true,
  opacity: 0.3,
  radius: 0.2,
  border: { width: 0.05, color: "#ffffff" },
  label: { text: "{name}", size: 0.2 },
};
const AT_TOP: Record<string, unknown> = {
  background: { color: "#ffffff" },
  fallback: { color: "#ffffff" },
  gap: 0.1,
  margin: 0.1,
  overlays: [{ id: "o", text: "Hello", x: 0, y: 0, width: 1, height: 1 }],
};
const isListed = (field: string): boolean => NOT_DRAWN.some(({ fields }) => fields.includes(field));

describe("a field that is listed is not drawn, every other is", () => {
  test.each(Object.entries(OF_SLOT))("%s of a slot", async (field, value) => {
    const [without, with_] = [await picture(), await picture({ [field]: value })];
    expect(Buffer.compare(without, with_) === 0).toBe(isListed(field));
  });

  test.each(Object.entries(AT_TOP))("%s of a document", async (field, value) => {
    const [without, with_] = [await picture(), await picture({}, { [field]: value })];
    expect(Buffer.compare(without, with_) === 0).toBe(isListed(field));
  });

  test("a transition: the first picture is the last", async () => {
    const after = await picture({ mirror: true });
    await picture();
    const first = await picture({ mirror: true }, { transition: { ms: 10_000 } });
    expect(Buffer.compare(after, first) === 0).toBe(isListed("transition"));
  });

  test("alpha of the background and of fallbacks", async () => {
    const opaque = await picture({}, { background: { color: "#ffffff" }, fallback: { color: "#ffffff" } });
    const half = { background: { color: "#ffffff40" }, fallback: { color: "#ffffff40" } };
    expect(Buffer.compare(opaque, await picture({}, half))).toBe(0);
    expect(notDrawnMarkdown()).toContain("alpha of `background` and `fallback`");
  });

  test("every field of a look and of a document is tried", () => {
    const { defaults } = LayoutDocument.shape;
    expect(Object.keys(OF_SLOT).sort()).toEqual(Object.keys(defaults.unwrap().shape).sort());
    const silent = ["$schema", "tessera", "name", "title", "description", "defaults", "arrangements"];
    const tried = [...Object.keys(AT_TOP), "transition", ...silent];
    expect(tried.sort()).toEqual(Object.keys(LayoutDocument.shape).sort());
  });
});

describe("the documents say the same", () => {
  test.each(["README.md", "docs/not-supported.md"])("%s", (file) => {
    const list = /<!-- not-drawn -->\n([\s\S]*?)\n<!-- \/not-drawn -->/.exec(readFileSync(file, "utf8"))?.[1];
    expect(list).toBe(notDrawnMarkdown());
  });

  test("docs/layouts.md says it at each field, and at no other", () => {
    const rows = [...readFileSync("docs/layouts.md", "utf8").matchAll(/^\| `(\w+)` .*$/gm)];
    const told = new Map(rows.map(([row, field = ""]) => [field, row.includes("not drawn yet")]));
    for (const field of [...Object.keys(OF_SLOT), ...Object.keys(AT_TOP), "transition"])
      expect(told.get(field), field).toBe(isListed(field));
  });
});
