import type { LayoutSource } from "./arrangement.ts";
import type { Seating } from "./seats.ts";

/**
 * Who sat where, and how it was before people left or came. Plain data; opaque to whoever carries it from one
 * picture to the next.
 *
 * Invariant: `earlier` holds only moments since which nothing changed but who is there. So a source that comes back
 * finds the picture as it was when it left, and one that came and went leaves no trace.
 */
export interface Occupancy extends Moment {
  /** Newest first. */
  readonly earlier: readonly Moment[];
}

interface Moment {
  /** The ids of those who took part, sorted. */
  readonly present: string;
  readonly seating: Seating;
}

const MAX_MOMENTS = 8;

/** The seating to keep to: the one when the same sources were there before, else the last. */
export function recall(last: Occupancy | undefined, candidates: readonly LayoutSource[]): Seating {
  if (last === undefined) return {};
  const present = presence(candidates);
  if (present === last.present) return last.seating;
  return last.earlier.find((moment) => moment.present === present)?.seating ?? last.seating;
}

/** What the next picture is to know of this one. */
export function remember(
  last: Occupancy | undefined,
  candidates: readonly LayoutSource[],
  seating: Seating,
): Occupancy {
  const present = presence(candidates);
  if (last === undefined) return { present, seating, earlier: [] };
  if (present === last.present) {
    const same = sameSeating(seating, last.seating);
    return { present, seating, earlier: same ? last.earlier : [] };
  }
  const { earlier, ...moment } = last;
  const others = [moment, ...earlier].filter((one) => one.present !== present);
  return { present, seating, earlier: others.slice(0, MAX_MOMENTS) };
}

const presence = (candidates: readonly LayoutSource[]): string =>
  candidates
    .map(({ id }) => id)
    .sort()
    .join(" ");

function sameSeating(a: Seating, b: Seating): boolean {
  const ids = Object.keys(a);
  return ids.length === Object.keys(b).length && ids.every((id) => a[id] === b[id]);
}
