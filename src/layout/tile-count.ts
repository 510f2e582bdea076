import { type Arrangement, MAX_TILES } from "./document.ts";
import { type Seat, type SeatingInput, seat } from "./seats.ts";

/** Tile `number` of a grid, from 1. */
export const tileId = (number: number): string => `tile-${number}`;

/**
 * How many tiles a grid has: one for each source that no slot shows, and one more for each that is held for nobody
 * who would have one anyway (locked empty, or assigned to a source that is not there or takes no part by itself).
 *
 * An assignment to a tile beyond that number sleeps until the grid has grown.
 */
export function tileCount(
  { grid }: Arrangement,
  slots: readonly Seat[],
  people: Omit<SeatingInput, "seats">,
): number {
  if (grid === undefined) return 0;
  const most = grid.maxTiles ?? MAX_TILES;
  const assigned = assignedTiles(people, most);
  for (let awake = assigned; ; ) {
    const count = Math.min(most, countWith(awake, slots, people));
    const reached = awake.filter(({ tile }) => tile <= count);
    if (reached.length === awake.length) return count;
    awake = reached;
  }
}

interface Assigned {
  readonly tile: number;
  readonly source: string;
}

function assignedTiles({ assign }: Omit<SeatingInput, "seats">, most: number): readonly Assigned[] {
  if (Object.keys(assign).length === 0) return [];
  const seen = new Set<string>();
  return Array.from({ length: most }, (_, index) => index + 1).flatMap((tile) => {
    const id = tileId(tile);
    const source = Object.hasOwn(assign, id) ? assign[id] : undefined;
    if (source === undefined) return [];
    const again = seen.has(source);
    seen.add(source);
    return [{ tile, source: again ? "empty" : source }]; // nobody is shown twice
  });
}

function countWith(
  assigned: readonly Assigned[],
  slots: readonly Seat[],
  people: Omit<SeatingInput, "seats">,
): number {
  const inTiles = new Set(assigned.map(({ source }) => source));
  const others = people.candidates.filter(({ id }) => !inTiles.has(id));
  if (slots.length === 0) return others.length + assigned.length;
  const seated = new Set(Object.values(seat({ ...people, seats: slots, candidates: others })));
  return others.filter(({ id }) => !seated.has(id)).length + assigned.length;
}
