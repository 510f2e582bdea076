import { PeerUnreachableError } from "../core/error.ts";
import type { Ingest } from "../ingest/ingest.ts";
import type { Publishers } from "./source-opener.ts";

/** The publishers whose packets come over the pipe from control. */
export class PipePublishers implements Publishers {
  open(mix: string, source: string, _signal: AbortSignal): Ingest {
    throw new PeerUnreachableError(`no packet pipe for ${mix}/${source}`);
  }
}
