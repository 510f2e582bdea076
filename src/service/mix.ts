import { relative } from "node:path";
import type { MixEventBody } from "../contract/events.ts";
import type { MixStats } from "../contract/status.ts";
import type { MixState, Snapshot, WorkerSettings } from "../contract/worker.ts";
import { BusyError, type ErrorInfo, errorInfo, RemoteError } from "../core/error.ts";
import type { Logger } from "../core/log.ts";
import { Absence } from "./absence.ts";
import { bodyKey, type PartKind } from "./bodies.ts";
import type { EventHub } from "./events.ts";
import { MixClock } from "./mix-clock.ts";
import { MixRunner, type Runnable } from "./mix-runner.ts";
import { absentStatus, MixStatus } from "./mix-status.ts";
import { Numbering } from "./numbering.ts";
import { plan } from "./plan.ts";
import { reached } from "./reached.ts";
import { sourceIn, viewIn } from "./state.ts";
import type { ControlState, StoredMix } from "./store.ts";
import { delay } from "./time.ts";
import { type LayoutHost, ViewLayouts } from "./view-layouts.ts";
import type { MixMessage, WorkerExit, WorkerProcess } from "./worker.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** What a mix needs of its node. */
export interface MixHost {
  readonly pool: WorkerPool;
  readonly hub: EventHub;
  readonly settings: WorkerSettings;
  readonly log: Logger;
  /** Runs `task` in the order of this mix's requests and saves the mix when it is done. */
  inOrder(mix: string, task: () => Promise<void>): Promise<void>;
  countRestart(why: string): void;
}

export type MixPhase = "starting" | "running" | "restarting" | "failed" | "closed";

/** Suspects come back one by one, this far apart, so that a second crash says whose fault it is. */
const BRING_BACK_MS = 1000;
const SNAPSHOT_MS = 5000;
const REFRESH_MS = 5000;

/** One mix: its state, and the worker that runs it. Callers see to it that changes come one at a time. */
export class Mix implements Runnable, LayoutHost {
  readonly status: MixStatus = new MixStatus();
  readonly layouts: ViewLayouts = new ViewLayouts(this);
  readonly #host: MixHost;
  readonly #log: Logger;
  readonly #clock: MixClock;
  readonly #numbers: Numbering;
  readonly #runner: MixRunner;
  readonly #absence: Absence;
  /** Sources that subscribers were told of. */
  readonly #told = new Set<string>();
  #state: MixState;
  #control: ControlState;
  #stored: Pick<StoredMix, "state" | "control"> | undefined;
  #phase: MixPhase = "starting";
  #dirty = true;

  /** @param restored it ran before, so it gets a place as soon as there is one, however long that takes. */
  constructor(stored: StoredMix, host: MixHost, restored: boolean) {
    this.#host = host;
    this.#log = host.log.child({ mix: stored.state.id });
    this.#clock = new MixClock(stored.state.epoch, stored.floorUs);
    this.#numbers = new Numbering(stored.nextSeq);
    this.#state = stored.state;
    this.#control = stored.control;
    this.#absence = new Absence(stored.control.quarantined);
    for (const source of stored.control.quarantined) this.#tellQuarantine(source);
    if (restored) this.saved();
    if (restored) for (const { id } of stored.state.sources) this.#told.add(id);
    this.#runner = new MixRunner(this, host.pool, host.settings, this.#log, restored);
  }

  get id(): string {
    return this.#state.id;
  }

  get state(): MixState {
    return this.#state;
  }

  get control(): ControlState {
    return this.#control;
  }

  get phase(): MixPhase {
    return this.#phase;
  }

  /** What a failed mix died of. */
  get failure(): ErrorInfo | undefined {
    return this.#runner.failure;
  }

  /** Resolves when it runs for the first time. @throws what the worker says against it. */
  get opened(): Promise<void> {
    return this.#runner.opened;
  }

  /** Its worker now, if it runs. */
  get worker(): WorkerProcess | undefined {
    return this.#runner.current;
  }

  /** Every worker that runs it, from now on, one after the other; ends when the mix does. */
  workers(): AsyncGenerator<WorkerProcess, void> {
    return this.#runner.workers();
  }

  /** The mix clock. */
  nowUs(): number {
    return this.#clock.nowUs();
  }

  /** True if there is something to save since the last {@link toStore}. */
  get dirty(): boolean {
    return this.#dirty || this.#numbers.exhausted;
  }

  /**
   * Everything that must be on disk; clears {@link dirty}.
   *
   * @param isLast no event follows, so event numbers go on without a gap.
   */
  toStore(isLast = false): StoredMix {
    this.#dirty = false;
    return {
      state: this.#state,
      control: this.#control,
      nextSeq: isLast ? this.#numbers.next : this.#numbers.reserve(),
      floorUs: this.nowUs(),
    };
  }

