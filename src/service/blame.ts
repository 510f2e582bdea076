import type { ControlState } from "./store.ts";

/** What is known of sources that were being decoded when a worker died. */
export type Blame = Pick<ControlState, "crashes" | "quarantined">;

/** A source that was twice in a decoder when the worker died does not come back. */
const CRASHES_TO_QUARANTINE = 2;

/**
 * Charges a worker's death to the sources that it was decoding.
 *
 * Several can be in decoders at once, so only one goes to quarantine at a time: of those charged often enough, the
 * one that came back last, because suspects come back alone, one after the other.
 *
 * @param suspects in the order in which they came back; a source that never left counts as earlier.
 */
export function blame(known: Blame, suspects: readonly string[]): Blame {
  const crashes: Record<string, number> = { ...known.crashes };
  for (const source of suspects) crashes[source] = (crashes[source] ?? 0) + 1;
  const guilty = suspects.filter((source) => (crashes[source] ?? 0) >= CRASHES_TO_QUARANTINE).at(-1);
  if (guilty === undefined) return { crashes, quarantined: known.quarantined };
  // Who was in a decoder beside the guilty one is cleared.
  return { crashes: {}, quarantined: [...known.quarantined, guilty] };
}
