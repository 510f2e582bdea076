import { writeSync } from "node:fs";
import {
  BUSY,
  DECODING_SLOTS_FD,
  IDLE,
  SLOT_BYTES,
  SLOT_COUNT,
  slotLabel,
} from "../contract/decoding-slots.ts";

/** Notes, where it outlives this process, that a source is inside a decoder; see `contract/decoding-slots.ts`. */
export interface DecodingSlot {
  enter(): void;
  leave(): void;
  free(): void;
}

const NOWHERE: DecodingSlot = { enter: () => {}, leave: () => {}, free: () => {} };

/** The worker's slots: one per source; a process without the file notes nothing. */
export class DecodingSlots {
  readonly #taken = new Set<number>();
  #isOpen: boolean;

  constructor(isOpen: boolean) {
    this.#isOpen = isOpen;
  }

  /** A slot for a source until it is freed; sources beyond {@link SLOT_COUNT} go unnoted. */
  take(mix: string, source: string): DecodingSlot {
    let index = 0;
    while (this.#taken.has(index)) index += 1;
    if (!this.#isOpen || index >= SLOT_COUNT) return NOWHERE;
    this.#taken.add(index);
    const at = index * SLOT_BYTES;
    this.#write(slotLabel({ mix, source }), at);
    let depth = 0;
    return {
      enter: () => {
        depth += 1;
        if (depth === 1) this.#write(BUSY, at);
      },
      leave: () => {
        depth -= 1;
        if (depth === 0) this.#write(IDLE, at);
      },
      free: () => {
        this.#taken.delete(index);
        this.#write(slotLabel(undefined), at);
      },
    };
  }

  #write(bytes: Uint8Array, at: number): void {
    if (!this.#isOpen) return;
    try {
      writeSync(DECODING_SLOTS_FD, bytes, 0, bytes.length, at);
    } catch {
      // Noting is a help after a crash, never a reason to stop decoding.
      this.#isOpen = false;
    }
  }
}
