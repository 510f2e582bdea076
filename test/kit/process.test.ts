import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { freePort, NODE, Program, runToEnd, until } from "./process.ts";
import { measure, rssBytes, treeCpuSeconds, treePids } from "./usage.ts";

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

test("tells exit code and both outputs", async () => {
  const program = await Program.start("sh", ["-c", "cat; echo bad >&2; exit 3"], {
    stdin: Buffer.from("good"),
  });
  expect(await program.exited).toEqual({ code: 3, signal: null, stdout: "good", stderr: "bad\n" });
});

test("a program that does not exist, and one that fails, are errors", async () => {
  await expect(runToEnd("/nowhere/program", [])).rejects.toThrow();
  await expect(runToEnd("sh", ["-c", "echo why >&2; exit 4"])).rejects.toThrow(/exit 4\nwhy/);
});

test("kills what lives too long", async () => {
  const program = await Program.start("sleep", ["60"], { maxMs: 100 });
  expect((await program.exited).signal).toBe("SIGKILL");
});

test("takes children with it", async () => {
  const program = await Program.start("sh", ["-c", "sleep 60 & echo child $!; wait"]);
  const child = Number((await program.waitFor(/child (\d+)/))[1]);
  expect(treePids(program.pid)).toContain(child);
  await program[Symbol.asyncDispose]();
  await until("the child is gone", () => !isAlive(child));
});

test("dies with the process that started it, even by SIGKILL", async () => {
  const source = `import { Program } from ${JSON.stringify(new URL("process.ts", import.meta.url).href)};
    console.log("pid", (await Program.start("sleep", ["60"])).pid);`;
  const parent = await Program.start(NODE, ["--input-type=module", "-e", source]);
  const pid = Number((await parent.waitFor(/pid (\d+)/))[1]);
  expect(isAlive(pid)).toBe(true);
  process.kill(parent.pid, "SIGKILL");
  await until("the grandchild is gone", () => !isAlive(pid));
});

test("waiting for words that never come says what came instead", async () => {
  await using talker = await Program.start("sh", ["-c", "echo other words; sleep 60"]);
  await expect(talker.waitFor(/the word/, 200)).rejects.toThrow(/did not say.*other words/s);
  await using mute = await Program.start("sh", ["-c", "echo last words"]);
  await expect(mute.waitFor(/the word/)).rejects.toThrow(/ended without.*last words/s);
});

test("free ports differ and are free", async () => {
  const [one, two] = await Promise.all([freePort(), freePort()]);
  expect(one).not.toBe(two);
  expect(one).toBeGreaterThan(1023);
});

/** Uses 0.4 s of CPU, however long that takes on a busy machine. */
const BURN =
  "const used = () => Object.values(process.cpuUsage()).reduce((a, b) => a + b); while (used() < 4e5);";

test("counts the CPU time of a whole tree, ended children too", async () => {
  const nested = `${JSON.stringify(NODE)} -e '${BURN}'; ${JSON.stringify(NODE)} -e '${BURN}' & wait`;
  const usage = await measure("sh", ["-c", nested]);
  const idle = await measure("sleep", ["0.5"]);
  expect(usage.cpuSeconds).toBeGreaterThan(0.75);
  expect(usage.cpuSeconds).toBeLessThan(3);
  expect(usage.peakRssBytes).toBeGreaterThan(20e6);
  expect(idle.cpuSeconds).toBeLessThan(0.1);
  expect(idle.wallSeconds).toBeGreaterThan(0.49);
});

test("counts the CPU time of a tree that still runs", async () => {
  const script = `${JSON.stringify(NODE)} -e '${BURN}'; echo burnt; sleep 60`;
  await using program = await Program.start("sh", ["-c", script]);
  await program.waitFor(/burnt/);
  const seconds = treeCpuSeconds(program.pid);
  expect(seconds).toBeGreaterThan(0.3);
  await sleep(200);
  expect(treeCpuSeconds(program.pid) - seconds).toBeLessThan(0.05);
});

test("measuring a program that fails is an error", async () => {
  await expect(measure("sh", ["-c", "exit 5"])).rejects.toThrow(/: 5/);
});

test("knows nothing of processes that are gone", async () => {
  const { pid, exited } = await Program.start("true", []);
  await exited;
  expect([rssBytes(pid), treeCpuSeconds(pid)]).toEqual([0, 0]);
});
