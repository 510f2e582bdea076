import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { describe, expect, test } from "vitest";

/** What each folder may import, besides itself. The tower is read bottom-up. */
const MAY_IMPORT: Record<string, string> = {
  core: "",
  layout: "core",
  contract: "core layout",
  media: "core",
  protocol: "core",
  transport: "core media protocol",
  native: "core media",
  ingest: "core media protocol transport native",
  egress: "core media protocol transport native",
  decode: "core media native",
  encode: "core media native",
  mixer: "core layout media native",
  session: "core layout contract media protocol transport native ingest decode mixer encode egress",
  service: "core layout contract",
  door: "core contract media protocol transport service",
  rpc: "core layout contract service",
  web: "core layout contract service",
  console: "core layout contract",
  cli: "core layout contract service door rpc web",
};

/** The only folders that may import each package; every dependency of package.json stands here. */
const PACKAGE_LIVES_IN: Record<string, string> = {
  "node-av": "native",
  sharp: "native",
  pino: "core",
  zod: "core layout contract native service rpc cli",
  fastify: "web",
  ws: "web",
  "prom-client": "web",
  commander: "cli",
  node: "",
};

/** A file may be longer than 400 lines only with a reason in its first comment. */
const MAX_LINES = 400;

const files = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((path) => /\.tsx?$/.test(path))
  .map((path) => posix.join("src", path.replaceAll("\\", "/")));

const importsOf = (source: string): string[] =>
  [
    ...source.matchAll(
      /^(?:import|export)\b[^;]*?\bfrom "([^"]+)"|\bimport\("([^"]+)"\)|^import "([^"]+)"/gm,
    ),
  ].map((match) => match[1] ?? match[2] ?? match[3] ?? "");

describe.each(files)("%s", (file) => {
  const source = readFileSync(file, "utf8");
  const folder = file.split("/")[1] ?? "";

  test("imports downward only", () => {
    for (const target of importsOf(source).filter((one) => one.startsWith("."))) {
      const to = posix.join(posix.dirname(file), target).split("/")[1] ?? "";
      const allowed = to === folder || MAY_IMPORT[folder]?.split(" ").includes(to);
      expect(allowed, `${folder} must not import ${to}: ${target}`).toBe(true);
    }
  });

  test("uses packages where they live", () => {
    for (const target of importsOf(source).filter(
      (one) => !one.startsWith(".") && !one.startsWith("node:"),
    )) {
      const name = target.startsWith("@")
        ? target.split("/").slice(0, 2).join("/")
        : (target.split("/")[0] ?? "");
      const home = PACKAGE_LIVES_IN[name];
      expect(home, `${name} is in no row of the package table`).toBeDefined();
      expect(home?.split(" "), `${name} lives in ${home}, not in ${folder}`).toContain(folder);
    }
  });

  test("is short, or says why not", () => {
    if (source.split("\n").length > MAX_LINES) expect(source.slice(0, 2000)).toMatch(/long because/i);
  });
});

test("the package table holds exactly the dependencies", () => {
  const { dependencies } = JSON.parse(readFileSync("package.json", "utf8")) as {
    dependencies: Record<string, string>;
  };
  expect(Object.keys(PACKAGE_LIVES_IN).sort()).toEqual(Object.keys(dependencies).sort());
  for (const version of Object.values(dependencies)) expect(version).toMatch(/^\d+\.\d+\.\d+$/);
});
