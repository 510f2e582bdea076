import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { DeviceError } from "../core/error.ts";

const LIMIT_MS = 120_000;
const MAX_BYTES = 4 << 20;

/** Runs `tessera probe --json` in a process of its own: a driver that hangs or crashes takes only that with it. */
export class Prober {
  /** @throws {DeviceError} `ERR_DEVICE` if it fails or takes longer than two minutes. */
  async probe(): Promise<unknown> {
    const suffix = import.meta.filename.endsWith(".js") ? ".js" : ".ts";
    const main = fileURLToPath(new URL(`./main${suffix}`, import.meta.url));
    try {
      const { stdout } = await promisify(execFile)(process.execPath, [main, "probe", "--json"], {
        timeout: LIMIT_MS,
        killSignal: "SIGKILL",
        maxBuffer: MAX_BYTES,
      });
      return JSON.parse(stdout) as unknown;
    } catch (cause) {
      throw new DeviceError(`the probe failed: ${(cause as Error).message.slice(0, 200)}`, { cause });
    }
  }
}
