// Installs what is missing, and nothing else; with nothing missing it takes a moment and no network.
//
//   node scripts/ensure-installed.js           npm packages, among them the Node that runs the project
//   node scripts/ensure-installed.js --peers   also the Debian packages of the programs that tests drive
//
// Runs before `npm start`, `npm test` and their like, with whatever Node started npm (18 or newer): plain
// JavaScript, no packages. Set TESSERA_INSTALL_PEERS=0 to keep `--peers` from touching the system.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensurePeers } from "./ensure-peers.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const modules = join(root, "node_modules");
const stampFile = join(modules, ".tessera-installed");

const readText = (file) => (existsSync(file) ? readFileSync(file, "utf8") : "");
const lockText = readText(join(root, "package-lock.json"));
const lockHash = createHash("sha256").update(lockText).digest("hex");
const programs = ["node", "tsc", "vitest"].map((name) => join(modules, ".bin", name));
const isComplete = () => programs.every((file) => existsSync(file));

/** Someone ran `npm ci` by hand: every package that is not optional is there in the version of the lock. */
function matchesLock() {
  const installed = readText(join(modules, ".package-lock.json"));
  if (installed === "") return false;
  const there = JSON.parse(installed).packages;
  return Object.entries(JSON.parse(lockText).packages).every(
    ([path, { version, optional }]) => path === "" || optional || there[path]?.version === version,
  );
}

/** Runs one npm command in the project; the exit code of the first that fails becomes ours. */
function npm(...args) {
  // npm names itself in the environment of its scripts; without it we were called by hand.
  const cli = process.env.npm_execpath;
  const [program, first] = cli?.endsWith(".js") ? [process.execPath, [cli]] : ["npm", []];
  const { status, error } = spawnSync(program, [...first, ...args], { cwd: root, stdio: "inherit" });
  if (status === 0) return;
  console.error(`\`npm ${args.join(" ")}\` failed${error ? `: ${error.message}` : ""}.`);
  process.exit(status ?? 1);
}

function install() {
  console.error("Installing npm packages, once; this takes a minute.");
  // Exactly one package needs its script: `node`, which fetches the Node for this machine. npm versions
  // disagree on whose scripts they run, so the choice is made here.
  npm("ci", "--ignore-scripts", "--no-audit", "--no-fund");
  npm("rebuild", "node", "--no-audit", "--no-fund");
  if (isComplete()) return;
  console.error(
    `The installation is not complete: ${programs.filter((file) => !existsSync(file)).join(", ")}.`,
  );
  process.exit(1);
}

if (!(isComplete() && (readText(stampFile) === lockHash || matchesLock()))) install();
if (readText(stampFile) !== lockHash) writeFileSync(stampFile, lockHash);
if (process.argv.includes("--peers")) ensurePeers(join(modules, ".tessera-peers.json"));
