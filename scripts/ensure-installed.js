// Installs what is missing, and nothing else; with nothing missing it takes a moment and no network.
//
//   node scripts/ensure-installed.js           npm packages, among them the Node that runs the project
//   node scripts/ensure-installed.js --peers   also the Debian packages of the programs that tests drive
//
// Runs before `npm start`, `npm test` and their like, with whatever Node started npm (18 or newer): plain
// JavaScript, no packages. Set TESSERA_INSTALL_PEERS=0 to keep `--peers` from touching the system.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { apt, whyNoApt } from "./apt.js";
import { ensurePeers } from "./ensure-peers.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const modules = join(root, "node_modules");
const stampFile = join(modules, ".tessera-installed");

const readText = (file) => (existsSync(file) ? readFileSync(file, "utf8") : "");
const lockText = readText(join(root, "package-lock.json"));
const lockHash = createHash("sha256").update(lockText).digest("hex");
const programs = ["node", "tsc", "vitest"].map((name) => join(modules, ".bin", name));
const isComplete = () => programs.every((file) => existsSync(file));

/** Packages of binaries are optional, and each machine needs those of its own kind all the same. */
const isForThisMachine = ({ os, cpu, libc }) =>
  os?.includes(process.platform) && cpu?.includes(process.arch) && !libc?.includes("musl");

/** Someone ran `npm ci` by hand: every package that this machine needs is there in the version of the lock. */
function matchesLock() {
  const installed = readText(join(modules, ".package-lock.json"));
  if (installed === "") return false;
  const there = JSON.parse(installed).packages;
  return Object.entries(JSON.parse(lockText).packages)
    .filter(([path, entry]) => path !== "" && (!entry.optional || isForThisMachine(entry)))
    .every(([path, { version }]) => there[path]?.version === version);
}

/** Runs one npm command with the given Node; the exit code of the first that fails becomes ours. */
function npm(node, ...args) {
  // npm names itself in the environment of its scripts; without it we were called by hand.
  const cli = process.env.npm_execpath;
  const [program, first] = cli?.endsWith(".js") ? [node, [cli]] : ["npm", []];
  const env = {
    ...process.env,
    PATH: `${dirname(node)}${delimiter}${process.env.PATH}`,
    NODE_NO_WARNINGS: "1",
  };
  // Errors alone: an old npm warns of every package that wants a newer Node than the one that started it.
  const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
  const { status, error } = spawnSync(program, [...first, ...args, ...quiet], {
    cwd: root,
    stdio: "inherit",
    env,
  });
  if (status === 0) return;
  console.error(`\`npm ${args.join(" ")}\` failed${error ? `: ${error.message}` : ""}.`);
  process.exit(status ?? 1);
}

/**
 * The project's Node in a folder of its own, for npm to run with: npm leaves out optional packages (the binaries
 * of sharp, for one) that ask for a newer Node than the one it runs with itself.
 */
function borrowNode(folder) {
  const { version } = JSON.parse(lockText).packages["node_modules/node"];
  const name = `${process.platform === "darwin" ? "node-bin" : "node"}-${process.platform}-${process.arch}`;
  npm(process.execPath, "install", "--prefix", folder, "--no-save", "--ignore-scripts", `${name}@${version}`);
  const node = join(folder, "node_modules", name, "bin", "node");
  ensureNodeRuns(node);
  return node;
}

function install() {
  console.error("Installing npm packages, once; this takes a minute.");
  const folder = mkdtempSync(join(tmpdir(), "tessera-install-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const ours = JSON.parse(lockText).packages["node_modules/node"].version.split(".")[0];
  const node = process.versions.node.split(".")[0] === ours ? process.execPath : borrowNode(folder);
  // Exactly one package needs its script: `node`, which fetches the Node for this machine. npm versions
  // disagree on whose scripts they run, so the choice is made here.
  npm(node, "ci", "--ignore-scripts");
  npm(node, "rebuild", "node");
  if (isComplete()) return;
  console.error(
    `The installation is not complete: ${programs.filter((file) => !existsSync(file)).join(", ")}.`,
  );
  process.exit(1);
}

/** The one library that Node takes from the system and that a minimal Debian leaves out: a few kilobytes. */
function ensureNodeRuns(node) {
  const start = () => spawnSync(node, ["--version"], { encoding: "utf8" });
  const first = start();
  if (first.status === 0) return;
  const lacksAtomic = first.stderr?.includes("libatomic.so.1");
  if (lacksAtomic && whyNoApt() === undefined) {
    console.error("Installing libatomic1, which Node needs.");
    const isThere = apt("install", "libatomic1") || (apt("update") && apt("install", "libatomic1"));
    if (isThere && start().status === 0) return;
  }
  console.error(`The project's Node does not run here: ${first.stderr || first.error?.message}`);
  if (lacksAtomic)
    console.error("Install libatomic1 (Debian, Ubuntu) or libatomic (Fedora), then try again.");
  process.exit(1);
}

if (!(isComplete() && (readText(stampFile) === lockHash || matchesLock()))) install();
if (readText(stampFile) !== lockHash) writeFileSync(stampFile, lockHash);
ensureNodeRuns(programs[0]);
if (process.argv.includes("--peers")) ensurePeers(join(modules, ".tessera-peers.json"));
