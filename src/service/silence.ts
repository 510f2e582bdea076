import { readFileSync } from "node:fs";

/** Of a process's main thread, from Linux's proc(5). */
interface Scheduling {
  /** Nanoseconds on a CPU, and nanoseconds in wait for one. */
  readonly ranNs: number;
  readonly waitedNs: number;
  /** It runs, or would if there were a CPU for it. */
  readonly isRunnable: boolean;
}

/**
 * How long a process has said nothing while it could have spoken: time in which its main thread waited for a CPU does
 * not count, because on an overloaded machine a healthy process is late and a new one in its place would be later. A
 * process that spins, sleeps or is stopped gets no such pardon. Where the system does not tell, all time counts.
 */
export class Silence {
  readonly #pid: number | undefined;
  #before: Scheduling | undefined;
  #ms = 0;

  constructor(pid: number | undefined) {
    this.#pid = pid;
  }

  get ms(): number {
    return this.#ms;
  }

  /** It said something. */
  break(): void {
    this.#ms = 0;
  }

  /** Another `ms` have passed. */
  pass(ms: number): void {
    const before = this.#before;
    const now = schedulingOf(this.#pid);
    this.#before = now;
    const waitedMs = before === undefined || now === undefined ? 0 : waitedSince(before, now, ms);
    this.#ms += Math.max(0, ms - waitedMs);
  }
}

/**
 * The system adds a wait to `waitedNs` when it is over, and leaves out that of a process whose group has used up its
 * share. Both show by a thread that wants a CPU at either end of the time and did not have one in between.
 */
function waitedSince(before: Scheduling, now: Scheduling, passedMs: number): number {
  const ranMs = (now.ranNs - before.ranNs) / 1e6;
  if (before.isRunnable && now.isRunnable) return Math.max(0, passedMs - ranMs);
  return (now.waitedNs - before.waitedNs) / 1e6;
}

/** Undefined where there is no such file: other systems, and processes that are gone. */
function schedulingOf(pid: number | undefined): Scheduling | undefined {
  try {
    const thread = `/proc/${pid}/task/${pid}`;
    const [ranNs = 0, waitedNs = 0] = readFileSync(`${thread}/schedstat`, "latin1").split(" ").map(Number);
    // Its name stands in brackets and may hold any character, so what follows is found from the end.
    const stat = readFileSync(`${thread}/stat`, "latin1");
    return { ranNs, waitedNs, isRunnable: stat[stat.lastIndexOf(")") + 2] === "R" };
  } catch {
    return undefined;
  }
}
