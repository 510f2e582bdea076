import { describe, expect, test } from "vitest";
import { z } from "zod";
import { nearest } from "../../src/core/nearest.ts";
import { schemaFault } from "../../src/core/schema-fault.ts";

describe("nearest", () => {
  const cases: [word: string, known: string[], want: string | undefined][] = [
    ["widht", ["width", "height"], "width"],
    ["heigth", ["width", "height"], "height"],
    ["Url", ["url"], "url"],
    ["ulr", ["url", "key"], "url"],
    ["sources", ["source", "sourceless"], "source"],
    ["zzz", ["width", "height"], undefined],
    ["x".repeat(100_000), ["x"], undefined],
    ["", ["a"], "a"],
  ];
  test.each(cases)("%#: %.20s", (word, known, want) => expect(nearest(word, known)).toBe(want));
});

describe("schemaFault", () => {
  const schema = z.strictObject({
    name: z.string(),
    list: z.array(z.strictObject({ width: z.number(), colour: z.string().optional() })).optional(),
    either: z.union([z.enum(["a", "b"]), z.strictObject({ source: z.string() })]).optional(),
    table: z.record(z.string(), z.strictObject({ gain: z.number() })).optional(),
    "a/b": z.number().optional(),
  });
  const cases: [value: unknown, pointer: string, problem: RegExp][] = [
    [{ nmae: "x" }, "/nmae", /did you mean "name"/],
    [{ name: "x", list: [{ width: 1 }, { widht: 1 }] }, "/list/1/widht", /did you mean "width"/],
    // `name` is known elsewhere, not there
    [{ name: "x", list: [{ width: 1, nmae: 1 }] }, "/list/0/nmae", /^is not a known key$/],
    [{ name: "x", either: { sorce: "s" } }, "/either/sorce", /did you mean "source"/],
    [{ name: "x", either: "c" }, "/either", /./],
    [{ name: "x", table: { constructor: { gian: 1 } } }, "/table/constructor/gian", /did you mean "gain"/],
    [{ name: "x", "a/b": "~" }, "/a~1b", /number/],
    [null, "", /object/],
  ];
  test.each(cases)("%j", (value, pointer, problem) => {
    const result = schema.safeParse(value);
    if (result.success) throw new Error("was accepted");
    const fault = schemaFault(schema, result.error);
    expect(fault.pointer).toBe(pointer);
    expect(fault.problem).toMatch(problem);
  });
});
