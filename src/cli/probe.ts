import { type ChildProcess, fork, type Serializable } from "node:child_process";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, CommanderError } from "commander";
import { z } from "zod";
import { Channel } from "../core/channel.ts";
import { DeviceError, type ErrorInfo, RemoteError, TesseraError } from "../core/error.ts";
import { DeviceReport, type ProbeReport, type StageReport } from "../core/probe-report.ts";

/** What the probing process tells, see `native/probe-main.ts`. */
const Told = z.union([
  z.strictObject({ device: DeviceReport, ffmpeg: z.string().optional() }),
  z.strictObject({ done: z.literal(true) }),
  z.strictObject({ error: z.looseObject({ code: z.string(), message: z.string() }) }),
]);

/** In source or built, beside this folder. */
const MAIN = fileURLToPath(new URL(`../native/probe-main${extname(import.meta.url)}`, import.meta.url));

/**
 * `tessera probe [--json]`: what this machine can decode, scale, compose and encode, each proven by a picture or sound
 * that matched the CPU's, with speeds; what is absent, with the reason. The table grows as devices answer; `--json` is one
 * {@link ProbeReport}.
 *
 * @returns the exit code: 0, 1 if the probe itself failed, 2 for bad arguments.
 */
export async function runProbe(argv: readonly string[]): Promise<number> {
  const asJson = parseArguments(argv);
  if (typeof asJson === "number") return asJson;
  const devices: DeviceReport[] = [];
  let version = "unknown";
  try {
    for await (const { device, ffmpeg } of askProcess()) {
      devices.push(device);
      version = ffmpeg ?? version;
      if (!asJson) process.stdout.write(deviceTable(device));
    }
  } catch (error) {
    if (!(error instanceof TesseraError)) throw error;
    process.stderr.write(`probe failed: ${error.message}\n`);
    return 1;
  }
  if (asJson) process.stdout.write(`${JSON.stringify({ ffmpeg: version, devices } satisfies ProbeReport)}\n`);
  else process.stdout.write(`FFmpeg ${version}. Speeds: 1280x720, a short run; decoders on one thread.\n`);
  return 0;
}

function parseArguments(argv: readonly string[]): boolean | number {
  const command = new Command("tessera probe")
    .description("Says what this machine can decode, scale, compose and encode.")
    .option("--json", "print one JSON object instead of a table")
    .allowExcessArguments(false)
    .exitOverride();
  try {
    command.parse([...argv], { from: "user" });
    return command.opts<{ json?: boolean }>().json === true;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? 0 : 2;
  }
}

/** Device by device from a process of its own, which ends with us. */
async function* askProcess(): AsyncGenerator<{ device: DeviceReport; ffmpeg: string | undefined }> {
  const child = fork(MAIN, { execArgv: [], stdio: ["ignore", "ignore", "inherit", "ipc"] });
  try {
    for await (const message of messages(child)) {
      const told = Told.parse(message);
      if ("done" in told) return;
      if ("error" in told) throw new RemoteError(told.error as unknown as ErrorInfo);
      yield { device: told.device, ffmpeg: told.ffmpeg };
    }
    throw new DeviceError("the probing process left before it was done");
  } finally {
    if (child.connected) child.disconnect();
  }
}

function messages(child: ChildProcess): AsyncIterable<Serializable> {
  const channel = new Channel<Serializable>();
  child.on("message", (message) => channel.push(message));
  child.on("exit", () => channel.close());
  child.on("error", () => channel.close());
  return channel;
}

/** One device for people: a heading, and a row for each stage. */
export function deviceTable(device: DeviceReport): string {
  const { title, accel, device: which, deviceName, software, opened, reason, stages } = device;
  const names = [which, deviceName, software ? "software" : undefined].filter((part) => part !== undefined);
  const heading = `${title} [--accel ${accel}]${names.length === 0 ? "" : ` ${names.join(", ")}`}`;
  if (!opened) return `${heading}\n  absent: ${reason?.message ?? "unknown"}\n\n`;
  const rows = stages.map(row);
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)));
  const lines = rows.map(
    (cells) => `  ${cells.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join("  ")}`,
  );
  return `${[heading, ...lines.map((line) => line.trimEnd())].join("\n")}\n\n`;
}

function row(stage: StageReport): readonly string[] {
  const what = stage.codec ?? (stage.media === "audio" ? "sound" : "");
  if (!stage.available) return [stage.stage, what, stage.name, "absent", stage.reason?.message ?? "unknown"];
  const match = stage.psnrDb === undefined ? "tone came back" : `${stage.psnrDb} dB of the CPU's`;
  const control = stage.rateControl === undefined ? "" : `, ${stage.rateControl.join(" ")}`;
  return [stage.stage, what, stage.name, speed(stage), `${match}${control}`];
}

function speed({ fps, timesRealtime }: StageReport): string {
  if (fps !== undefined) return `${Math.round(fps)} frames/s`;
  return timesRealtime === undefined ? "proven" : `${timesRealtime} x real time`;
}
