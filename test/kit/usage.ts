import { existsSync, readdirSync, readFileSync } from "node:fs";
import { type Exit, Program, type ProgramOptions } from "./process.ts";

/** The kernel's `USER_HZ`: the unit of the times in `/proc`, fixed at 100 on every Linux of this kind. */
const TICKS_PER_SECOND = 100;

interface ProcessStat {
  readonly pid: number;
  readonly parent: number;
  /** User plus system time, its own and that of its ended and awaited children. */
  readonly cpuSeconds: number;
}

/** The program dies with the shell around it, as that dies with us. Split into words by the shell. */
const DIE_WITH_SHELL = existsSync("/usr/bin/setpriv") ? "/usr/bin/setpriv --pdeathsig KILL --" : "env --";

/** What a program with all its children has used. */
export interface Usage {
  readonly exit: Exit;
  /** User plus system time of the whole tree, also of children that ended before it. Resolution 10 ms. */
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
  /** The largest sum of resident memory over the tree that a look every 50 ms met. Shared pages count in each. */
  readonly peakRssBytes: number;
}

/**
 * Runs a program to its end and says what it cost; it may run beside others.
 *
 * A shell around it awaits it and then reports its own `/proc` line, which holds the times of everything awaited.
 * @throws if it fails.
 */
export async function measure(
  command: string,
  args: readonly string[],
  options?: ProgramOptions,
): Promise<Usage> {
  const script =
    'trap : INT TERM; "$@"; code=$?; read -r line < /proc/$$/stat; echo "usage: $line" >&2; exit $code';
  const startedMs = performance.now();
  await using program = await Program.start("sh", ["-c", script, DIE_WITH_SHELL, command, ...args], options);
  let peakRssBytes = 0;
  const look = setInterval(() => {
    peakRssBytes = Math.max(peakRssBytes, treeRssBytes(program.pid));
  }, 50);
  const exit = await program.exited;
  clearInterval(look);
  const wallSeconds = (performance.now() - startedMs) / 1000;
  const line = /^usage: (.*)$/m.exec(exit.stderr)?.[1];
  if (exit.code !== 0 || line === undefined) {
    throw new Error(`${command} ${args.join(" ")}: ${exit.signal ?? exit.code}\n${exit.stderr.slice(-3000)}`);
  }
  return { exit, cpuSeconds: parseStat(line).cpuSeconds, wallSeconds, peakRssBytes };
}

/** CPU seconds that a running program and its children, also ended ones, have used so far; 0 if it is gone. */
export function treeCpuSeconds(pid: number): number {
  return processTree(pid).reduce((sum, one) => sum + one.cpuSeconds, 0);
}

/** Resident memory of a running program and its children; 0 if it is gone. */
export function treeRssBytes(pid: number): number {
  return processTree(pid).reduce((sum, one) => sum + rssBytes(one.pid), 0);
}

/** Process ids of a running program and all its descendants, the program first. */
export function treePids(pid: number): number[] {
  return processTree(pid).map((one) => one.pid);
}

/** Resident memory of one process; 0 if it is gone. */
export function rssBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+)/m.exec(readProc(pid, "status"))?.[1];
  return Number(kilobytes ?? 0) * 1024;
}

function processTree(pid: number): ProcessStat[] {
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readProc(Number(name), "stat"))
    .filter((line) => line !== "")
    .map(parseStat);
  const tree = all.filter((one) => one.pid === pid);
  for (const parent of tree) tree.push(...all.filter((one) => one.parent === parent.pid));
  return tree;
}

/** proc(5): `pid (comm) state ppid ... utime stime cutime cstime`, where comm may hold spaces and brackets. */
function parseStat(line: string): ProcessStat {
  const fields = line.slice(line.lastIndexOf(")") + 2).split(" ");
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return { pid: Number.parseInt(line, 10), parent: Number(fields[1]), cpuSeconds: ticks / TICKS_PER_SECOND };
}

/** A file of a process, or nothing if the process is gone. */
function readProc(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") return "";
    throw error;
  }
}
