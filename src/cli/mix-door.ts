import type { Logger } from "../core/log.ts";
import type { WorkerProcess } from "../service/worker.ts";
import type { MixArguments } from "./mix-arguments.ts";

export async function openMixDoor(
  _wanted: MixArguments,
  _mix: string,
  _worker: WorkerProcess,
  _log: Logger,
): Promise<AsyncDisposable> {
  return { [Symbol.asyncDispose]: async () => {} };
}
