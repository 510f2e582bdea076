import type { MixEventBody } from "../contract/events.ts";
import { type LayoutChange, laidOver } from "../contract/layout-change.ts";
import type { LayoutReceipt, ViewState } from "../contract/worker.ts";
import { frameTime, type Rational } from "../core/rational.ts";
import type { LayoutSource } from "../layout/arrangement.ts";
import type { Occupancy } from "../layout/occupancy.ts";
import { type Placement, resolve } from "../layout/resolve.ts";
import type { Source } from "./source.ts";

/** What decides who is shown where, beside the document. */
export interface LayoutContext {
  readonly sources: ReadonlyMap<string, Source>;
  speaker(): string | null;
  emit(event: MixEventBody): void;
}

/** A layout to come: `state`, or what `change` makes of what is on air by then. */
interface Wanted {
  readonly state: ViewState;
  readonly change?: LayoutChange | undefined;
}

/** A change of layout that waits for its frame. */
interface Pending extends Wanted {
  readonly frame: number;
  /** The frame that was asked for has passed. */
  readonly late: boolean;
  readonly receipt: PromiseWithResolvers<LayoutReceipt>;
}

/** Who is shown where in one view, now and from frames to come. */
export class ViewLayout {
  readonly #context: LayoutContext;
  readonly #rate: Rational;
  #state: ViewState;
  #pending: Pending[] = [];
  #occupancy: Occupancy | undefined;
  #placements: readonly Placement[] = [];
  #resolvedFor = "";

  constructor(state: ViewState, rate: Rational, context: LayoutContext) {
    this.#state = state;
    this.#rate = rate;
    this.#context = context;
  }

  get state(): ViewState {
    return this.#state;
  }

  get placements(): readonly Placement[] {
    return this.#placements;
  }

  get backgroundColor(): string {
    return this.#state.layout.background?.color ?? "#000000";
  }

  /** Sources on screen. */
  onScreen(): ReadonlySet<string> {
    return new Set(this.#placements.flatMap(({ source }) => (source === null ? [] : [source])));
  }

  /** Takes over what may change beside the layout. */
  update({ slate }: ViewState): void {
    this.#state = { ...this.#state, slate };
    this.#pending = this.#pending.map((one) => ({ ...one, state: { ...one.state, slate } }));
  }

  /**
   * Puts a layout on air, and settles when it is: at the next frame, or at `wanted` if that is yet to come.
   *
   * @param next the first frame that is not composed yet.
   */
  set(layout: Wanted, next: number, wanted: number = next): Promise<LayoutReceipt> {
    const receipt = Promise.withResolvers<LayoutReceipt>();
    this.#pending.push({ ...layout, frame: Math.max(next, wanted), late: wanted < next, receipt });
    this.#pending.sort((a, b) => a.frame - b.frame);
    return receipt.promise;
  }

  /** Where everything would be with this state; nothing changes. */
  preview(state: ViewState, frame: number): LayoutReceipt {
    return this.#receipt(state.revision, frame, this.#resolve(state).placements, false);
  }

  /** Where everything is. */
  current(frame: number): LayoutReceipt {
    return this.#receipt(this.#state.revision, frame, this.#placements, false);
  }

  /** Applies what is due at `frame`, and follows who came, left and speaks. True if another layout came on air. */
  advanceTo(frame: number): boolean {
    const due = this.#pending.filter((one) => one.frame <= frame);
    this.#pending = this.#pending.filter((one) => one.frame > frame);
    for (const one of due) this.#apply(one, frame);
    this.#arrange();
    return due.length > 0;
  }

  /** The view is gone: nobody waits for a frame that never comes. */
  close(frame: number): void {
    for (const { receipt } of this.#pending) receipt.resolve(this.current(frame));
  }

  #apply({ state: asked, change, late, receipt }: Pending, frame: number): void {
    const state = change === undefined ? asked : laidOver(this.#state, change);
    this.#state = state;
    this.#arrange();
    const applied = this.#receipt(state.revision, frame, this.#placements, late);
    receipt.resolve(applied);
    const { placements, revision, appliedPtsUs } = applied;
    this.#context.emit({ type: "layout.applied", view: state.id, revision, appliedPtsUs, frame, placements });
  }

  /** Resolves anew only when something that decides the arrangement changed. */
  #arrange(): void {
    const key = JSON.stringify([this.#state.revision, this.#candidates(), this.#context.speaker()]);
    if (key === this.#resolvedFor) return;
    this.#resolvedFor = key;
    const { placements, occupancy } = this.#resolve(this.#state);
    this.#placements = placements;
    this.#occupancy = occupancy;
  }

  #resolve({ layout, width, height, assign }: ViewState): ReturnType<typeof resolve> {
    return resolve({
      document: layout,
      canvas: { width, height },
      sources: this.#candidates(),
      speaker: this.#context.speaker(),
      assign,
      previous: this.#occupancy,
    });
  }

  #candidates(): LayoutSource[] {
    const present = [...this.#context.sources.values()].filter(
      ({ state }) => state !== "ended" && state !== "quarantined",
    );
    return present.map((source) => {
      const { id, name, role, priority, video } = source.spec;
      const { joined, hasVideo } = source;
      return { id, name: name ?? id, role, priority, joined, hasVideo, card: video.card ?? false };
    });
  }

  #receipt(revision: number, frame: number, placements: readonly Placement[], late: boolean): LayoutReceipt {
    const shown = placements.map(({ slot, source, x, y, width, height, z }) => {
      return { slot, source, x, y, width, height, z };
    });
    return { revision, frame, appliedPtsUs: frameTime(frame, this.#rate), placements: shown, late };
  }
}
