import type { Codecs } from "../core/carried.ts";
import type { ErrorInfo } from "../core/error.ts";
import type { Rational } from "../core/rational.ts";
import type { Packet } from "../media/packet.ts";
import type { AudioStreamInfo, VideoStreamInfo } from "../media/stream-info.ts";
import type { Drops } from "./drop-count.ts";

/**
 * What an egress is going to get. Video is Annex B with parameter sets in band at each IDR (H.264, HEVC), `extradata`
 * holding the same sets; AAC is raw with its AudioSpecificConfig in `extradata`; Opus is raw with its OpusHead.
 */
export interface EgressStreams {
  readonly video?: VideoStreamInfo & { readonly frameRate: Rational; readonly bitrateBps: number };
  readonly audio?: AudioStreamInfo & {
    readonly sampleRate: number;
    readonly channels: number;
    readonly bitrateBps: number;
  };
}

/** Of which codecs they are. */
export const codecsOf = ({ video, audio }: EgressStreams): Codecs => ({
  video: video?.codec,
  audio: audio?.codec,
});

/** What happened to an egress. `failed` and `ended` are last. */
export type EgressEvent =
  | { readonly type: "connecting" | "live" | "ended" }
  | { readonly type: "retrying"; readonly error: ErrorInfo; readonly inMs: number }
  | { readonly type: "failed"; readonly error: ErrorInfo }
  /** Recordings: a part was begun (`part`), closed (`finished`) or lost its end (`partFailed`). */
  | {
      readonly type: "part" | "finished";
      readonly path: string;
      readonly durationUs: number;
      readonly bytes: number;
    }
  | {
      readonly type: "partFailed";
      readonly path: string;
      readonly durationUs: number;
      readonly bytes: number;
      readonly error: ErrorInfo;
    };

/** Counts since it was opened. */
export interface EgressStats extends Drops {
  readonly bytes: number;
  /** Video packets that reached the peer's socket or the file. */
  readonly frames: number;
  /**
   * Packets that a viewer or the file misses, for whatever reason. A push counts from the first packet that it sent:
   * what was encoded before its first connect was never due, what is encoded while its peer is away is.
   */
  readonly dropped: number;
  readonly retries: number;
}

/**
 * One output's way out. Opened with what it will get, never waits for its peer to take a packet, and retries on
 * its own; a session gives it packets in decode order, stamps on the mix clock, and tells its events on.
 *
 * States: connecting -> live <-> retrying -> failed | ended.
 */
export interface Egress extends AsyncDisposable {
  /** Takes a packet; never waits, never throws. What cannot be held is dropped to the next key frame and counted. */
  push(packet: Packet): void;
  /** Settles when there is room: awaited only under the virtual clock. */
  drained(): Promise<void>;
  /** Each event once; ends after `failed` or `ended`. One reader. */
  readonly events: AsyncIterable<EgressEvent>;
  stats(): EgressStats;
  /** RTP alone: what its receiver needs (RFC 8866). */
  sdp?(): string;
  /** Writes out what is queued (bounded in time for peers), finishes and closes. Idempotent, never rejects. */
  close(): Promise<void>;
}
