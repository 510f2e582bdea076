import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { NotSupportedError } from "../core/error.ts";

/** Benchmarks compare with programs and footage of a checkout, so the published package has none. */
const BENCH = fileURLToPath(new URL("../../bench/main.ts", import.meta.url));

/**
 * `tessera bench [name ...] [--json]`: measures this build against ffmpeg and GStreamer.
 *
 * @returns the exit code: 0 if every ratio is valid, 1 if one is not, 2 for bad arguments.
 * @throws {NotSupportedError} `ERR_NOT_SUPPORTED` outside a checkout of the repository.
 */
export async function runBench(argv: readonly string[]): Promise<number> {
  if (!existsSync(BENCH)) {
    throw new NotSupportedError("benchmarks run from a checkout of the repository: npm run bench");
  }
  // A process of its own: what it measures must not share this one's memory, and Ctrl-C reaches both.
  const child = spawn(process.execPath, [BENCH, ...argv], { stdio: "inherit" });
  const [code] = await once(child, "exit");
  return typeof code === "number" ? code : 1;
}
