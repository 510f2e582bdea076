import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

const page = readFileSync("docs/dependencies.md", "utf8");
const { dependencies, devDependencies } = JSON.parse(readFileSync("package.json", "utf8")) as {
  readonly dependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
};

/** Rows of one table: package to its reason. */
function rows(heading: string): Map<string, string> {
  const part = page.split(/^## /m).find((section) => section.startsWith(heading)) ?? "";
  return new Map(
    [...part.matchAll(/^\| `([^`]+)` *\|[^|]+\| (.+?) *\|$/gm)].map((row) => [row[1] ?? "", row[2] ?? ""]),
  );
}

describe.each([
  ["At run time", dependencies],
  ["To develop and test", devDependencies],
] as const)("%s", (heading, packages) => {
  test("every package stands there, and no other, in order", () => {
    expect([...rows(heading).keys()]).toEqual(Object.keys(packages).sort());
  });

  test("each says why in a sentence", () => {
    for (const [name, why] of rows(heading)) expect(why, name).toMatch(/^[A-Z].{15,}\.$/);
  });
});

test("the licences of the direct dependencies are those that NOTICE speaks of", () => {
  for (const name of Object.keys({ ...dependencies, ...devDependencies })) {
    const { license } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8")) as {
      license: string;
    };
    expect(license, name).toMatch(/^(MIT|Apache-2\.0|MIT OR Apache-2\.0|ISC|BSD-\d-Clause)$/);
  }
});
