import type { AudioBlock, VideoFrame } from "../media/frame.ts";

/**
 * An input that yields pictures and sound ready to mix, in order of their stamps, in place of packets: test sources,
 * and whatever is generated here. Iterate once; frames belong to whoever iterates. Otherwise as {@link Ingest}.
 */
export interface RawIngest extends AsyncIterable<VideoFrame | AudioBlock>, AsyncDisposable {
  /** Pictures that were left out because nobody read them in time. */
  readonly dropped: number;
  /** See {@link Ingest.isFinite}. */
  readonly isFinite: boolean;
  /** Ends the iteration at once; idempotent, never rejects. */
  close(): Promise<void>;
}

/** Tells the two kinds that a {@link RawIngest} yields apart. */
export const isSound = (item: VideoFrame | AudioBlock): item is AudioBlock => "samples" in item;
