import { type ChildProcess, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";

/** How a program ended, with everything it said. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  readonly cwd?: string;
  /** Added to this process's environment; `undefined` removes a name. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Written to its standard input, which is closed otherwise. */
  readonly stdin?: Readable | Uint8Array;
  /** It is killed after this long, default 60 s, so that no test leaves anything behind. */
  readonly maxMs?: number;
}

/** What it says is kept up to this many characters per stream, the newest. */
const MAX_KEPT = 4_000_000;
const SETPRIV = "/usr/bin/setpriv";

/** The Node that runs the project; use it to start our own program. */
export const NODE: string = process.execPath;

/**
 * A program of its own process group with a bounded life. It dies with this process, whatever happens to that;
 * `await using` stops it.
 */
export class Program implements AsyncDisposable {
  readonly pid: number;
  /** Settles when it has ended and said everything; never rejects. */
  readonly exited: Promise<Exit>;
  readonly #said = { stdout: "", stderr: "" };
  #hasExited = false;

  /** @throws if there is no such program. */
  static async start(
    command: string,
    args: readonly string[],
    options: ProgramOptions = {},
  ): Promise<Program> {
    const { cwd, env, maxMs = 60_000, stdin } = options;
    // The kernel kills it when this process dies by any cause: timers and exit handlers do not run on SIGKILL.
    const [file, ...rest] = existsSync(SETPRIV) ? [SETPRIV, "--pdeathsig", "KILL", "--", command] : [command];
    const child = spawn(file ?? command, [...rest, ...args], {
      detached: true,
      stdio: [stdin ? "pipe" : "ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
      ...(cwd === undefined ? {} : { cwd }),
    });
    await new Promise<void>((resolve, reject) => child.once("spawn", resolve).once("error", reject));
    return new Program(child, maxMs, stdin);
  }

  private constructor(child: ChildProcess, maxMs: number, stdin: Readable | Uint8Array | undefined) {
    this.pid = child.pid ?? -1;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => this.#hear("stdout", text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => this.#hear("stderr", text));
    child.stdin?.on("error", () => {}); // A program may end before it has read everything; its exit code tells.
    if (stdin instanceof Uint8Array) child.stdin?.end(stdin);
    else if (child.stdin) stdin?.pipe(child.stdin);
    const life = setTimeout(() => this.signal("SIGKILL"), maxMs);
    this.exited = new Promise((resolve) => {
      child.once("close", (code, signal) => {
        clearTimeout(life);
        this.#hasExited = true;
        resolve({ code, signal, ...this.#said });
      });
    });
  }

  /** What it has said so far. */
  get stdout(): string {
    return this.#said.stdout;
  }
  get stderr(): string {
    return this.#said.stderr;
  }
  get hasExited(): boolean {
    return this.#hasExited;
  }

  /** Waits until stdout or stderr holds the pattern. @throws if it ends before, or after `withinMs`. */
  async waitFor(pattern: RegExp, withinMs = 15_000): Promise<RegExpExecArray> {
    const find = (): RegExpExecArray | null => pattern.exec(this.stdout) ?? pattern.exec(this.stderr);
    const deadlineMs = performance.now() + withinMs;
    for (;;) {
      const ended = this.#hasExited;
      const match = find();
      if (match) return match;
      if (ended) throw new Error(`ended without saying ${pattern}:\n${this.#tail()}`);
      if (performance.now() > deadlineMs)
        throw new Error(`did not say ${pattern} in ${withinMs} ms:\n${this.#tail()}`);
      await sleep(20);
    }
  }

  /** Sends a signal to the program and its children; does nothing once it has ended. */
  signal(name: NodeJS.Signals): void {
    if (this.#hasExited) return;
    try {
      process.kill(-this.pid, name);
    } catch (error) {
      // ESRCH: it ended, and only its exit has not been told yet.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }

  /** Asks it to end, and kills it if it does not within `graceMs`. */
  async stop(name: NodeJS.Signals = "SIGTERM", graceMs = 5000): Promise<Exit> {
    this.signal(name);
    const killer = setTimeout(() => this.signal("SIGKILL"), graceMs);
    const exit = await this.exited;
    clearTimeout(killer);
    return exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal("SIGCONT");
    await this.stop("SIGKILL");
  }

  #hear(stream: "stdout" | "stderr", text: string): void {
    this.#said[stream] = (this.#said[stream] + text).slice(-MAX_KEPT);
  }

  #tail(): string {
    return `${this.stdout.slice(-2000)}\n${this.stderr.slice(-2000)}`;
  }
}

/** Runs a program to its end. @throws with the end of what it said if it fails. */
export async function runToEnd(
  command: string,
  args: readonly string[],
  options?: ProgramOptions,
): Promise<Exit> {
  const program = await Program.start(command, args, options);
  const exit = await program.exited;
  if (exit.code === 0) return exit;
  const how = exit.signal ?? `exit ${exit.code}`;
  throw new Error(
    `${command} ${args.join(" ")}: ${how}\n${exit.stderr.slice(-3000) || exit.stdout.slice(-3000)}`,
  );
}

/** A TCP port of loopback that is free now; asked from the kernel, so two callers never get the same soon. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : -1));
    });
  });
}

/** A UDP port of loopback that is free now. */
export function freeUdpPort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = createSocket("udp4").once("error", reject);
    socket.bind(0, "127.0.0.1", () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}

/** Waits until `condition` gives something truthy. @throws after `withinMs`, naming `what`. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  withinMs = 15_000,
): Promise<NonNullable<T>> {
  const deadlineMs = performance.now() + withinMs;
  for (;;) {
    const result = await condition();
    if (result) return result as NonNullable<T>;
    if (performance.now() > deadlineMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await sleep(20);
  }
}
