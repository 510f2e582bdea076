import type { MixState, WorkerSettings } from "../contract/worker.ts";
import { aborted } from "../core/aborted.ts";
import { MIX_CLOSE_MS } from "../core/closing.ts";
import { BusyError, type ErrorInfo, errorInfo, InternalError, RemoteError } from "../core/error.ts";
import type { Logger } from "../core/log.ts";
import { Backoff } from "../core/retry.ts";
import { RestartBudget } from "./restart-budget.ts";
import { delay, within } from "./time.ts";
import type { MixMessage, WorkerExit, WorkerProcess } from "./worker.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** What a runner needs of its mix. */
export interface Runnable {
  readonly id: string;
  /** What a worker is to start from now: the state without sources that must not come back, or not yet. */
  toOpen(): MixState;
  /** The worker opened the mix; `exit` is how the one before ended, if there was one. */
  onUp(worker: WorkerProcess, exit: WorkerExit | undefined): void;
  /** The worker is gone. */
  onDown(exit: WorkerExit): void;
  /** The mix will not run any more. */
  onFailed(error: ErrorInfo): void;
  onMessage(message: MixMessage): void;
}

/** How long a request waits for a worker that is being restarted. */
const WAIT_MS = 10_000;
/** Between attempts to find a place for a mix that ran before. */
const RETRY_MS = 1000;

/**
 * Keeps one mix on a worker.
 *
 *     starting -> up <-> restarting -> failed
 *                any state -> closed
 */
export class MixRunner {
  /** Resolves when a worker has opened the mix for the first time, rejects if none did. */
  readonly opened: Promise<void>;
  readonly #pool: WorkerPool;
  readonly #settings: WorkerSettings;
  readonly #mix: Runnable;
  readonly #log: Logger;
  readonly #budget = new RestartBudget();
  readonly #backoff = new Backoff({ firstMs: 50, maxMs: 1000, factor: 4 });
  readonly #closing = new AbortController();
  readonly #first = Promise.withResolvers<void>();
  readonly #done: Promise<void>;
  #patient: boolean;
  #up = Promise.withResolvers<WorkerProcess>();
  #worker: WorkerProcess | undefined;
  #failure: ErrorInfo | undefined;

  /** @param patient a mix that ran before waits for a place as long as it takes; a new one is refused. */
  constructor(mix: Runnable, pool: WorkerPool, settings: WorkerSettings, log: Logger, patient: boolean) {
    this.#patient = patient;
    this.#mix = mix;
    this.#pool = pool;
    this.#settings = settings;
    this.#log = log;
    this.opened = this.#first.promise;
    this.opened.catch(() => undefined);
    this.#up.promise.catch(() => undefined);
    this.#done = this.#run();
  }

  /** The worker that has the mix open now, if any. */
  get current(): WorkerProcess | undefined {
    return this.#worker;
  }

  /**
   * The worker that has the mix open, waiting for a restart that is under way.
   *
   * @throws {BusyError} `ERR_BUSY` if that takes longer than 10 s; {@link RemoteError} if the mix has failed.
   */
  async worker(): Promise<WorkerProcess> {
    const worker = await within(this.#up.promise, WAIT_MS, undefined);
    if (worker === undefined) throw new BusyError(`mix ${this.#mix.id} is being restarted`);
    return worker;
  }

  /** Every worker that has the mix open, from now on, one after the other; ends when the mix does. */
  async *workers(): AsyncGenerator<WorkerProcess, void> {
    for (let last: WorkerProcess | undefined; ; ) {
      const next = await this.#up.promise.catch(() => undefined);
      if (next === undefined) return;
      if (next === last) await delay(10);
      else yield next;
      last = next;
      await last.closed;
    }
  }

  /** Ends the mix in its worker, bounded; then gives the worker back. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    let last: WorkerExit | undefined;
    while (!this.#closing.signal.aborted) {
      try {
        last = await this.#host(last);
      } catch (error) {
        if (!(this.#patient && error instanceof BusyError)) return this.#fail(errorInfo(error));
        await delay(RETRY_MS, this.#closing.signal).catch(() => undefined);
        continue;
      }
      if (last === undefined) break;
      this.#log.warn(last, "mix lost its worker");
      this.#mix.onDown(last);
      if (!this.#budget.take()) return this.#fail(tooOften(last));
      await delay(this.#backoff.next(), this.#closing.signal).catch(() => undefined);
    }
    this.#refuse(new InternalError(`mix ${this.#mix.id} is closed`));
  }

  /** One stay on one worker. Gives how the worker ended, or undefined if the mix was closed. */
  async #host(previous: WorkerExit | undefined): Promise<WorkerExit | undefined> {
    const worker = await this.#pool.take();
    const ended = Promise.withResolvers<WorkerExit>();
    const pumped = this.#pump(worker.messages(this.#mix.id), ended.resolve);
    try {
      const opened = await this.#open(worker, previous);
      if (!opened) return await worker.closed;
      const exit = await Promise.race([worker.closed, ended.promise, aborted(this.#closing.signal)]);
      if (exit === undefined) await this.#end(worker);
      return exit;
    } finally {
      this.#leave();
      worker.forget(this.#mix.id);
      await pumped;
      this.#pool.release(worker);
    }
  }

  /** False if the worker died over it. @throws what the worker answered, if it lives. */
  async #open(worker: WorkerProcess, previous: WorkerExit | undefined): Promise<boolean> {
    try {
      await worker.call("mix.open", { state: this.#mix.toOpen(), settings: this.#settings });
    } catch (error) {
      const exit = await within(worker.closed, 0, undefined);
      if (exit === undefined) throw error;
      return false;
    }
    this.#worker = worker;
    this.#patient = true;
    this.#mix.onUp(worker, previous);
    this.#up.resolve(worker);
    this.#first.resolve();
    return true;
  }

  #leave(): void {
    if (this.#worker === undefined) return;
    this.#worker = undefined;
    this.#up = Promise.withResolvers();
    this.#up.promise.catch(() => undefined);
  }

  async #end(worker: WorkerProcess): Promise<void> {
    const answer = worker.call("mix.close", { mix: this.#mix.id }, MIX_CLOSE_MS);
    await answer.catch((error: unknown) => this.#log.warn({ err: error }, "close failed"));
  }

  async #pump(messages: AsyncIterable<MixMessage>, end: (exit: WorkerExit) => void): Promise<void> {
    for await (const message of messages) {
      this.#mix.onMessage(message);
      // A mix of a service lasts until it is closed, so one that ends in its worker has broken there.
      if (message.type === "done") end({ why: "crash", detail: "the mix ended by itself", suspects: [] });
    }
  }

  #fail(error: ErrorInfo): void {
    this.#failure = error;
    this.#refuse(new RemoteError(error));
    if (!this.#closing.signal.aborted) this.#mix.onFailed(error);
  }

  /** What a failed mix died of. */
  get failure(): ErrorInfo | undefined {
    return this.#failure;
  }

  #refuse(error: Error): void {
    this.#first.reject(error);
    this.#up.reject(error);
  }
}

const tooOften = (exit: WorkerExit): ErrorInfo => ({
  code: "ERR_INTERNAL",
  fault: "bug",
  retryable: false,
  message: `its workers died too often; the last one: ${exit.detail}`,
});
