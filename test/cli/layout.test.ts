import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, type MockInstance, test, vi } from "vitest";
import { checkLayout, importLayout, renderLayout, runLayout } from "../../src/cli/layout.ts";

const folder = mkdtempSync(join(tmpdir(), "tessera-layout-"));
afterAll(() => rmSync(folder, { recursive: true }));

const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
const code = (code: string, more: object = {}) => expect.objectContaining({ code, ...more });

describe("layout check", () => {
  test("says what a good document is", () => {
    expect(checkLayout("layouts/speaker-strip.json")).toMatch(/"speaker-strip" is valid, 5 arrangements/);
  });

  test("points at the fault of a bad one", () => {
    const bad = file("bad.json", '{"tessera":1,"name":"x","arrangements":[{"grid":{"maxTile":4}}]}');
    expect(() => checkLayout(bad)).toThrow(
      code("ERR_LAYOUT_INVALID", { pointer: "/arrangements/0/grid/maxTile" }),
    );
    expect(() => checkLayout(bad)).toThrow(/did you mean "maxTiles"/);
  });

  test("tells a file that is not JSON from one that is not there", () => {
    expect(() => checkLayout(file("text.json", "{ tessera"))).toThrow(code("ERR_LAYOUT_INVALID"));
    expect(() => checkLayout(join(folder, "none.json"))).toThrow(code("ERR_STORAGE"));
  });
});

describe("layout render", () => {
  const output = join(folder, "out.svg");
  const options = { file: "layouts/grid.json", sources: 5, size: "1280x720", output };

  test("draws as many tiles as there are sources", () => {
    expect(renderLayout(options).placements).toHaveLength(5);
    const svg = readFileSync(output, "utf8");
    expect(svg).toMatch(/^<svg [^>]*width="1280" height="720"/);
    expect(svg.match(/<clipPath/g)).toHaveLength(5);
  });

  test("can show a shared screen", () => {
    const { placements } = renderLayout({ ...options, file: "layouts/screen-share.json", screen: true });
    expect(placements[0]).toMatchObject({ slot: "screen", source: "s5", width: 1024 });
  });

  test.each([
    [{ sources: -1 }, "ERR_INVALID_ARGUMENT"],
    [{ sources: Number.NaN }, "ERR_INVALID_ARGUMENT"],
    [{ size: "1280x721" }, "ERR_INVALID_ARGUMENT"],
    [{ size: "99999x2" }, "ERR_INVALID_ARGUMENT"],
    [{ size: "" }, "ERR_INVALID_ARGUMENT"],
    [{ output: join(folder, "out.png") }, "ERR_NOT_SUPPORTED"],
    [{ output: join(folder, "no", "out.svg") }, "ERR_STORAGE"],
  ])("refuses %j", (change, want) => {
    expect(() => renderLayout({ ...options, ...change })).toThrow(code(want));
  });
});

test("layout import is not built yet, and says so", () => {
  expect(() => importLayout("owt")).toThrow(code("ERR_NOT_SUPPORTED"));
});

describe("the command line", () => {
  let said: MockInstance;
  let complained: MockInstance;
  beforeEach(() => {
    said = vi.spyOn(process.stdout, "write").mockReturnValue(true);
    complained = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  });
  afterEach(() => vi.restoreAllMocks());
  const words = (spy: MockInstance): string => spy.mock.calls.map(([text]) => String(text)).join("");

  test("check", async () => {
    expect(await runLayout(["check", "layouts/grid.json"])).toBe(0);
    expect(words(said)).toMatch(/^layouts\/grid.json: layout "grid" is valid/);
    const bad = file("twice.json", '{"tessera":1,"name":"x","arrangements":[{}]}');
    expect(await runLayout(["check", bad])).toBe(1);
    expect(words(complained)).toMatch(/^tessera layout: layout \/arrangements\/0: needs slots/);
  });

  test("render", async () => {
    const output = join(folder, "cli.svg");
    const argv = ["render", "layouts/vertical.json", "--sources", "3", "--size", "720x1280", "-o", output];
    expect(await runLayout(argv)).toBe(0);
    expect(readFileSync(output, "utf8").match(/<clipPath/g)).toHaveLength(3);
  });

  test.each([
    [["render", "layouts/grid.json"], /--output/],
    [["render", "layouts/grid.json", "--sources", "many", "-o", "x.svg"], /sources/],
    [["render", "layouts/grid.json", "-o", "x.png"], /svg only/],
    [["import", "--from", "owt", "in.json", "-o", "out.json"], /not built yet/],
    [["chekc", "layouts/grid.json"], /chekc/],
  ])("%j are bad arguments", async (argv, says) => {
    expect(await runLayout(argv)).toBe(2);
    expect(words(complained)).toMatch(says);
  });
});
