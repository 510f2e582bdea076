import type { Micros } from "../core/time.ts";
import type { StreamInfo } from "./stream-info.ts";

/**
 * One access unit of video or one coded block of audio. Plain data; nobody mutates `data`.
 *
 * Stamps are in the stream's own time, unwrapped, in {@link Micros}; a source's audio and video share one origin.
 */
export interface Packet {
  readonly kind: "video" | "audio";
  readonly data: Uint8Array;
  readonly ptsUs: Micros;
  readonly dtsUs: Micros;
  /** 0 if unknown. */
  readonly durationUs: Micros;
  /** Video: a decoder can start here. Audio: always true. */
  readonly keyFrame: boolean;
  /** On the mix clock: when its first byte was here. For files, when it was read. */
  readonly arrivalUs: Micros;
  /** On a stream's first packet, and again whenever codec parameters change. */
  readonly info?: StreamInfo;
  /** The stamps jump here: what came before says nothing about what follows. */
  readonly discontinuity?: boolean;
  /** Decode it, for what follows refers to it, but show nothing of it: it lies outside the file's edit list. */
  readonly discard?: boolean;
  /** VP8 and VP9: the coded alpha channel of this picture, which Matroska and WebM keep beside it. */
  readonly alpha?: Uint8Array;
  /** Audio samples (at the decoded rate) to drop from the start and the end of what this packet decodes to. */
  readonly skipStart?: number;
  readonly skipEnd?: number;
}
