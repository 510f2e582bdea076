import type { DestinationRules } from "../core/destinations.ts";
import type { ErrorInfo } from "../core/error.ts";
import type { LayoutDocument } from "../layout/document.ts";
import type { MixEventBody, PlacementInfo } from "./events.ts";
import type { LayoutChange } from "./layout-change.ts";
import type { OutputSpec, OutputUpdate } from "./output-spec.ts";
import type { SourceSpec, SourceUpdate } from "./source-spec.ts";
import type { MixStats } from "./status.ts";

/** A spec whose id was given or made: what lives in state and in workers. */
export type Identified<Spec> = Spec & { readonly id: string };

/** One view with its layout resolved to a document, plus the operator's assignments. */
export interface ViewState {
  readonly id: string;
  readonly width: number;
  readonly height: number;
  /** A {@link Rational} as text, `30/1`. */
  readonly fps: string;
  readonly accel: string;
  readonly slate?: string | undefined;
  readonly layout: LayoutDocument;
  /** Slot id to source id, or `empty`. */
  readonly assign: Readonly<Record<string, string>>;
  /** Counts changes of this view's layout. */
  readonly revision: number;
}

/** The whole state of a mix, as plain data: everything that runs can be rebuilt from it. */
export interface MixState {
  readonly id: string;
  readonly name?: string | undefined;
  /** Counts changes of any kind. */
  readonly revision: number;
  readonly audio: { readonly maxSpeakers: number; readonly loudness?: number | undefined };
  readonly views: readonly ViewState[];
  readonly sources: readonly Identified<SourceSpec>[];
  readonly outputs: readonly (Identified<OutputSpec> & { readonly paused?: boolean | undefined })[];
  readonly emptyTimeoutS: number | null;
  /** Wall time (ms since 1970) at which the mix clock read `ptsUs`: so PTS never goes back over restarts. */
  readonly epoch: { readonly wallMs: number; readonly ptsUs: number };
  readonly restarts: number;
}

/** Settings of the node that a worker needs. */
export interface WorkerSettings {
  /** Where relative recording paths lie. */
  readonly dataDir: string;
  /** Content-hashed asset files. */
  readonly assetDir: string;
  readonly logLevel: string;
  /** Host and port that publishers are told, e.g. `rtmp://127.0.0.1:1935`. */
  readonly rtmpUrl?: string | undefined;
  /** `virtual`: `--fast`. */
  readonly clock: "live" | "virtual";
  /** Overwrite existing recordings instead of refusing or taking the next part. */
  readonly overwrite: boolean;
  /** Where pulls and pushes may go. */
  readonly destinations: DestinationRules;
  /** `tessera mix`: end when every input that does not loop has ended, or after so long. Absent: run until closed. */
  readonly until?: { readonly inputsEnd: boolean; readonly durationUs?: number | undefined } | undefined;
  /** Time begins when inputs have their first pictures, not at once. */
  readonly waitForInputs?: boolean | undefined;
}

/** What control may ask of a worker: params and result of each method. None waits for a peer. */
export interface WorkerMethods {
  "mix.open": { params: { state: MixState; settings: WorkerSettings }; result: null };
  /** Ends the mix: outputs are finished and closed. */
  "mix.close": { params: { mix: string }; result: null };
  /** Changes how sound is mixed, from the next tick on. */
  "mix.update": { params: { mix: string; audio: MixState["audio"] }; result: null };
  "mix.stats": { params: { mix: string }; result: MixStats };
  "source.add": { params: { mix: string; source: Identified<SourceSpec> }; result: null };
  "source.update": { params: { mix: string; id: string; update: SourceUpdate }; result: null };
  "source.remove": { params: { mix: string; id: string }; result: null };
  "view.add": { params: { mix: string; view: ViewState }; result: null };
  "view.update": { params: { mix: string; view: ViewState }; result: null };
  "view.remove": { params: { mix: string; id: string }; result: null };
  /** Answered when it is on air. */
  "layout.set": {
    params: {
      mix: string;
      view: ViewState;
      /** What `view` was made by: laid over what is on air when its time comes. Absent: `view` as it stands. */
      change?: LayoutChange | undefined;
      atPtsUs?: number | undefined;
      dryRun: boolean;
    };
    result: LayoutReceipt;
  };
  "layout.get": { params: { mix: string; view: string }; result: LayoutReceipt };
  "output.add": {
    params: { mix: string; output: Identified<OutputSpec> };
    result: { readonly sdp?: string };
  };
  "output.update": { params: { mix: string; id: string; update: OutputUpdate }; result: null };
  "output.remove": { params: { mix: string; id: string }; result: null };
  "output.split": { params: { mix: string; id: string }; result: null };
  "output.pause": { params: { mix: string; id: string }; result: null };
  "output.resume": { params: { mix: string; id: string }; result: null };
  "snapshot.take": { params: { mix: string; view: string; format: "png" | "jpeg" }; result: Snapshot };
  /** Another image has an asset's name now: what shows it is drawn anew, and is on air from the answer on. */
  "asset.refresh": { params: { mix: string; name: string }; result: null };
}
export type WorkerMethod = keyof WorkerMethods;

/** When a layout came on air and where everybody is. */
export interface LayoutReceipt {
  readonly revision: number;
  readonly appliedPtsUs: number;
  readonly frame: number;
  readonly placements: readonly PlacementInfo[];
  readonly late: boolean;
}

/** An encoded still of a view. */
export interface Snapshot {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly ptsUs: number;
}

/** Control to worker, over Node's IPC channel with `advanced` serialization. */
export type ToWorker =
  | { readonly type: "call"; readonly id: number; readonly method: WorkerMethod; readonly params: unknown }
  /** Finish and close everything, then exit. */
  | { readonly type: "stop" };

/** Worker to control. */
export type FromWorker =
  | { readonly type: "ready" }
  | { readonly type: "answer"; readonly id: number; readonly result?: unknown; readonly error?: ErrorInfo }
  | { readonly type: "event"; readonly mix: string; readonly atUs: number; readonly event: MixEventBody }
  /** Twice a second; silence for `WORKER_SILENCE_MS` means that it hangs. */
  | { readonly type: "alive"; readonly cpuSeconds: number; readonly rssBytes: number }
  /** The mix has nothing left to do: every input that ends has ended and all outputs are closed. */
  | { readonly type: "done"; readonly mix: string; readonly summary: MixSummary };

/** A worker that says nothing for this long, time in wait for a CPU not counted, is killed. */
export const WORKER_SILENCE_MS = 5000;

/** The file descriptor of the worker's pipe for packets of publishers; see `transport/packet-pipe.ts`. */
export const PACKET_PIPE_FD = 4;

/** How a finished mix went; `tessera mix --json` prints it as its last line. */
export interface MixSummary {
  readonly frames: number;
  readonly repeated: number;
  readonly late: number;
  readonly dropped: number;
  readonly durationS: number;
  /** The largest of all sources' measured offsets, by magnitude. */
  readonly avOffsetMs: number;
  readonly encoders: readonly {
    readonly id: string;
    readonly key: string;
    readonly device: string;
    readonly frames: number;
  }[];
  readonly decoders: readonly {
    readonly source: string;
    readonly codec: string;
    readonly device: string;
    readonly frames: number;
    /** As in `SourceStatus`. */
    readonly shown: number;
    readonly starved: number;
  }[];
  readonly cpuSeconds: number;
  /** Process start to first composed frame. */
  readonly startS: number;
  readonly outputs: readonly {
    readonly id: string;
    readonly complete: boolean;
    readonly path?: string;
    readonly error?: ErrorInfo;
  }[];
}
