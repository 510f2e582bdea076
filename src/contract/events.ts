import type { ErrorInfo } from "../core/error.ts";

/** Where a source's rectangle lies on the canvas, in pixels. */
export interface PlacementInfo {
  readonly slot: string;
  readonly source: string | null;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly z: number;
}

/** What happened in a mix, without the envelope. Names and fields are those of INTERFACE. */
export type MixEventBody =
  | { readonly type: "mix.created" }
  | { readonly type: "mix.restarted"; readonly why: string; readonly restarts: number }
  | { readonly type: "mix.failed"; readonly error: ErrorInfo }
  | { readonly type: "mix.closed"; readonly why: string }
  | { readonly type: "source.added" | "source.online" | "source.removed"; readonly source: string }
  | {
      readonly type: "source.offline";
      readonly source: string;
      readonly error?: ErrorInfo;
      readonly ended?: boolean;
    }
  | { readonly type: "source.stale"; readonly source: string }
  | { readonly type: "source.quarantined"; readonly source: string; readonly error: ErrorInfo }
  | { readonly type: "source.onAir"; readonly source: string; readonly views: readonly string[] }
  | {
      readonly type: "speaker.changed";
      readonly speaker: string | null;
      readonly speakers: readonly string[];
    }
  | {
      readonly type: "layout.applied";
      readonly view: string;
      readonly revision: number;
      readonly appliedPtsUs: number;
      readonly frame: number;
      readonly placements: readonly PlacementInfo[];
    }
  | { readonly type: "output.connecting" | "output.live"; readonly output: string }
  | {
      readonly type: "output.retrying";
      readonly output: string;
      readonly error: ErrorInfo;
      readonly inMs: number;
    }
  | { readonly type: "output.failed"; readonly output: string; readonly error: ErrorInfo }
  | { readonly type: "output.ended"; readonly output: string }
  | {
      readonly type: "recording.part" | "recording.finished";
      readonly output: string;
      readonly path: string;
      readonly durationUs: number;
      readonly bytes: number;
    }
  | {
      readonly type: "recording.failed";
      readonly output: string;
      readonly path: string;
      readonly durationUs: number;
      readonly bytes: number;
      readonly error: ErrorInfo;
    }
  | { readonly type: "device.fallback"; readonly from: string; readonly to: string; readonly why: string }
  | { readonly type: "overload"; readonly what: string };

/** An event as subscribers get it. */
export type MixEvent = MixEventBody & {
  readonly mix: string;
  /** Counts up by one per mix; a gap is a lost event. */
  readonly seq: number;
  /** On the mix clock. */
  readonly atUs: number;
  /** ISO 8601 wall time. */
  readonly at: string;
};
