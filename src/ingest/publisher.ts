import type { Clock } from "../media/clock.ts";
import type { PacketPipeReader } from "../transport/packet-pipe-reader.ts";
import type { Ingest } from "./ingest.ts";

/**
 * The next publish of a source, from the door in the control process through the worker's packet pipe.
 *
 * Returns at once; the iteration waits for the publisher. It ends when the encoder ends its publish, and throws
 * why where it breaks. Nothing is ever dropped: a source that is not read is paused at its socket.
 *
 * @param source the name the control process uses on the pipe: `{mix}/{source}`.
 */
export const openPublisher = (reader: PacketPipeReader, source: string, clock: Clock): Ingest =>
  reader.open(source, { clock });
