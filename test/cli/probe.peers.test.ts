import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { ProbeReport } from "../../src/core/probe-report.ts";

test("--json prints one report of all families, in which each stage is proven or says why not", async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ["src/cli/main.ts", "probe", "--json"]);
  const report = ProbeReport.parse(JSON.parse(stdout));
  expect(new Set(report.devices.map(({ accel }) => accel))).toEqual(
    new Set(["cpu", "nvenc", "vaapi", "qsv", "vulkan"]),
  );
  const stages = report.devices.flatMap((device) => device.stages);
  expect(stages.every(({ available, reason }) => available === (reason === undefined))).toBe(true);
  const cpu = report.devices.find(({ accel }) => accel === "cpu");
  expect(cpu?.stages.filter(({ available }) => !available)).toEqual([]);
}, 180_000);
