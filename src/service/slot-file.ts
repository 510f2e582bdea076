import { randomBytes } from "node:crypto";
import { fstatSync, openSync, readSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SLOT_BYTES, SLOT_COUNT } from "../contract/decoding-slots.ts";

/** Opens the file of `contract/decoding-slots.ts`. It has no name any more, so nothing is left behind. Caller closes. */
export function openSlotFile(): number {
  const path = join(tmpdir(), `tessera-slots-${randomBytes(8).toString("hex")}`);
  const fd = openSync(path, "wx+", 0o600);
  unlinkSync(path);
  return fd;
}

/** All that a worker wrote to it, bounded; empty if it wrote nothing. */
export function readSlotFile(fd: number): Uint8Array {
  const bytes = new Uint8Array(Math.min(fstatSync(fd).size, SLOT_BYTES * SLOT_COUNT));
  const length = bytes.length === 0 ? 0 : readSync(fd, bytes, 0, bytes.length, 0);
  return bytes.subarray(0, length);
}
