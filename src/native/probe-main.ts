import { errorInfo } from "../core/error.ts";
import { probeDevices } from "./probe.ts";

/**
 * The main file of the process that `tessera probe` forks: the command line may not reach into `native`. Sends
 * `{device, ffmpeg}` for each device and then `{done: true}`, or `{error}`. Ends when its parent does.
 */
const parent = new AbortController();
process.once("disconnect", () => parent.abort(new Error("the parent is gone")));

const send = (message: object): Promise<void> =>
  new Promise((resolve) => {
    if (process.connected) process.send?.(message, () => resolve());
    else resolve();
  });

try {
  for await (const { report, ffmpeg } of probeDevices({ signal: parent.signal })) {
    await send({ device: report, ffmpeg });
  }
  await send({ done: true });
} catch (error) {
  await send({ error: errorInfo(error) });
}
process.disconnect?.();
