import { type LayoutChange, laidOver } from "../contract/layout-change.ts";
import type { LayoutReceipt, MixState, ViewState } from "../contract/worker.ts";
import { NotFoundError } from "../core/error.ts";
import { Later } from "./requests.ts";
import { changed, viewIn } from "./state.ts";
import type { WorkerProcess } from "./worker.ts";

/** What layouts need of their mix. */
export interface LayoutHost {
  readonly id: string;
  readonly state: MixState;
  readonly phase: string;
  /** Its worker, waiting for a restart that is under way. */
  running(): Promise<WorkerProcess>;
  /** Makes `next` the state; the worker has it already. */
  commit(next: MixState): void;
  /** Makes `next` the state, and the worker follow. */
  change(next: MixState): Promise<unknown>;
}

/**
 * Puts the layouts of one mix on air. A change for later is laid over what is on air when its time comes, in the worker
 * and in the state alike, so that nothing that changes before is undone by it, and nothing has to wait for it.
 */
export class ViewLayouts {
  readonly #mix: LayoutHost;
  /** Changes for later, by view. */
  readonly #scheduled = new Map<string, number>();

  constructor(mix: LayoutHost) {
    this.#mix = mix;
  }

  /** Changes of the view that are yet to come on air. */
  scheduled(view: string): number {
    return this.#scheduled.get(view) ?? 0;
  }

  /** Where everything is. */
  async get(view: string): Promise<LayoutReceipt> {
    viewIn(this.#mix.state, view);
    const worker = await this.#mix.running();
    return await worker.call("layout.get", { mix: this.#mix.id, view });
  }

  /** Where everything would be; nothing changes. */
  async preview(view: string, change: LayoutChange): Promise<LayoutReceipt> {
    const worker = await this.#mix.running();
    return await worker.call("layout.set", { ...this.#asked(view, change), dryRun: true });
  }

  /** Changes a view's layout with the next picture. */
  async set(view: string, change: LayoutChange): Promise<LayoutReceipt> {
    const worker = await this.#mix.running();
    const receipt = await worker.call("layout.set", { ...this.#asked(view, change), dryRun: false });
    this.#commit(view, change);
    return receipt;
  }

  /** As {@link set}, with the picture of `atPtsUs`. @throws {NotFoundError} if the view is gone by then. */
  async setAt(view: string, change: LayoutChange, atPtsUs: number): Promise<Later<LayoutReceipt>> {
    const worker = await this.#mix.running();
    const onAir = worker.call("layout.set", { ...this.#asked(view, change), atPtsUs, dryRun: false });
    this.#count(view, 1);
    const done = onAir.then(
      (receipt) => (): Promise<LayoutReceipt> => this.#follow(view, change, receipt),
      (error: unknown) => {
        this.#count(view, -1);
        throw error;
      },
    );
    return new Later(done);
  }

  #asked(view: string, change: LayoutChange): { mix: string; view: ViewState; change: LayoutChange } {
    return { mix: this.#mix.id, view: laidOver(viewIn(this.#mix.state, view), change), change };
  }

  /** The state follows what came on air. */
  async #follow(view: string, change: LayoutChange, receipt: LayoutReceipt): Promise<LayoutReceipt> {
    this.#count(view, -1);
    const isThere = this.#mix.phase !== "closed" && this.#mix.state.views.some(({ id }) => id === view);
    // A view that ends answers with what it showed last.
    if (!isThere || receipt.revision <= viewIn(this.#mix.state, view).revision)
      throw new NotFoundError(`view ${view} was gone before its layout came on air`);
    this.#commit(view, change);
    await this.#dropGone(view);
    return receipt;
  }

  /** Sources that were removed while a change that assigns them waited are assigned to nothing. */
  async #dropGone(view: string): Promise<void> {
    const { sources, views } = this.#mix.state;
    const known = new Set(["empty", ...sources.map(({ id }) => id)]);
    const { assign } = viewIn(this.#mix.state, view);
    const kept = Object.fromEntries(Object.entries(assign).filter(([, source]) => known.has(source)));
    if (Object.keys(kept).length === Object.keys(assign).length) return;
    const next = views.map((one) => (one.id === view ? { ...one, assign: kept } : one));
    await this.#mix.change(changed(this.#mix.state, { views: next }));
  }

  #commit(view: string, change: LayoutChange): void {
    const { state } = this.#mix;
    const views = state.views.map((one) => (one.id === view ? laidOver(one, change) : one));
    this.#mix.commit(changed(state, { views }));
  }

  #count(view: string, by: 1 | -1): void {
    const count = this.scheduled(view) + by;
    if (count === 0) this.#scheduled.delete(view);
    else this.#scheduled.set(view, count);
  }
}
