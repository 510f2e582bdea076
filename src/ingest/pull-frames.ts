import type { Readable, Writable } from "node:stream";
import { deserialize, serialize } from "node:v8";
import type { DestinationRules } from "../core/destinations.ts";
import { type ErrorInfo, ProtocolError } from "../core/error.ts";
import type { Packet } from "../media/packet.ts";

/** What the parent tells a pull child, once, as one line of JSON on its stdin. The end of stdin is the child's end. */
export interface PullRequest {
  readonly url: string;
  readonly destinations: DestinationRules;
  readonly ioTimeoutUs: number;
  /** The mix clock's reading when the request was made, so that arrivals are stamped on it. */
  readonly nowUs: number;
}

/** What a pull child tells its parent, in this order: `open`, any number of packets, then `end` or `error`. */
export type PullMessage =
  | { readonly type: "open"; readonly wrapUs: number }
  | { readonly type: "packet"; readonly packet: Packet }
  | { readonly type: "end" }
  | { readonly type: "error"; readonly error: ErrorInfo };

/** A coded picture larger than this is none. */
const MAX_MESSAGE_BYTES = 64 * 2 ** 20;

/** Writes messages, each behind its length (uint32, big endian). Waits while the pipe is full. */
export async function writeMessage(pipe: Writable, message: PullMessage): Promise<void> {
  const body = serialize(message);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.byteLength);
  pipe.write(length);
  if (pipe.write(body)) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  pipe.once("drain", resolve);
  await promise;
}

/**
 * Reads messages until the pipe ends. Reading no further holds the writer back.
 *
 * @throws {ProtocolError} `ERR_PROTOCOL` if what comes is no message.
 */
export async function* readMessages(pipe: Readable): AsyncGenerator<PullMessage, void, undefined> {
  let held: Buffer[] = [];
  let bytes = 0;
  let wanted = 4;
  for await (const chunk of pipe as AsyncIterable<Buffer>) {
    held.push(chunk);
    bytes += chunk.byteLength;
    while (bytes >= wanted) {
      const all: Buffer = held.length === 1 && held[0] !== undefined ? held[0] : Buffer.concat(held);
      const size = 4 + all.readUInt32BE(0);
      if (size > MAX_MESSAGE_BYTES) throw new ProtocolError(`a message of ${size} bytes`);
      wanted = size;
      held = [all];
      if (bytes < wanted) break;
      yield deserialize(all.subarray(4, size)) as PullMessage;
      held = [all.subarray(size)];
      bytes -= size;
      wanted = 4;
    }
  }
}
