import { readFileSync } from "node:fs";
import { posix } from "node:path";
import { expect, test } from "vitest";

/** Everything that is loaded with a file, types aside: our own files and the packages' names. */
function loaded(file: string, found = new Set<string>()): Set<string> {
  if (found.has(file)) return found;
  found.add(file);
  const imports = readFileSync(file, "utf8").matchAll(/^import (?!type\b)[^;]*?"([^"]+)"/gm);
  for (const [, target = ""] of imports) {
    if (target.startsWith(".")) loaded(posix.join(posix.dirname(file), target), found);
    else found.add(target);
  }
  return found;
}

test("the resolver, the checker and the preview run in a browser: zod is all they need", () => {
  const all = ["resolve", "document", "svg", "json-schema"].flatMap((name) => [
    ...loaded(`src/layout/${name}.ts`),
  ]);
  expect(all).toContain("src/core/error.ts");
  expect([...new Set(all)].filter((name) => !name.startsWith("src/"))).toEqual(["zod"]);
});
