import { BusyError } from "../core/error.ts";
import type { Logger } from "../core/log.ts";
import { Backoff } from "../core/retry.ts";
import { delay, within } from "./time.ts";
import { type WorkerOptions, WorkerProcess } from "./worker.ts";

export interface PoolOptions {
  readonly worker: WorkerOptions;
  /** Mixes that share a process; more than 1 saves GPU contexts and shares fates. */
  readonly mixesPerWorker: number;
  /** Workers that host mixes, at most; the warm one comes on top. */
  readonly maxWorkers: number;
}

/** How long a mix waits for a worker to start before it is told that the node is busy. */
const TAKE_MS = 20_000;

/** Keeps one warm worker ready and places mixes on workers. */
export class WorkerPool implements AsyncDisposable {
  readonly #options: PoolOptions;
  readonly #log: Logger;
  /** Workers with mixes, and how many. */
  readonly #hosts = new Map<WorkerProcess, number>();
  readonly #closing = new AbortController();
  #warm: Promise<WorkerProcess>;
  #warmWorker: WorkerProcess | undefined;
  /** Places promised to mixes that still wait for their worker. */
  #promised = 0;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#log = options.worker.log;
    this.#warm = this.#prepare(Promise.resolve());
  }

  /** True if a mix that is created now finds a worker at once. */
  get ready(): boolean {
    return this.#warmWorker !== undefined || this.#withRoom() !== undefined;
  }

  /** Workers that host mixes. */
  get hosts(): readonly WorkerProcess[] {
    return [...this.#hosts.keys()];
  }

  /**
   * Gives one place on a worker. Give it back with {@link release}, also after the worker died.
   *
   * @throws {BusyError} `ERR_BUSY` if all workers are full, or none can be started.
   */
  async take(): Promise<WorkerProcess> {
    const shared = this.#withRoom();
    if (shared !== undefined) return this.#place(shared);
    if (this.#hosts.size + this.#promised >= this.#options.maxWorkers) {
      throw new BusyError(`all ${this.#options.maxWorkers} workers of this node are taken`);
    }
    this.#promised += 1;
    try {
      const worker = await this.#await(this.#takeWarm());
      return this.#place(worker);
    } finally {
      this.#promised -= 1;
    }
  }

  /** Ends a mix's stay. A worker without mixes is stopped: the next mix gets a fresh one. */
  release(worker: WorkerProcess): void {
    const left = (this.#hosts.get(worker) ?? 1) - 1;
    if (left > 0) {
      this.#hosts.set(worker, left);
      return;
    }
    this.#hosts.delete(worker);
    void worker.stop(10_000);
  }

  /** Stops all workers, each with `graceMs` to finish its files. */
  async close(graceMs: number): Promise<void> {
    this.#closing.abort();
    await this.#warm.catch(() => undefined);
    const all = new Set([...this.#hosts.keys(), this.#warmWorker]);
    await Promise.all([...all].map((worker) => worker?.stop(graceMs)));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close(10_000);
  }

  #withRoom(): WorkerProcess | undefined {
    for (const [worker, mixes] of this.#hosts) if (mixes < this.#options.mixesPerWorker) return worker;
    return undefined;
  }

  #place(worker: WorkerProcess): WorkerProcess {
    this.#hosts.set(worker, (this.#hosts.get(worker) ?? 0) + 1);
    return worker;
  }

  #takeWarm(): Promise<WorkerProcess> {
    const warm = this.#warm;
    this.#warmWorker = undefined;
    this.#warm = this.#prepare(warm);
    return warm;
  }

  async #await(worker: Promise<WorkerProcess>): Promise<WorkerProcess> {
    const found = await within(worker, TAKE_MS, undefined);
    if (found === undefined) throw new BusyError("no worker could be started");
    return found;
  }

  /** One start at a time, so that a burst of mixes does not start them all at once. */
  #prepare(previous: Promise<unknown>): Promise<WorkerProcess> {
    const next = previous.then(
      () => this.#spawn(),
      () => this.#spawn(),
    );
    // Rejects only when the pool closes, and then nobody may be waiting.
    next.catch(() => undefined);
    return next;
  }

  async #spawn(): Promise<WorkerProcess> {
    const backoff = new Backoff({ firstMs: 200, maxMs: 10_000 });
    for (;;) {
      this.#closing.signal.throwIfAborted();
      try {
        return await this.#open();
      } catch (error) {
        this.#log.error({ err: error, attempt: backoff.attempts + 1 }, "worker did not start");
        await delay(backoff.next(), this.#closing.signal);
      }
    }
  }

  async #open(): Promise<WorkerProcess> {
    const worker = await WorkerProcess.open(this.#options.worker, this.#closing.signal);
    this.#warmWorker = worker;
    void worker.closed.then(() => this.#onWarmDeath(worker));
    return worker;
  }

  /** A warm worker that dies before a mix came is replaced. */
  #onWarmDeath(worker: WorkerProcess): void {
    if (this.#warmWorker !== worker || this.#closing.signal.aborted) return;
    this.#warmWorker = undefined;
    this.#warm = this.#prepare(Promise.resolve());
  }
}
