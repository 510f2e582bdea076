import type { ErrorInfo } from "../core/error.ts";

export type SourceState = "connecting" | "online" | "stale" | "offline" | "ended" | "quarantined";
export type OutputState = "connecting" | "live" | "retrying" | "paused" | "failed" | "ended";

/** How one source is doing. Counts are since it was added. */
export interface SourceStatus {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly role: string;
  readonly state: SourceState;
  readonly error?: ErrorInfo;
  readonly publishUrl?: string;
  /** FFmpeg's names, e.g. `h264` and `aac`. */
  readonly codec: { readonly video?: string; readonly audio?: string };
  readonly widthPx?: number;
  readonly heightPx?: number;
  readonly fps: number;
  readonly bitrateBps: number;
  /** Packets that were missing or could not be decoded. */
  readonly lost: number;
  readonly jitterMs: number;
  readonly delayMs: number;
  /** Positive: sound is shown before its picture. */
  readonly avOffsetMs: number;
  readonly frozenMs: number;
  /** Pictures decoded. */
  readonly decoded: number;
  /** Pictures that a view showed. At equal rates, what is missing from `decoded` was passed over. */
  readonly shown: number;
  /** Ticks at which a view showed its picture beyond its duration, for want of the next. */
  readonly starved: number;
  readonly decoder?: string;
  /** Momentary loudness, ITU-R BS.1770; null is silence. */
  readonly lufs: number | null;
  readonly truePeakDb: number | null;
  /**
   * What was odd about it, and how often; what never happened is absent. `timestampJumps`: its clock leapt. Of
   * pictures that were shown: `matrixUnknown` with wrong colours, `hdrClipped` HDR as if it were not, `alphaIgnored`
   * opaque, `interlaced` with the lines of two fields, `notDrawn` not at all, so that the one before stayed.
   */
  readonly warnings: Readonly<Record<string, number>>;
}

export interface ViewStatus {
  readonly id: string;
  readonly width: number;
  readonly height: number;
  readonly fps: string;
  readonly revision: number;
  readonly ticks: number;
  readonly late: number;
  /** Numbers that show another number's picture: time was short, or a file's encoder more than 10 s behind. */
  readonly repeated: number;
  /** Numbers without a picture: an encoder that feeds no file was more than half a second behind. */
  readonly skipped: number;
  readonly composeMs: { readonly p50: number; readonly p95: number };
  readonly tilesDrawn: number;
  readonly tilesReused: number;
}

export interface EncoderStatus {
  readonly id: string;
  /** What outputs must agree on to share it. */
  readonly key: string;
  readonly kind: "video" | "audio";
  readonly users: number;
  readonly fps: number;
  readonly bitrateBps: number;
  readonly device: string;
  readonly encodeMs: number;
}

export interface OutputStatus {
  readonly id: string;
  readonly kind: string;
  readonly state: OutputState;
  readonly error?: ErrorInfo;
  readonly fps: number;
  readonly bitrateBps: number;
  /** Packets that this output's viewers or file miss; a push counts from the first packet that it sent. */
  readonly dropped: number;
  /**
   * {@link dropped} by reason, as far as this kind of output knows it: the peer or the disk did not keep up (`slow`), the
   * peer was not there (`away`), it came when its part of a recording was over (`late`), a recording failed (`failed`).
   */
  readonly droppedBy: Readonly<Partial<Record<"slow" | "away" | "late" | "failed", number>>>;
  readonly retries: number;
  /** Since when it is in its state, on the mix clock. */
  readonly sinceUs: number;
  readonly frames: number;
  readonly bytes: number;
  readonly path?: string;
}

/** What `mix.stats` answers. */
export interface MixStats {
  readonly mix: string;
  readonly atUs: number;
  readonly sources: readonly SourceStatus[];
  readonly views: readonly ViewStatus[];
  readonly encoders: readonly EncoderStatus[];
  readonly outputs: readonly OutputStatus[];
  readonly audio: {
    readonly talkers: number;
    readonly encodes: number;
    readonly listeners: number;
    readonly lufs: number | null;
  };
  /** Since the mix was opened; absent in workers that do not count. */
  readonly histograms?: {
    readonly compose?: HistogramCounts;
    readonly encode?: HistogramCounts;
    /** Arrival of the newest shown frame's first packet to departure of the encoded frame. */
    readonly addedLatency?: HistogramCounts;
  };
  /** Of the worker process: user plus system seconds, resident bytes, how late its event loop is on average. */
  readonly process: { readonly cpuSeconds: number; readonly rssBytes: number; readonly loopDelayMs: number };
}

/** How often something took how long, as Prometheus counts it. */
export interface HistogramCounts {
  /** Upper bounds in seconds, ascending. */
  readonly bounds: readonly number[];
  /** How many fell into each bucket, not summed up; one more than there are bounds. */
  readonly counts: readonly number[];
  readonly sumSeconds: number;
}
