/**
 * Why an output lost a packet: its peer or its disk did not keep up (`slow`), its peer was not there (`away`), the packet
 * came when its part of a recording was over (`late`), or a recording, or a part of it, had failed (`failed`).
 */
export type DropReason = "slow" | "away" | "late" | "failed";

/** Packets that one output lost: in all, and for each reason that it can have. */
export interface Drops {
  readonly dropped: number;
  readonly droppedBy: Readonly<Partial<Record<DropReason, number>>>;
}

/** Counts {@link Drops}. */
export class DropCount<R extends DropReason> {
  readonly #by = new Map<R, number>();

  /** @param reasons that can be; each is told, also while it is 0. */
  constructor(...reasons: R[]) {
    for (const why of reasons) this.#by.set(why, 0);
  }

  add(why: R, packets = 1): void {
    this.#by.set(why, (this.#by.get(why) ?? 0) + packets);
  }

  /** Begins at 0 again. */
  reset(): void {
    for (const why of this.#by.keys()) this.#by.set(why, 0);
  }

  read(): Drops {
    const dropped = [...this.#by.values()].reduce((sum, packets) => sum + packets, 0);
    return { dropped, droppedBy: Object.fromEntries(this.#by) as Partial<Record<R, number>> };
  }
}
