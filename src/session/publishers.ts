import type { Duplex } from "node:stream";
import { PeerUnreachableError } from "../core/error.ts";
import type { Ingest } from "../ingest/ingest.ts";
import type { Clock } from "../media/clock.ts";
import { PacketPipeReader } from "../transport/packet-pipe-reader.ts";
import type { Publishers } from "./source-opener.ts";

/** The publishers whose packets come over the pipe from control. */
export class PipePublishers implements Publishers {
  readonly #pipe: PacketPipeReader | undefined;

  /** @param stream the worker's end of the pipe; owned. Undefined: this process has none. */
  constructor(stream: Duplex | undefined) {
    this.#pipe = stream === undefined ? undefined : new PacketPipeReader(stream);
  }

  open(source: { readonly mix: string; readonly source: string }, clock: Clock, signal: AbortSignal): Ingest {
    if (this.#pipe === undefined) throw new PeerUnreachableError("this worker has no pipe for publishers");
    const input = this.#pipe.open(`${source.mix}/${source.source}`, { clock });
    signal.addEventListener("abort", () => void input.close(), { once: true });
    return input;
  }
}
