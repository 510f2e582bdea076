// Makes `dist/`, which is what the published package runs: the sources without their types, and what lies beside
// them. `layouts/` and `hw/` are published as they are; `dist/` lies as deep as `src/`, so both find them alike.
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const source = join(root, "src");
const target = join(root, "dist");
const tsc = join(root, "node_modules", ".bin", "tsc");

/**
 * The published `tessera`. Installed globally it is started by whatever Node the machine has; the one that it needs
 * comes with the package. Kept to what Node 18 understands.
 */
const LAUNCHER = `#!/usr/bin/env node
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

if (Number.parseInt(process.versions.node, 10) >= 26) {
  await import("./program.js");
} else {
  const packageFile = createRequire(import.meta.url).resolve("node/package.json");
  const node = join(dirname(packageFile), "bin", process.platform === "win32" ? "node.exe" : "node");
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    console.error(\`tessera: \${error.message}\`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => process.exit(code ?? (signal ? 1 : 0)));
}
`;

rmSync(target, { recursive: true, force: true });
const { status } = spawnSync(tsc, ["-p", join(root, "scripts", "tsconfig.build.json")], {
  cwd: root,
  stdio: "inherit",
});
if (status !== 0) {
  // Half a build is worse than none.
  rmSync(target, { recursive: true, force: true });
  process.exit(status ?? 1);
}
for (const path of readdirSync(source, { recursive: true, withFileTypes: true })) {
  if (!path.isFile() || /\.tsx?$/.test(path.name)) continue;
  const from = join(path.parentPath, path.name);
  const to = join(target, from.slice(source.length));
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
}
const main = join(target, "cli", "main.js");
if (!existsSync(main)) throw new Error("the build has no dist/cli/main.js");
renameSync(main, join(target, "cli", "program.js"));
writeFileSync(main, LAUNCHER);
chmodSync(main, 0o755);
