import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { ANSWERS, EVENTS } from "../../scripts/rpc-data.ts";
import { METHOD_TEXTS } from "../../scripts/rpc-methods.ts";
import { rpcReference } from "../../scripts/rpc-reference.ts";
import { OutputSpec } from "../../src/contract/output-spec.ts";
import { SourceSpec } from "../../src/contract/source-spec.ts";
import { METHODS } from "../../src/rpc/methods.ts";
import { EVENT_TYPES } from "../../src/service/events.ts";
import { TestNode } from "../service/fixtures/node.ts";

test("docs/rpc.md is what the schemas say; `node scripts/rpc-reference.ts` writes it", () => {
  expect(readFileSync("docs/rpc.md", "utf8")).toBe(rpcReference());
});

test("every method and every event is there, and no other", () => {
  expect(Object.keys(METHOD_TEXTS).sort()).toEqual([...METHODS.keys()].sort());
  expect(Object.keys(EVENTS).sort()).toEqual([...EVENT_TYPES].sort());
});

test("every code that a method names is one of ours", () => {
  const ours = readFileSync("docs/errors.md", "utf8");
  for (const { errors = [] } of Object.values(METHOD_TEXTS))
    for (const code of errors) expect(ours).toContain(`| \`${code}\` `);
});

describe("what the page says of answers is what a node answers", () => {
  let node: TestNode;
  let mix: Record<string, unknown>;
  beforeAll(async () => {
    node = await TestNode.open();
    mix = await node.call("mix.create", { id: "m", name: "M" });
  });
  afterAll(() => node[Symbol.asyncDispose]());

  /** Fields that must be there, and all that may. */
  function told(name: string): { readonly always: string[]; readonly known: string[] } {
    const names = Object.keys(ANSWERS[name] ?? {}).filter((field) => field !== "...");
    return {
      always: names.filter((field) => !field.endsWith("?")),
      known: names.map((field) => field.replace("?", "")),
    };
  }
  const specFields = (schema: typeof SourceSpec | typeof OutputSpec): string[] =>
    schema.options.flatMap((option: z.ZodObject) => Object.keys(option.shape));

  const asked: [string, () => unknown, string[]][] = [
    ["Mix", () => mix, []],
    ["Source", () => node.call("source.add", { mix: "m", source: { kind: "rtmp" } }), specFields(SourceSpec)],
    [
      "Output",
      () => node.call("output.add", { mix: "m", output: { kind: "file", path: "a.mp4" } }),
      specFields(OutputSpec),
    ],
    ["View", () => node.call("view.add", { mix: "m", view: { id: "second" } }), []],
    ["Layout", () => node.call("layout.set", { mix: "m", layout: "speaker" }), []],
    ["Asset", () => node.call("asset.put", { name: "logo", data: SVG }), []],
    ["Node", () => node.call("node.info"), []],
  ];
  test.each(asked)("%s", async (name, ask, more) => {
    const keys = Object.keys((await ask()) as object);
    const { always, known } = told(name);
    expect(keys).toEqual(expect.arrayContaining(always));
    expect(keys.filter((key) => !known.includes(key) && !more.includes(key))).toEqual([]);
  });

  test("every kind of answer is tried", () => {
    expect(asked.map(([name]) => name).sort()).toEqual(Object.keys(ANSWERS).sort());
  });

  const ofMix = [...METHODS.values()].filter(({ params }) => params.shape.mix instanceof z.ZodString);
  test.each(ofMix.map(({ name }) => name))("%s of a mix that is not there is ERR_NOT_FOUND", async (name) => {
    const all = { ...MINIMAL, ...(name.endsWith(".add") ? ADDED : {}) };
    const wanted = Object.entries(all).filter(([key]) => key in (METHODS.get(name)?.params.shape ?? {}));
    const { error } = await node.send(name, { mix: "nobody", ...Object.fromEntries(wanted) });
    expect(error?.data.code).toBe("ERR_NOT_FOUND");
    expect(METHOD_TEXTS[name]?.errors).toContain("ERR_NOT_FOUND");
  });
});

const SVG = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>').toString("base64");
const MINIMAL = { source: "x", view: "x", output: "x", spec: {} };
const ADDED = { source: { kind: "test" }, view: {}, output: { kind: "file", path: "a.mp4" } };
