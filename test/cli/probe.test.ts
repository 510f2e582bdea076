import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { deviceTable } from "../../src/cli/probe.ts";

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function tessera(...args: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, ["src/cli/main.ts", "probe", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const texts = [child.stdout, child.stderr].map(async (stream) => {
    let text = "";
    for await (const chunk of stream.setEncoding("utf8")) text += chunk;
    return text;
  });
  const [code] = (await once(child, "close")) as [number | null];
  const [stdout = "", stderr = ""] = await Promise.all(texts);
  return { code, stdout, stderr };
}

test.each([["--jsn"], ["--json", "gpu0"]])(
  "bad arguments %s end in 2 before anything starts",
  async (...args) => {
    const { code, stdout, stderr } = await tessera(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain("error:");
  },
);

describe("while it probes", () => {
  test("it ends with its children when it is killed", async () => {
    const { child, family } = await started();
    child.kill("SIGKILL");
    await once(child, "exit");
    await expect.poll(() => family.filter(isAlive), { timeout: 5000 }).toEqual([]);
  });

  test("the process that the user starts has no FFmpeg in its memory, its grandchild has", async () => {
    const { child, family } = await started();
    const [, grandchild = 0] = family;
    const maps = (pid: number | undefined): string => readFileSync(`/proc/${pid}/maps`, "utf8");
    await expect.poll(() => maps(grandchild), { timeout: 10_000 }).toContain("node-av");
    expect(maps(child.pid)).not.toContain("node-av");
    child.kill("SIGKILL");
    await once(child, "exit");
  });
});

/** A probe that has got as far as its first device. */
async function started(): Promise<{ child: ChildProcess; family: readonly number[] }> {
  const child = spawn(process.execPath, ["src/cli/main.ts", "probe"], { stdio: "ignore" });
  let family: readonly number[] = [];
  await expect
    .poll(
      () => {
        family = descendants(child.pid ?? 0);
        return family.length;
      },
      { timeout: 10_000 },
    )
    .toBeGreaterThanOrEqual(2);
  return { child, family };
}

describe("the table", () => {
  const device = { profile: "x", title: "Card", accel: "qsv", software: false, opened: true, stages: [] };

  test("tells what is proven, how fast, and why the rest is absent", () => {
    const table = deviceTable({
      ...device,
      deviceName: "Arc",
      stages: [
        {
          stage: "decode",
          media: "video",
          codec: "h264",
          name: "h264_qsv",
          available: true,
          fps: 812.4,
          psnrDb: 100,
        },
        {
          stage: "encode",
          media: "video",
          codec: "av1",
          name: "av1_qsv",
          available: false,
          reason: { kind: "failed", message: "unsupported" },
        },
      ],
    });
    expect(table.split("\n")).toEqual([
      "Card [--accel qsv] Arc",
      "  decode  h264  h264_qsv  812 frames/s  100 dB of the CPU's",
      "  encode  av1   av1_qsv   absent        unsupported",
      "",
      "",
    ]);
  });

  test("says in one line why a device is absent", () => {
    const reason = { kind: "no-device" as const, message: "no driver" };
    expect(deviceTable({ ...device, opened: false, reason })).toBe(
      "Card [--accel qsv]\n  absent: no driver\n\n",
    );
  });
});

function descendants(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
    .split(" ")
    .filter(Boolean)
    .map(Number);
  return children.flatMap((child) => [child, ...descendants(child)]);
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
