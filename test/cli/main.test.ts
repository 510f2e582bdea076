import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));

test("`tessera bench` outside a checkout says where benchmarks run, without a stack", () => {
  const folder = mkdtempSync(join(tmpdir(), "tessera-installed-"));
  try {
    for (const part of ["cli", "core"])
      cpSync(join(root, "src", part), join(folder, "src", part), { recursive: true });
    for (const name of ["package.json", "node_modules"]) symlinkSync(join(root, name), join(folder, name));
    const run = spawnSync(process.execPath, [join(folder, "src/cli/main.ts"), "bench"], { encoding: "utf8" });
    expect(run.stderr).toBe("tessera: benchmarks run from a checkout of the repository: npm run bench\n");
    expect(run.status).toBe(2);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
