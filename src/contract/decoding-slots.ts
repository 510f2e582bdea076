/**
 * What a worker is decoding right now, kept where it survives the worker's death.
 *
 * Control opens an unlinked file, hands it to the worker as {@link DECODING_SLOTS_FD} and reads it after a crash.
 * The worker writes {@link slotLabel} once when a source opens, {@link BUSY} before each call into a decoder and
 * {@link IDLE} after it, each with one positioned write: what the kernel has taken outlives a segmentation fault.
 *
 *     record i at i * SLOT_BYTES:  [busy: 1][mix\0source\0: padded with zeros]
 */
export const DECODING_SLOTS_FD = 5;
/** Bytes per record: the flag, two ids of at most 64 characters, two terminators, rounded up. */
export const SLOT_BYTES = 144;
/** Sources one worker can note; more go unnoted. */
export const SLOT_COUNT = 1024;

/** First byte of a record while its source is inside a decoder. */
export const BUSY: Uint8Array = Uint8Array.of(1);
/** First byte of a record otherwise. */
export const IDLE: Uint8Array = Uint8Array.of(0);

/** One source of one mix. */
export interface SlotOwner {
  readonly mix: string;
  readonly source: string;
}

/** A whole record, idle, to be written when a source takes slot `i`. An empty owner frees it. */
export function slotLabel(owner: SlotOwner | undefined): Uint8Array {
  const record = new Uint8Array(SLOT_BYTES);
  if (owner !== undefined)
    new TextEncoder().encodeInto(`${owner.mix}\0${owner.source}\0`, record.subarray(1));
  return record;
}

/** Who was inside a decoder, from the bytes of the whole file; torn or foreign records are left out. */
export function busyOwners(file: Uint8Array): SlotOwner[] {
  const found: SlotOwner[] = [];
  for (let at = 0; at + SLOT_BYTES <= file.length && found.length < SLOT_COUNT; at += SLOT_BYTES) {
    if (file[at] !== BUSY[0]) continue;
    const [mix, source] = new TextDecoder().decode(file.subarray(at + 1, at + SLOT_BYTES)).split("\0");
    if (mix && source) found.push({ mix, source });
  }
  return found;
}
