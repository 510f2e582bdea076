import type { Packet } from "../media/packet.ts";

/**
 * One attempt at one input. Iterate once: packets come in decode order, each stream's first with its `info`.
 *
 * The iteration ends where the input ends, and throws a TesseraError where it breaks: `ERR_PEER_UNREACHABLE`
 * (refused, not found, never answered), `ERR_PEER_LOST` (stalled or cut in the middle), `ERR_MEDIA_INVALID` (no
 * media in it). It does not reconnect; who iterates decides. Files wait for their reader; live inputs do not,
 * and drop to the next key frame, counted in {@link dropped}, when they are not read for too long.
 */
export interface Ingest extends AsyncIterable<Packet>, AsyncDisposable {
  /** Packets that were dropped because nobody read them. */
  readonly dropped: number;
  /**
   * True if the end of the iteration is the end of the input, as with files; false if it is that of a connection, after
   * which more may come. Settled with the first packet; until then, whether inputs of its kind may be finite.
   */
  readonly isFinite: boolean;
  /** Ends the iteration at once; idempotent, never rejects. */
  close(): Promise<void>;
}
