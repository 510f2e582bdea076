import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";

const pages = globSync(["*.md", "docs/*.md", "samples/*.md"]);

/** The anchors of a page, made of its headings as GitHub makes them. */
const anchorsOf = (page: string): string[] =>
  [
    ...readFileSync(page, "utf8")
      .replace(/^```[\s\S]*?^```/gm, "")
      .matchAll(/^#+ (.+)$/gm),
  ].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );

describe.each(pages)("%s", (page) => {
  test("leads only to what is there", () => {
    const links = [...readFileSync(page, "utf8").matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)];
    for (const [link, path = "", anchor] of links) {
      const target = path === "" ? page : join(dirname(page), path);
      expect(existsSync(target), link).toBe(true);
      if (anchor !== undefined) expect(anchorsOf(target), link).toContain(anchor);
    }
  });
});

test("every page of docs/ can be reached from the README or from CONTRIBUTING", () => {
  const read = (page: string): string => readFileSync(page, "utf8");
  const first = read("README.md") + read("CONTRIBUTING.md");
  const known = pages.filter((page) => first.includes(page));
  expect(pages.filter((page) => page.startsWith("docs/") && !known.includes(page))).toEqual([]);
});
