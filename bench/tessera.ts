import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { MixSpecInput } from "../src/contract/mix-spec.ts";
import type { MixStats } from "../src/contract/status.ts";
import type { MixSummary } from "../src/contract/worker.ts";
import { freePort, NODE, Program, until } from "../test/kit/process.ts";
import { treeCpuSeconds, treeRssBytes } from "../test/kit/usage.ts";
import type { Command } from "./reference.ts";

const MAIN = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));

/** `tessera mix` over files, on the virtual clock. */
export function tesseraMix(
  inputs: readonly string[],
  output: string,
  { seconds, layout, size }: { readonly seconds: number; readonly layout?: string; readonly size?: string },
): Command {
  const flags = ["--fast", "--json", "--overwrite", "--duration", `${seconds}`];
  if (layout !== undefined) flags.push("--layout", layout);
  if (size !== undefined) flags.push("--size", size);
  return {
    program: NODE,
    args: [MAIN, "mix", ...inputs.flatMap((file) => ["--in", file]), "--out", output, ...flags],
  };
}

/** The last line of `tessera mix --json`. @throws if it is not there. */
export function summaryOf(stdout: string): MixSummary & { readonly wallSeconds?: number } {
  const line = stdout.split("\n").findLast((text) => text.includes('"summary"'));
  if (line === undefined) throw new Error(`no summary in:\n${stdout.slice(-2000)}`);
  return JSON.parse(line) as MixSummary;
}

/** What a running program used in a stretch of wall time. */
export interface Stretch {
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly peakRssBytes: number;
}

/** A `tessera serve` of its own on loopback, with its data in a temporary folder that goes with it. */
export class Server implements AsyncDisposable {
  /** Recordings lie in `recordings` below. */
  readonly dataDir: string;
  readonly pid: number;
  readonly #url: string;
  readonly #program: Program;
  #calls = 0;

  /** @param files folders that pulled files may lie in. */
  static async open(files: readonly string[]): Promise<Server> {
    const dataDir = mkdtempSync(join(tmpdir(), "tessera-bench-serve-"));
    const http = `127.0.0.1:${await freePort()}`;
    const folders = files.flatMap((folder) => ["--files", folder]);
    const args = [
      MAIN,
      "serve",
      "--http",
      http,
      "--rtmp",
      "off",
      "--data",
      dataDir,
      "--allow",
      "127.0.0.1",
      ...folders,
    ];
    const program = await Program.start(NODE, args, { maxMs: 3_600_000, cwd: dataDir });
    const server = new Server(program, http, dataDir);
    try {
      await until("tessera serve answers", () => {
        if (program.hasExited) throw new Error(`tessera serve ended: ${program.stderr.slice(-3000)}`);
        return fetch(`http://${http}/healthz`).then(
          (answer) => answer.ok,
          () => false,
        );
      });
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    return server;
  }

  private constructor(program: Program, http: string, dataDir: string) {
    this.#program = program;
    this.#url = `http://${http}/rpc`;
    this.dataDir = dataDir;
    this.pid = program.pid;
  }

  /** One JSON-RPC call. @throws with the error's code and message. */
  async call<Result>(method: string, params: unknown): Promise<Result> {
    this.#calls += 1;
    const body = JSON.stringify({ jsonrpc: "2.0", id: this.#calls, method, params });
    const headers = { "content-type": "application/json" };
    const answer = await (await fetch(this.#url, { method: "POST", headers, body })).json();
    const { result, error } = answer as {
      result: Result;
      error?: { message: string; data?: { code: string } };
    };
    if (error) throw new Error(`${method}: ${error.data?.code ?? ""} ${error.message}`);
    return result;
  }

  /** Creates a mix and waits until `isReady` holds of its statistics. @returns its id. */
  async createMix(
    spec: MixSpecInput,
    isReady: (stats: MixStats) => boolean,
    withinMs = 60_000,
  ): Promise<string> {
    const { id } = await this.call<{ id: string }>("mix.create", spec);
    await until(`mix ${id} is ready`, async () => isReady(await this.stats(id)), withinMs);
    return id;
  }

  stats(mix: string): Promise<MixStats> {
    return this.call<MixStats>("mix.stats", { mix });
  }

  /** What the whole process tree uses in the next `seconds`. */
  async stretch(seconds: number): Promise<Stretch> {
    const [startedMs, before] = [performance.now(), treeCpuSeconds(this.pid)];
    let peakRssBytes = 0;
    while (performance.now() - startedMs < seconds * 1000) {
      peakRssBytes = Math.max(peakRssBytes, treeRssBytes(this.pid));
      await sleep(Math.min(250, Math.max(0, seconds * 1000 - (performance.now() - startedMs))));
    }
    if (this.#program.hasExited) throw new Error(`tessera serve ended: ${this.#program.stderr.slice(-3000)}`);
    const cpuSeconds = treeCpuSeconds(this.pid) - before;
    return { wallSeconds: (performance.now() - startedMs) / 1000, cpuSeconds, peakRssBytes };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.stop("SIGTERM", 10_000);
    await this.#program[Symbol.asyncDispose]();
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}

/** All sources are there and all outputs run. */
export const isRunning = (stats: MixStats): boolean =>
  stats.sources.length > 0 &&
  stats.sources.every(({ state }) => state === "online") &&
  stats.outputs.every(({ state }) => state === "live");
