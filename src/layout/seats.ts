import { byRank, type LayoutSource } from "./arrangement.ts";
import type { Take } from "./document.ts";

/** A slot that waits for somebody. */
export interface Seat {
  readonly id: string;
  readonly take: Take;
}

/** Who sits where, by slot id; null is a slot that stays empty. */
export type Seating = Readonly<Record<string, string | null>>;

/** Whom to seat. */
export interface SeatingInput {
  /** Slots in the order in which they are filled. */
  readonly seats: readonly Seat[];
  /** Those that take part in the picture, best first. */
  readonly candidates: readonly LayoutSource[];
  /** All sources: a pin may name one that does not take part by itself. */
  readonly sources: readonly LayoutSource[];
  readonly speaker: string | null;
  /** Slot id to source id, or `empty`; goes before the document's `take`. */
  readonly assign: Readonly<Record<string, string>>;
  /** The seating before. */
  readonly previous: Seating;
}

/**
 * Seats the sources. Pins go first (assignments, then `take` of a source, a role, the screen), then the speaker,
 * then everybody else by priority and order of joining.
 *
 * Invariants: nobody has two seats; a lower priority never has a seat that a higher one lacks, nor an earlier one
 * among the `next` seats; whoever has a seat that is still right keeps it. So a speaker change swaps two, and a gap
 * is closed by the first who waits, else by the one on the last seat.
 */
export function seat(input: SeatingInput): Seating {
  const table = new Table(input);
  seatPins(table, input);
  seatSpeaker(table, input);
  seatOthers(table, input);
  return Object.fromEntries(input.seats.map(({ id }) => [id, table.at(id)]));
}

/** Who has a seat so far. */
class Table {
  readonly #seated = new Map<string, string | null>();
  readonly #taken = new Set<string>();
  readonly #previous: Seating;

  constructor({ previous }: SeatingInput) {
    this.#previous = previous;
  }

  at(seatId: string): string | null {
    return this.#seated.get(seatId) ?? null;
  }

  isOpen(seatId: string): boolean {
    return !this.#seated.has(seatId);
  }

  isFree(source: LayoutSource): boolean {
    return !this.#taken.has(source.id);
  }

  put(seatId: string, source: LayoutSource | undefined): void {
    this.#seated.set(seatId, source?.id ?? null);
    if (source !== undefined) this.#taken.add(source.id);
  }

  /** The best of `candidates` that is free; who sat here before goes first. */
  choose(seatId: string, candidates: readonly LayoutSource[]): LayoutSource | undefined {
    const free = candidates.filter((one) => this.isFree(one));
    return free.find(({ id }) => id === this.#previous[seatId]) ?? free[0];
  }
}

function seatPins(table: Table, { seats, sources, candidates, assign }: SeatingInput): void {
  const byId = (id: string): readonly LayoutSource[] => sources.filter((one) => one.id === id);
  const withRole = (role: string): readonly LayoutSource[] => candidates.filter((one) => one.role === role);
  for (const { id } of seats) {
    const to = Object.hasOwn(assign, id) ? assign[id] : undefined;
    if (to !== undefined) table.put(id, to === "empty" ? undefined : table.choose(id, byId(to)));
  }
  const open = seats.filter(({ id, take }) => table.isOpen(id) && take !== "next" && take !== "speaker");
  for (const { id, take } of open) {
    if (take === "empty") table.put(id, undefined);
    else if (typeof take === "object" && "source" in take) table.put(id, table.choose(id, byId(take.source)));
  }
  for (const { id, take } of open) {
    if (take === "screen") table.put(id, table.choose(id, withRole("screen")));
    else if (typeof take === "object" && "role" in take) table.put(id, table.choose(id, withRole(take.role)));
  }
}

/** The speaker's seat keeps whom it has while nobody speaks, or while the speaker is pinned elsewhere. */
function seatSpeaker(table: Table, { seats, candidates, speaker }: SeatingInput): void {
  for (const { id, take } of seats) {
    if (take !== "speaker" || !table.isOpen(id)) continue;
    const talking = candidates.find((one) => one.id === speaker && table.isFree(one));
    table.put(id, talking ?? table.choose(id, candidates));
  }
}

function seatOthers(table: Table, { seats, candidates, previous }: SeatingInput): void {
  const open = seats.filter(({ id }) => table.isOpen(id)).map(({ id }) => id);
  const here = new Set(open.map((id) => previous[id]));
  const shown = new Set(Object.values(previous));
  const claim = ({ id }: LayoutSource): number => (here.has(id) ? 0 : shown.has(id) ? 1 : 2);
  const chosen = candidates
    .filter((one) => table.isFree(one))
    .sort((a, b) => b.priority - a.priority || claim(a) - claim(b) || byRank(a, b))
    .slice(0, open.length);
  const waiting = new Map(chosen.toSorted(byRank).map((one) => [one.id, one]));
  for (const [index, { priority }] of chosen.entries()) {
    const id = open[index] ?? "";
    const sitter = waiting.get(previous[id] ?? "");
    if (sitter === undefined || sitter.priority !== priority) continue;
    table.put(id, sitter);
    waiting.delete(sitter.id);
  }
  const next = waiting.values();
  for (const id of open) if (table.isOpen(id)) table.put(id, next.next().value);
}
