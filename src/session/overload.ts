import type { MixEventBody } from "../contract/events.ts";

/** What is read of a view. Counts are since it began. */
interface Watched {
  readonly id: string;
  readonly ticks: number;
  readonly repeated: number;
}

/** What a view's counts were. */
interface Window extends Watched {
  readonly sinceUs: number;
}

const WINDOW_US = 5_000_000;
/** A picture now and then is a hiccup of the machine, and is counted in `mix.stats` alone. */
const TOO_MANY = 0.1;

/** Notices that this machine cannot keep up: a view that shows over a tenth of its pictures again in 5 s. */
export class OverloadWatch {
  #windows = new Map<string, Window>();

  /**
   * What is to be told at `nowUs`: at most one event for each view in 5 s. Call it about once a second.
   *
   * @param views all views of the mix; one that is missing is forgotten.
   */
  look(views: Iterable<Watched>, nowUs: number): MixEventBody[] {
    const events: MixEventBody[] = [];
    const windows = new Map<string, Window>();
    for (const { id, ticks, repeated } of views) {
      const before = this.#windows.get(id);
      const isAnother = before === undefined || ticks < before.ticks;
      const isOver = isAnother || nowUs - before.sinceUs >= WINDOW_US;
      windows.set(id, isOver ? { id, ticks, repeated, sinceUs: nowUs } : before);
      if (isAnother || !isOver) continue;
      const [all, again] = [ticks - before.ticks, repeated - before.repeated];
      if (again > all * TOO_MANY)
        events.push({ type: "overload", what: `view ${id}: ${again} of ${all} pictures shown again` });
    }
    this.#windows = windows;
    return events;
  }
}
