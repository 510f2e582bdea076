import { us } from "../core/time.ts";
import type { Packet } from "../media/packet.ts";

/** A block of AAC is right once the one before it was decoded; a picture begins within one block. */
const BLOCKS = 2;

/** Remembers the sound right before a cut, so that a part's decoder is warm at the part's first sample. */
export class Preroll {
  #blocks: readonly Packet[] = [];

  /** Takes every packet of a recording, in order; keeps what it needs of sound. */
  pass(packet: Packet): void {
    if (packet.kind !== "audio") return;
    // Sound of another encoder does not warm up the decoder of this one.
    const before = packet.info === undefined ? this.#blocks : [];
    this.#blocks = [...before, packet].slice(-BLOCKS);
  }

  /** The blocks that lead up to `first`, without a gap. Empty if `first` is sound itself. */
  before(first: Packet): readonly Packet[] {
    if (first.kind === "audio") return [];
    let next = first.ptsUs;
    const leading: Packet[] = [];
    for (const block of this.#blocks.toReversed()) {
      const endUs = block.ptsUs + block.durationUs;
      if (block.ptsUs >= next || endUs < next - GAP_US) break;
      leading.unshift(block);
      next = us(block.ptsUs);
    }
    return leading;
  }
}

/** Stamps are rounded; more than this between two blocks is a gap. */
const GAP_US = 100;
