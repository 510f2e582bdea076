import type { MixEventBody } from "../contract/events.ts";
import type { OutputState, SourceState, SourceStatus } from "../contract/status.ts";
import type { ErrorInfo } from "../core/error.ts";
import type { SourceState as SourceOfState } from "./state.ts";

/** How one source or output is doing, as its last event said. */
export interface Condition<State> {
  readonly state: State;
  readonly error?: ErrorInfo;
}

const SOURCE_STATE: Partial<Record<MixEventBody["type"], SourceState>> = {
  "source.online": "online",
  "source.stale": "stale",
  "source.offline": "offline",
  "source.quarantined": "quarantined",
};
const OUTPUT_STATE: Partial<Record<MixEventBody["type"], OutputState>> = {
  "output.connecting": "connecting",
  "output.live": "live",
  "output.retrying": "retrying",
  "output.failed": "failed",
  "output.ended": "ended",
};

/** Follows a mix's events, so that lists are answered without asking the worker. */
export class MixStatus {
  readonly #sources = new Map<string, Condition<SourceState>>();
  readonly #outputs = new Map<string, Condition<OutputState>>();

  source(id: string): Condition<SourceState> {
    return this.#sources.get(id) ?? { state: "connecting" };
  }

  output(id: string): Condition<OutputState> {
    return this.#outputs.get(id) ?? { state: "connecting" };
  }

  apply(event: MixEventBody): void {
    const error = "error" in event && event.error !== undefined ? { error: event.error } : {};
    if ("source" in event) {
      const ended = event.type === "source.offline" && event.ended === true;
      const state = ended ? "ended" : SOURCE_STATE[event.type];
      if (event.type === "source.removed") this.#sources.delete(event.source);
      else if (state !== undefined) this.#sources.set(event.source, { state, ...error });
    } else if ("output" in event) {
      const state = OUTPUT_STATE[event.type];
      if (state !== undefined) this.#outputs.set(event.output, { state, ...error });
    }
  }

  /** Everybody connects anew in a new worker; a quarantined source stays where it is. */
  restart(): void {
    for (const [id, { state }] of this.#sources) if (state !== "quarantined") this.#sources.delete(id);
    this.#outputs.clear();
  }

  forgetSource(id: string): void {
    this.#sources.delete(id);
  }

  forgetOutput(id: string): void {
    this.#outputs.delete(id);
  }
}

/** How a source is doing that no worker has, in the form in which workers tell of theirs. */
export const absentStatus = (
  { id, name, kind, role }: SourceOfState,
  condition: Condition<SourceState>,
): SourceStatus => ({
  id,
  name: name ?? id,
  kind,
  role,
  ...condition,
  codec: {},
  fps: 0,
  bitrateBps: 0,
  lost: 0,
  jitterMs: 0,
  delayMs: 0,
  avOffsetMs: 0,
  frozenMs: 0,
  decoded: 0,
  shown: 0,
  starved: 0,
  lufs: null,
  truePeakDb: null,
  warnings: {},
});
