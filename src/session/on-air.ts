import type { MixEventBody } from "../contract/events.ts";
import { soloView } from "./solo-view.ts";
import type { Source } from "./source.ts";
import type { View } from "./view.ts";

/** What {@link OnAir} looks at, and whom it tells. */
export interface OnAirContext {
  readonly sources: ReadonlyMap<string, Source>;
  readonly views: ReadonlyMap<string, View>;
  emit(event: MixEventBody): void;
}

/** Who is on screen in which views of a mix. */
export class OnAir {
  readonly #context: OnAirContext;
  /** The views of each source, joined, as last told. */
  readonly #told = new Map<string, string>();
  readonly #steering = new Map<string, string>();

  constructor(context: OnAirContext) {
    this.#context = context;
  }

  /** A source was removed: who comes under its id is told anew. */
  forget(source: string): void {
    this.#told.delete(source);
    this.#steering.delete(source);
  }

  /**
   * The view that a source's frames are brought to mid-tick of: of those that are drawn and have its rate the first that
   * shows it, a view of its own only where there is no other. Undefined if none shows it.
   */
  steering(source: string): string | undefined {
    return this.#steering.get(source);
  }

  /** Tells sources who shows them, so that nobody else is decoded. Settles when they have caught up. */
  async update(): Promise<void> {
    const { sources, views } = this.#context;
    const screens = [...views.values()].map((view) => ({ view, on: view.onScreen() }));
    const jobs: Promise<void>[] = [];
    for (const source of sources.values()) {
      const showing = screens.filter(({ on }) => on.has(source.id)).map(({ view }) => view);
      const watched = showing.filter((view) => view.isWatched);
      jobs.push(source.picture.show(watched.length > 0));
      this.#steer(source, watched);
      this.#tell(
        source.id,
        showing.map(({ id }) => id),
      );
    }
    await Promise.all(jobs);
  }

  #steer(source: Source, watched: readonly View[]): void {
    const views = [false, true].flatMap((solo) => watched.filter(({ id }) => soloView.is(id) === solo));
    const view = views.find((one) => one.isAtRateOf(source)) ?? views[0];
    if (view === undefined) this.#steering.delete(source.id);
    else this.#steering.set(source.id, view.id);
  }

  #tell(source: string, views: readonly string[]): void {
    const key = views.join();
    if ((this.#told.get(source) ?? "") === key) return;
    this.#told.set(source, key);
    this.#context.emit({ type: "source.onAir", source, views });
  }
}
