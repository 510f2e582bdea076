import { globSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { serveCommand, serveConfig } from "../../src/cli/config.ts";
import { TestWeb } from "../web/fixture.ts";

const page = readFileSync("docs/operating.md", "utf8");
const status = readFileSync("src/contract/status.ts", "utf8");
const metrics = globSync("src/web/*.ts")
  .map((file) => readFileSync(file, "utf8"))
  .join("\n");

/** Rows of the tables under a heading, without marks of code. */
function rows(heading: string): string[][] {
  const part = page.split(/^##+ /m).find((one) => one.startsWith(`${heading}\n`)) ?? "";
  return [...part.matchAll(/^\| `.*$/gm)].map(([row]) =>
    row
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim().replaceAll("`", "")),
  );
}
const firstOf = (heading: string): string[] => rows(heading).map(([first = ""]) => first);

describe("settings", () => {
  const { node: _, ...defaults } = serveConfig({ argv: [], env: {} });
  const camel = (flag: string): string => flag.slice(2).replace(/-(.)/g, (_, letter) => letter.toUpperCase());

  test("every flag of `serve` is there, and no other", () => {
    const flags = serveCommand().options.filter(({ hidden, long }) => !hidden && long !== "--config");
    expect(firstOf("Settings")).toEqual(flags.map(({ long }) => long));
  });

  test.each(rows("Settings"))("%s has the variable %s and the default '%s'", (flag, variable, fallback) => {
    const value = (defaults as Record<string, unknown>)[camel(flag ?? "")];
    expect(fallback).toBe(value === undefined ? "" : String(value));
    const given = { TESSERA_RTMPS: "off", [variable ?? ""]: "nonsense" };
    // The variable is known: a wrong value is the worst that is said of it.
    try {
      serveConfig({ argv: [], env: given });
    } catch (error) {
      expect(String(error)).not.toMatch(/is no setting/);
    }
  });
});

describe("metrics", () => {
  test("every metric is there, and no other", () => {
    const named = [...metrics.matchAll(/"(tessera_\w+)"/g)].map((one) => one[1] ?? "");
    expect(named.length).toBeGreaterThan(10);
    expect(firstOf("Metrics").sort()).toEqual(named.sort());
  });

  test("each is of the kind that a scrape says", async () => {
    await using web = await TestWeb.open();
    const text = await (await fetch(`${web.url}/metrics`)).text();
    const kinds = [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, kind]) => [name, kind]);
    expect(rows("Metrics").map(([name, kind]) => [name, kind])).toEqual(expect.arrayContaining(kinds));
    expect(kinds).toHaveLength(rows("Metrics").length);
  });

  test.each(rows("Metrics"))("%s, a %s, has the labels '%s'", (name, _, labels) => {
    // What workers have timed is told per mix.
    const [, , list = '"mix"'] =
      new RegExp(`"${name}",\\s*(?:help: )?"[^"]*",\\s*(labelNames: )?\\[([^\\]]*)\\]`).exec(metrics) ?? [];
    const own = [...list.matchAll(/"(\w+)"/g)].map((one) => one[1] ?? "");
    expect(labels?.split(" ").filter((one) => one !== "")).toEqual(own);
  });
});

describe("mix.stats", () => {
  test.each([
    ["A source", "SourceStatus"],
    ["A view", "ViewStatus"],
    ["An encoder", "EncoderStatus"],
    ["An output", "OutputStatus"],
  ])("%s has the fields of %s", (heading, name) => {
    const body = new RegExp(`interface ${name} \\{\\n([\\s\\S]*?)\\n\\}`).exec(status)?.[1] ?? "";
    const fields = [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map((one) => one[1] ?? "");
    expect(fields.length).toBeGreaterThan(5);
    expect(firstOf(heading)).toEqual(fields);
  });

  test("and all else that it answers", () => {
    const body = /interface MixStats \{\n([\s\S]*?)\n\}/.exec(status)?.[1] ?? "";
    const fields = [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map((one) => one[1] ?? "");
    const told = /`\{([\w, ]+)\}`: lists/.exec(page)?.[1]?.split(", ") ?? [];
    expect(told.sort()).toEqual(fields.sort());
    const rest = new Set(firstOf("The rest").map((one) => one.split(".")[0]));
    for (const field of ["audio", "histograms", "process"]) expect(rest).toContain(field);
  });
});