  /** What {@link toStore} gave is on disk. */
  saved(): void {
    this.#stored = { state: this.#state, control: this.#control };
  }

  /** Goes back to what is on disk; false if nothing is. */
  async revert(): Promise<boolean> {
    if (this.#stored === undefined) return false;
    const { state, control } = this.#stored;
    if (state !== this.#state) await this.change(state);
    this.#control = control;
    this.#dirty = false;
    return true;
  }

  /** Changes what only control keeps. */
  note(change: Partial<ControlState>): void {
    this.#control = { ...this.#control, ...change };
    this.#dirty = true;
  }

  /**
   * Makes the running mix equal `next`, or leaves it as it was. Gives what the worker says of a new output.
   *
   * @throws the worker's error; {@link BusyError} if there is no worker for too long.
   */
  async change(next: MixState): Promise<{ readonly sdp?: string }> {
    const worker = await this.#runner.worker();
    const steps = plan(this.#state, next).filter((one) => !this.#absence.concerns(one, this.#state));
    let now = this.#state;
    let said: { readonly sdp?: string } = {};
    for (const one of steps) {
      try {
        const answer = await worker.call(one.method, one.params);
        if (one.method === "output.add") said = answer as { readonly sdp?: string };
      } catch (error) {
        await this.#undo(worker, now);
        throw error;
      }
      now = reached(now, next, one);
    }
    this.commit(next);
    return said;
  }

  /** For {@link layouts}. */
  running(): Promise<WorkerProcess> {
    return this.#runner.worker();
  }

  /** Begins a new part of a recording. */
  async split(output: string): Promise<void> {
    const worker = await this.#runner.worker();
    await worker.call("output.split", { mix: this.id, id: output });
  }

  /** The worker's answer to `mix.stats`. @throws {BusyError} `ERR_BUSY` if it takes longer than `limitMs`. */
  async stats(limitMs: number): Promise<MixStats> {
    const worker = await this.#runner.worker();
    const stats = await worker.ask("mix.stats", { mix: this.id }, limitMs);
    if (stats === undefined) throw new BusyError(`mix ${this.id} did not answer within ${limitMs} ms`);
    const absent = this.#state.sources.filter(({ id }) => this.#absence.has(id));
    const told = absent.map((source) => absentStatus(source, this.status.source(source.id)));
    const outputs = stats.outputs.map((output) =>
      output.path === undefined ? output : { ...output, path: this.#named(output.path) },
    );
    return { ...stats, sources: [...stats.sources, ...told], outputs };
  }

  /** What `view` shows now. @throws {BusyError} `ERR_BUSY` if it takes longer than 5 s. */
  async snapshot(view: string, format: "png" | "jpeg"): Promise<Snapshot> {
    viewIn(this.#state, view);
    const worker = await this.#runner.worker();
    const picture = await worker.ask("snapshot.take", { mix: this.id, view, format }, SNAPSHOT_MS);
    if (picture === undefined) throw new BusyError(`mix ${this.id} gave no picture within ${SNAPSHOT_MS} ms`);
    return picture;
  }

  /** Draws anew what shows an asset; settles when it is on air, or after 5 s. Never rejects. */
  async refreshAsset(name: string): Promise<void> {
    await this.worker?.ask("asset.refresh", { mix: this.id, name }, REFRESH_MS).catch(() => undefined);
  }

  /** Ends it: outputs are finished first, bounded. Idempotent. */
  async close(): Promise<void> {
    this.#phase = "closed";
    await this.#runner.close();
  }

  /** Tells subscribers. Every event of a mix goes through here, so numbers have no gap of our making. */
  emit(event: MixEventBody, atUs: number = this.nowUs()): void {
    this.status.apply(event);
    const stamp = { mix: this.id, seq: this.#numbers.take(), atUs, at: new Date().toISOString() };
    this.#host.hub.publish({ ...event, ...stamp });
  }

  toOpen(): MixState {
    this.#state = { ...this.#state, epoch: this.#clock.restart() };
    return this.#absence.present(this.#state);
  }

  onUp(worker: WorkerProcess, exit: WorkerExit | undefined): void {
    this.#phase = "running";
    const back = this.#absence.onUp(this.#control.quarantined);
    if (exit !== undefined) {
      this.emit({
        type: "mix.restarted",
        why: `${exit.why}: ${exit.detail}`,
        restarts: this.#state.restarts,
      });
    }
    void this.#bringBack(worker, back);
  }

  onDown(exit: WorkerExit): void {
    this.#phase = "restarting";
    this.#host.countRestart(exit.why);
    this.status.restart();
    this.#state = { ...this.#state, restarts: this.#state.restarts + 1 };
    const present = new Set(this.#state.sources.map(({ id }) => id));
    const suspects = exit.suspects.filter((one) => one.mix === this.id && present.has(one.source));
    this.#suspect(suspects.map(({ source }) => source));
    void this.#host
      .inOrder(this.id, async () => this.note({}))
      .catch((error: unknown) => this.#complain(error));
  }

  onFailed(error: ErrorInfo): void {
    // One that never ran is told of in the answer to whoever wanted it.
    const ranBefore = this.#phase !== "starting" || this.#stored !== undefined;
    this.#phase = "failed";
    if (ranBefore) this.emit({ type: "mix.failed", error });
  }

  onMessage(message: MixMessage): void {
    if (message.type !== "event") return;
    const { event } = message;
    // What broke in its worker is restarted, and that is told; it has failed when that is given up.
    if (event.type === "mix.failed") {
      this.#log.error({ err: event.error }, "mix broke in its worker");
      return;
    }
    // A restarted worker adds all sources anew; to subscribers they were there all the time.
    if (event.type === "source.added" && this.#told.has(event.source)) return;
    if (event.type === "source.added") this.#told.add(event.source);
    if (event.type === "source.removed") this.#told.delete(event.source);
    this.emit("path" in event ? { ...event, path: this.#named(event.path) } : event, message.atUs);
  }

  /** Callers know recordings by their path in the folder of recordings, as they gave it. */
  #named(path: string): string {
    return relative(this.#host.settings.dataDir, path);
  }

  /** For {@link layouts}: makes `next` the state; the worker has it already. */
  commit(next: MixState): void {
    const before = this.#state;
    this.#state = next;
    this.#dirty = true;
    for (const id of missing(before.sources, next.sources)) this.#forgetSource(id);
    for (const id of missing(before.outputs, next.outputs)) {
      this.status.forgetOutput(id);
      this.#forgetBody("output", id);
    }
    for (const id of missing(before.views, next.views)) this.#forgetBody("view", id);
  }

  /** Who comes back under the id of a source that was removed starts anew. */
  #forgetSource(id: string): void {
    const { [id]: _crashes, ...crashes } = this.#control.crashes;
    const without = (list: readonly string[]): string[] => list.filter((one) => one !== id);
    const { quarantined, undeclared } = this.#control;
    this.note({ crashes, quarantined: without(quarantined), undeclared: without(undeclared) });
    this.#forgetBody("source", id);
    this.#absence.end(id, "removed");
    this.status.forgetSource(id);
  }

  #forgetBody(kind: PartKind, id: string): void {
    const { [bodyKey(kind, id)]: _body, ...bodies } = this.#control.bodies;
    this.note({ bodies });
  }

  /** Back from `now`, where a change got stuck, to the state that is still the true one. */
  async #undo(worker: WorkerProcess, now: MixState): Promise<void> {
    try {
      for (const one of plan(now, this.#state)) await worker.call(one.method, one.params);
    } catch (error) {
      worker.kill("hang", `could neither make a change nor take it back: ${errorInfo(error).message}`);
    }
  }

  #suspect(suspects: readonly string[]): void {
    const before = this.#control.quarantined;
    this.note(this.#absence.onCrash(this.#control, suspects));
    const added = this.#control.quarantined.filter((source) => !before.includes(source));
    for (const source of added) this.#tellQuarantine(source);
  }

  #tellQuarantine(source: string): void {
    const message = `source ${source} was being decoded twice when the worker died; remove and add it to try again`;
    const error: ErrorInfo = { code: "ERR_MEDIA_INVALID", fault: "peer", retryable: false, message };
    this.emit({ type: "source.quarantined", source, error });
  }

  async #bringBack(worker: WorkerProcess, sources: readonly string[]): Promise<void> {
    for (const source of sources) {
      await delay(BRING_BACK_MS);
      if (this.#runner.current !== worker) return;
      const work = this.#host.inOrder(this.id, () => this.#returnSource(worker, source));
      await work.catch((error: unknown) => this.#complain(error));
    }
  }

  async #returnSource(worker: WorkerProcess, id: string): Promise<void> {
    if (!this.#absence.has(id) || this.#runner.current !== worker) return;
    const mix = this.id;
    await worker.call("source.add", { mix, source: sourceIn(this.#state, id) });
    for (const output of this.#state.outputs.filter(({ source }) => source === id)) {
      await worker.call("output.add", { mix, output });
    }
    this.#absence.end(id, "returned");
  }

  #complain(error: unknown): void {
    if (!(error instanceof RemoteError)) this.#log.error({ err: error }, "mix could not be put in order");
  }
}

function missing(
  before: readonly { readonly id: string }[],
  after: readonly { readonly id: string }[],
): string[] {
  const there = new Set(after.map(({ id }) => id));
  return before.map(({ id }) => id).filter((id) => !there.has(id));
}
