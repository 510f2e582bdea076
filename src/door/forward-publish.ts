import { errorInfo, type TesseraError } from "../core/error.ts";
import type { PacketPipeStream } from "../transport/packet-pipe-writer.ts";
import type { RtmpPublish } from "./rtmp-publish.ts";

/**
 * Hands a publisher's packets to a worker until either is gone; a worker that does not keep up pauses this
 * publisher's socket alone. A publisher whose worker went away stays, and can be handed to the next.
 *
 * @returns why the publisher left, undefined if it ended in order or is still there.
 */
export async function forwardPublish(
  publish: RtmpPublish,
  stream: PacketPipeStream,
): Promise<TesseraError | undefined> {
  for await (const packet of publish.packets) {
    stream.push(packet);
    if (stream.isFull) await stream.ready();
    if (stream.isClosed) return undefined;
  }
  const error = await publish.closed;
  stream.end(error === undefined ? undefined : errorInfo(error));
  return error;
}
