import type { SourceSpec } from "../contract/source-spec.ts";
import type { Identified } from "../contract/worker.ts";
import type { DestinationRules } from "../core/destinations.ts";
import { NotSupportedError } from "../core/error.ts";
import { isLocal, localPath } from "../core/pull-url.ts";
import { ms, us } from "../core/time.ts";
import { openFile } from "../ingest/file.ts";
import type { Ingest } from "../ingest/ingest.ts";
import { openPull } from "../ingest/pull.ts";
import type { RawIngest } from "../ingest/raw.ts";
import { openTestSource } from "../ingest/test-source.ts";
import type { Clock } from "../media/clock.ts";

/** How a source's time is tied to the mix: see `SourceTimeline`. */
export type SourcePace = "file" | "paced" | "live";

/** Where publishers' packets come out of the pipe from control; keyed by mix and source. */
export interface Publishers {
  /** Waits for a publisher and reads it to its end. */
  open(source: { readonly mix: string; readonly source: string }, clock: Clock, signal: AbortSignal): Ingest;
}

/** Test pictures are made this long before they are shown, as files are read ahead. */
const LEAD = ms(400);

/** What inputs are opened with. */
export interface SourceOpenerOptions {
  readonly mix: string;
  readonly clock: Clock;
  readonly publishers: Publishers;
  readonly virtual: boolean;
  /** Of the mix's views. */
  longestPeriodUs(): number;
  readonly destinations: DestinationRules;
}

/** Opens the input behind a source's spec. */
export class SourceOpener {
  readonly #options: SourceOpenerOptions;

  constructor(options: SourceOpenerOptions) {
    this.#options = options;
  }

  kindOf(spec: SourceSpec): SourcePace {
    if (spec.kind === "test") return "file";
    if (spec.kind !== "pull") return "live";
    if (isLocal(spec.url)) return "file";
    return /^https?:/i.test(spec.url) ? "paced" : "live";
  }

  /** Whether an input that broke or ended is worth another attempt. */
  retries(spec: SourceSpec): boolean {
    return spec.kind === "rtmp" || (spec.kind === "pull" && !isLocal(spec.url));
  }

  /** @throws {NotSupportedError} `ERR_NOT_SUPPORTED` for kinds this build does not open. */
  open(spec: Identified<SourceSpec>, signal: AbortSignal): Ingest | RawIngest {
    const { clock, virtual, publishers, mix } = this.#options;
    switch (spec.kind) {
      case "pull": {
        const path = localPath(spec.url, "url");
        if (path !== undefined) return openFile({ path, clock, loop: spec.loop, sync: virtual, signal });
        return openPull({ url: spec.url, clock, signal, destinations: this.#options.destinations });
      }
      case "rtmp":
        return publishers.open({ mix, source: spec.id }, clock, signal);
      case "test":
        return openTestSource({
          pattern: spec.pattern,
          tone: spec.tone,
          clock,
          leadUs: us(Math.max(LEAD, this.#options.longestPeriodUs())),
          signal,
        });
      default:
        throw new NotSupportedError(`sources of kind ${spec.kind} are not supported yet`);
    }
  }
}
