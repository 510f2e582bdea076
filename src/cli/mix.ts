import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import { CommanderError } from "commander";
import type { MixEventBody } from "../contract/events.ts";
import type { MixSpec } from "../contract/mix-spec.ts";
import type { Identified, MixState, MixSummary, WorkerSettings } from "../contract/worker.ts";
import { errorInfo } from "../core/error.ts";
import { createLogger, type Logger } from "../core/log.ts";
import { rational } from "../core/rational.ts";
import { openKeyedDoor } from "../door/keyed-door.ts";
import { Layouts } from "../service/layouts.ts";
import { wallMs } from "../service/time.ts";
import { WorkerProcess } from "../service/worker.ts";
import { type MixArguments, mixArguments } from "./mix-arguments.ts";

const WORKER = fileURLToPath(
  new URL(`../session/worker-main${import.meta.filename.endsWith(".js") ? ".js" : ".ts"}`, import.meta.url),
);

/**
 * `tessera mix`: the whole main job without a server. Returns the exit code: 0 every output is complete, 1 an output
 * failed, 2 the arguments are bad and nothing was started.
 */
export async function runMix(argv: readonly string[]): Promise<number> {
  let wanted: MixArguments;
  let state: MixState;
  try {
    wanted = mixArguments(argv);
    state = stateOf(wanted.spec);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode;
    process.stderr.write(`tessera mix: ${errorInfo(error).message}\n`);
    return 2;
  }
  const folder = mkdtempSync(join(tmpdir(), "tessera-mix-"));
  try {
    return await mix(wanted, state, folder);
  } catch (error) {
    process.stderr.write(`tessera mix: ${errorInfo(error).message}\n`);
    return 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function mix(wanted: MixArguments, state: MixState, folder: string): Promise<number> {
  const began = performance.now();
  const log = createLogger(process.env.TESSERA_LOG ?? "warn");
  await using worker = await WorkerProcess.open({ entry: WORKER, env: workerEnv(), log });
  const messages = worker.messages(state.id);
  await using _door = await openDoor(wanted, state, worker.packetPipe, log);
  const stop = (): void => void worker.call("mix.close", { mix: state.id }, 30_000).catch(() => undefined);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, stop);
  await worker.call("mix.open", { state, settings: settingsOf(wanted, folder) });
  void worker.closed.then(() => messages.close());
  for await (const message of messages) {
    if (message.type === "event") report(wanted.json, message.atUs, message.event);
    else return finish(wanted.json, message.summary, (performance.now() - began) / 1000);
  }
  process.stderr.write("tessera mix: the worker died\n");
  return 1;
}

async function openDoor(
  { rtmp, token }: MixArguments,
  { id: mix, sources }: MixState,
  pipe: Duplex,
  log: Logger,
): Promise<AsyncDisposable | undefined> {
  const keys = new Set(sources.filter(({ kind }) => kind === "rtmp").map(({ id }) => id));
  return rtmp && (await openKeyedDoor({ ...rtmp, keys, token, mix, pipe, log }));
}

function report(json: boolean, atUs: number, event: MixEventBody): void {
  if (json) process.stdout.write(`${JSON.stringify({ ...event, atUs })}\n`);
  else if ("error" in event && event.error !== undefined) {
    process.stderr.write(
      `${event.type} ${"source" in event ? event.source : "output" in event ? event.output : ""}: ${event.error.message}\n`,
    );
  }
}

function finish(json: boolean, summary: MixSummary, wallSeconds: number): number {
  const complete = summary.outputs.every((output) => output.complete);
  const own = process.cpuUsage();
  const cpuSeconds = summary.cpuSeconds + (own.user + own.system) / 1e6;
  if (json)
    process.stdout.write(`${JSON.stringify({ type: "summary", ...summary, cpuSeconds, wallSeconds })}\n`);
  else {
    const { frames, repeated, late, durationS } = summary;
    process.stderr.write(
      `${durationS.toFixed(2)} s, ${frames} frames, ${repeated} repeated, ${late} late, ${wallSeconds.toFixed(2)} s wall\n`,
    );
  }
  return complete ? 0 : 1;
}

/** @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT`, {LayoutInvalidError} `ERR_LAYOUT_INVALID`. */
function stateOf(spec: MixSpec): MixState {
  const layouts = new Layouts();
  return {
    id: spec.id ?? "mix",
    revision: 1,
    audio: spec.audio,
    views: spec.views.map(({ layout, fps, ...view }, index) => {
      const { num, den } = rational(fps);
      const document = layouts.resolve(layout, `/views/${index}/layout`);
      return { ...view, fps: `${num}/${den}`, layout: document, assign: {}, revision: 0 };
    }),
    sources: spec.sources.map(identified),
    outputs: spec.outputs.map(identified),
    emptyTimeoutS: null,
    epoch: { wallMs: wallMs(), ptsUs: 0 },
    restarts: 0,
  };
}

const identified = <Spec extends { id?: string | undefined }>(spec: Spec): Identified<Spec> =>
  spec as Identified<Spec>;

function settingsOf(wanted: MixArguments, folder: string): WorkerSettings {
  const durationUs = wanted.durationS === undefined ? undefined : Math.round(wanted.durationS * 1e6);
  return {
    dataDir: process.cwd(),
    assetDir: folder,
    logLevel: "warn",
    clock: wanted.fast ? "virtual" : "live",
    overwrite: wanted.overwrite,
    until: { inputsEnd: durationUs === undefined, durationUs },
    waitForInputs: true,
    // Whoever runs the program may reach what they could reach without it.
    destinations: { allow: ["0.0.0.0/0", "::/0"], loopback: true },
  };
}

function workerEnv(): Record<string, string | undefined> {
  return {
    ...process.env,
    NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(tmpdir(), "tessera-compile-cache"),
    UV_THREADPOOL_SIZE: String(availableParallelism() + 4),
    NODE_USE_SYSTEM_CA: process.env.NODE_USE_SYSTEM_CA ?? "1",
  };
}
