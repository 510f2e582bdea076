import type { LayoutSource } from "./arrangement.ts";
import type { Seating } from "./seats.ts";

/**
 * Who sat where, and how it was before people left or came. Plain data; opaque to whoever carries it from one
 * picture to the next.
 *
 * Invariant: nothing but who is there changed since the moments kept here. A step back (the last one who left comes
 * back, or the last one who came leaves) restores the top of `earlier`, and undoing that restores `undone`. So who
 * comes back finds the picture as it was, and who came and went leaves no trace.
 */
export interface Occupancy extends Moment {
  /** Newest first. */
  readonly earlier: readonly Moment[];
  /** The moment that the last step back left, if it was the last step. */
  readonly undone: Moment | null;
}

interface Moment {
  /** Who took part, and what of them decides about seats besides their order of joining. */
  readonly present: string;
  readonly seating: Seating;
}

const MAX_MOMENTS = 8;

/** The seating to keep to: the one to which a step leads back, else the last. */
export function recall(last: Occupancy | undefined, candidates: readonly LayoutSource[]): Seating {
  if (last === undefined) return {};
  const present = presence(candidates);
  const known = [last, last.earlier[0], last.undone].find((one) => one?.present === present);
  return (known ?? last).seating;
}

/** What the next picture is to know of this one. */
export function remember(
  last: Occupancy | undefined,
  candidates: readonly LayoutSource[],
  seating: Seating,
): Occupancy {
  const now = { present: presence(candidates), seating };
  if (last === undefined) return { ...now, earlier: [], undone: null };
  const { earlier, undone } = last;
  if (now.present === last.present) {
    return sameSeating(seating, last.seating)
      ? { ...now, earlier, undone }
      : { ...now, earlier: [], undone: null };
  }
  const moment = { present: last.present, seating: last.seating };
  if (now.present === earlier[0]?.present) return { ...now, earlier: earlier.slice(1), undone: moment };
  return { ...now, earlier: [moment, ...earlier].slice(0, MAX_MOMENTS), undone: null };
}

const presence = (candidates: readonly LayoutSource[]): string =>
  candidates
    .map(({ id, priority, role }) => `${id} ${priority} ${role}`)
    .sort()
    .join("\n");

function sameSeating(a: Seating, b: Seating): boolean {
  const ids = Object.keys(a);
  return ids.length === Object.keys(b).length && ids.every((id) => a[id] === b[id]);
}
