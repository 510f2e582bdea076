import { fstatSync } from "node:fs";
import { Socket } from "node:net";
import { DECODING_SLOTS_FD } from "../contract/decoding-slots.ts";
import { PACKET_PIPE_FD, type ToWorker } from "../contract/worker.ts";
import { createLogger } from "../core/log.ts";
import { DecodingSlots } from "./decoding-slot.ts";
import { PipePublishers } from "./publishers.ts";
import { Worker } from "./worker.ts";

/**
 * The program of a worker: control's other side of `contract/worker.ts`. It hosts mixes until it is told to stop, or
 * until control is gone: then it closes its files and exits within a second.
 */
const log = createLogger(process.env.TESSERA_LOG ?? "warn", { worker: process.pid });

const isOpen = (fd: number): boolean => {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false;
  }
};

const pipe = isOpen(PACKET_PIPE_FD) ? new Socket({ fd: PACKET_PIPE_FD }) : undefined;
const worker = new Worker({
  log,
  publishers: new PipePublishers(pipe),
  slots: new DecodingSlots(isOpen(DECODING_SLOTS_FD)),
  send: (message) => {
    // Without a callback a channel that breaks throws here, and no file would be closed; `disconnect` follows.
    if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
  },
});

/** Everything is written out, or a second is over. */
async function leave(graceMs: number): Promise<void> {
  setTimeout(() => process.exit(0), graceMs).unref();
  await worker.close();
  process.exit(0);
}

process.on("message", (message) => {
  const wanted = message as ToWorker;
  if (wanted.type === "call") void worker.call(wanted);
  else void leave(60_000);
});
process.on("disconnect", () => void leave(900));
// A terminal's Ctrl-C reaches the whole group; control decides what it means.
process.on("SIGINT", () => undefined);
worker.start();
