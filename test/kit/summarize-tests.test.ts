import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type Exit, NODE, Program } from "./process.ts";

type Status = "passed" | "failed" | "skipped" | "pending" | "todo";

/** Runs the summary of continuous integration over a report as vitest writes it. */
async function summarize(
  statuses: readonly Status[],
  { brokenFile = false, runnerCode = 0 } = {},
): Promise<Exit> {
  const folder = mkdtempSync(join(tmpdir(), "tessera-summary-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "report.json");
  const assertionResults = statuses.map((status, n) => ({ fullName: `check ${n}`, status }));
  const good = { name: resolve("test/some.test.ts"), status: "passed", message: "", assertionResults };
  const broken = {
    name: resolve("test/bad.test.ts"),
    status: "failed",
    message: "no such module",
    assertionResults: [],
  };
  writeFileSync(file, JSON.stringify({ testResults: brokenFile ? [good, broken] : [good] }));
  const program = await Program.start(NODE, ["scripts/summarize-tests.js", file, `${runnerCode}`]);
  return program.exited;
}

const lastLine = ({ stdout }: Exit): string | undefined => stdout.trimEnd().split("\n").at(-1);

test("green is green, and ends with one plain line", async () => {
  const exit = await summarize(["passed", "passed"]);
  expect([exit.code, lastLine(exit)]).toEqual([0, "2 passed, 0 failed, 0 skipped"]);
});

test("a failed test is red and named", async () => {
  const exit = await summarize(["passed", "failed"], { runnerCode: 1 });
  expect([exit.code, lastLine(exit)]).toEqual([1, "1 passed, 1 failed, 0 skipped"]);
  expect(exit.stdout).toContain("FAILED   test/some.test.ts > check 1");
});

for (const status of ["skipped", "pending", "todo"] as const) {
  test(`a ${status} test that needs no GPU is red`, async () => {
    const exit = await summarize(["passed", status]);
    expect([exit.code, lastLine(exit)]).toEqual([1, "1 passed, 0 failed, 1 skipped"]);
    expect(exit.stdout).toContain("SKIPPED  test/some.test.ts > check 1");
  });
}

test("a file that cannot be run is a failure", async () => {
  const exit = await summarize(["passed"], { brokenFile: true, runnerCode: 1 });
  expect([exit.code, lastLine(exit)]).toEqual([1, "1 passed, 1 failed, 0 skipped"]);
});

test("an unhandled rejection after green tests is red", async () => {
  const exit = await summarize(["passed"], { runnerCode: 1 });
  expect([exit.code, lastLine(exit)]).toEqual([1, "1 passed, 0 failed, 0 skipped"]);
});

test("no tests at all, and no report at all, are red", async () => {
  expect((await summarize([])).code).toBe(1);
  const program = await Program.start(NODE, ["scripts/summarize-tests.js", "/nowhere.json", "0"]);
  expect((await program.exited).code).toBe(1);
});
