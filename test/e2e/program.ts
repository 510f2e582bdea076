import { fileURLToPath } from "node:url";
import type { MixEventBody } from "../../src/contract/events.ts";
import type { MixSummary } from "../../src/contract/worker.ts";
import { type Exit, NODE, Program, type ProgramOptions, until } from "../kit/process.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

/** What only a bug in the program writes to its standard error. */
const BROKEN = /unhandled|uncaught|TypeError|ReferenceError|AssertionError|ERR_INTERNAL|the worker died/i;

/** An event line of `--json`. */
export type MixEventLine = MixEventBody & { readonly atUs: number };

/** The last line of `--json`. */
export type MixSummaryLine = MixSummary & { readonly type: "summary"; readonly wallSeconds: number };

/** How a run of `tessera mix` ended. */
export interface MixResult {
  readonly code: number | null;
  readonly events: readonly MixEventLine[];
  /** Absent if the arguments were refused. */
  readonly summary: MixSummaryLine | undefined;
  readonly stderr: string;
}

/** `tessera mix --json`, running; disposal ends it whatever it does. */
export class MixRun implements AsyncDisposable {
  readonly pid: number;
  readonly #program: Program;

  static async start(args: readonly string[], options: ProgramOptions = {}): Promise<MixRun> {
    return new MixRun(await Program.start(NODE, [MAIN, "mix", ...args, "--json"], options));
  }

  private constructor(program: Program) {
    this.#program = program;
    this.pid = program.pid;
  }

  /** Events so far. */
  get events(): MixEventLine[] {
    return linesOf(this.#program.stdout).filter((line): line is MixEventLine => line.type !== "summary");
  }

  get hasExited(): boolean {
    return this.#program.hasExited;
  }

  /** Waits for an event of that type about that source or output. @throws if the program ends before. */
  waitFor(type: MixEventBody["type"], about?: string, withinMs = 20_000): Promise<MixEventLine> {
    return until(
      `${type} ${about ?? ""}`,
      () => {
        const found = this.events.find((event) => event.type === type && isAbout(event, about));
        if (found === undefined && this.hasExited)
          throw new Error(`ended without ${type}: ${this.#program.stderr}`);
        return found;
      },
      withinMs,
    );
  }

  /** Waits for its end. @throws if it says something that only a bug makes it say. */
  async finish(): Promise<MixResult> {
    return resultOf(await this.#program.exited);
  }

  /** As Ctrl-C does: the outputs are finished. */
  async stop(): Promise<MixResult> {
    process.kill(this.pid, "SIGINT");
    return this.finish();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
  }
}

/** Runs `tessera mix` to its end, whatever its exit code. @throws if it hangs or says something that only a bug makes it say. */
export async function mix(args: readonly string[], options?: ProgramOptions): Promise<MixResult> {
  await using run = await MixRun.start(args, options);
  return await run.finish();
}

/** Runs `tessera mix`, which must exit 0 with a summary. */
export async function mixWell(
  args: readonly string[],
  options?: ProgramOptions,
): Promise<MixResult & { readonly summary: MixSummaryLine }> {
  const { summary, ...result } = await mix(args, options);
  if (result.code === 0 && summary !== undefined) return { ...result, summary };
  throw new Error(`exit ${result.code}: ${result.stderr.slice(-2000)} ${JSON.stringify(summary?.outputs)}`);
}

/** True if the event tells of this source or output; of any, if it is not given. */
export function isAbout(event: MixEventLine, id: string | undefined): boolean {
  if (id === undefined) return true;
  return ("source" in event && event.source === id) || ("output" in event && event.output === id);
}

/** `--in A --in B`. */
export const inputs = (...urls: readonly string[]): string[] => urls.flatMap((url) => ["--in", url]);

/** `--out A --out B`. */
export const outputs = (...urls: readonly string[]): string[] => urls.flatMap((url) => ["--out", url]);

function resultOf({ code, signal, stdout, stderr }: Exit): MixResult {
  if (signal !== null) throw new Error(`killed by ${signal} after its time was up: ${stderr.slice(-2000)}`);
  if (BROKEN.test(stderr)) throw new Error(`it broke: ${stderr.slice(-3000)}`);
  const lines = linesOf(stdout);
  const summary = lines.find((line): line is MixSummaryLine => line.type === "summary");
  const events = lines.filter((line): line is MixEventLine => line.type !== "summary");
  return { code, events, summary, stderr };
}

const linesOf = (stdout: string): (MixEventLine | MixSummaryLine)[] =>
  stdout
    .split("\n")
    .filter((line) => line.endsWith("}"))
    .map((line) => JSON.parse(line));
