import { BusyError, InvalidArgumentError } from "../core/error.ts";
import { digest } from "./canonical.ts";
import { Serial } from "./serial.ts";
import type { StoredAnswer } from "./store.ts";
import { within } from "./time.ts";

/** One request as far as order and repetition are concerned. */
export interface Request {
  /** The mix that it belongs to; undefined: the node. */
  readonly mix: string | undefined;
  readonly idempotencyKey?: string | undefined;
  /** Method and parameters, to tell a repetition from another request under the same key. */
  readonly body: unknown;
}

/** An answer with the scope of its key: a mix's id, or empty for the node. */
export type ScopedAnswer = StoredAnswer & { readonly mix: string };

/** Where requests leave what they did. */
export interface Ledger {
  answer(scope: string, key: string): StoredAnswer | undefined;
  /** Saves what has changed in `mix`, together with the answer, all or nothing. */
  save(mix: string | undefined, answer: ScopedAnswer | undefined): void;
  /** Undoes what was changed in `mix` and could not be saved. */
  revert(mix: string | undefined): Promise<void>;
}

/** How long a caller waits for an answer. */
const ANSWER_MS = 15_000;
const LATE: unique symbol = Symbol("late");

/** Carries out requests: those of one mix in order, each once per idempotency key, each on disk before its answer. */
export class Requests {
  readonly #ledger: Ledger;
  readonly #answerMs: number;
  readonly #serial = new Serial();

  /** @param answerMs how long a caller waits, default 15 s. */
  constructor(ledger: Ledger, answerMs: number = ANSWER_MS) {
    this.#ledger = ledger;
    this.#answerMs = answerMs;
  }

  /**
   * Runs `work` in its turn, saves what it changed together with its answer, and only then gives the answer. A
   * request whose idempotency key was answered before gets that answer and does nothing.
   *
   * @throws what `work` throws, which is not remembered: a request that failed has changed nothing.
   * @throws {BusyError} `ERR_BUSY` if it takes longer than a caller waits, as on a machine that is overloaded: it is
   *   dropped if it has not begun, and else goes on, so that who repeats it with its key gets its answer.
   */
  run<T>(request: Request, work: () => Promise<T>): Promise<T> {
    const { mix, idempotencyKey } = request;
    const queue = mix ?? (idempotencyKey === undefined ? undefined : `\0${idempotencyKey}`);
    const task = (): Promise<T> => this.#once(request, work);
    return queue === undefined ? task() : this.#bounded(queue, task);
  }

  /** The node's own work on a mix, in its turn, however long that takes. */
  inOrder(mix: string, work: () => Promise<void>): Promise<void> {
    return this.#serial.run(mix, () => this.#once({ mix, body: null }, work));
  }

  async #bounded<T>(queue: string, task: () => Promise<T>): Promise<T> {
    const progress = { hasBegun: false, isDropped: false };
    const result = this.#serial.run(queue, async () => {
      if (progress.isDropped) throw new BusyError("was dropped");
      progress.hasBegun = true;
      return await task();
    });
    const answer = await within(result, this.#answerMs, LATE);
    if (answer !== LATE) return answer;
    if (progress.hasBegun)
      throw new BusyError("it takes long and goes on; repeat it with its idempotencyKey");
    progress.isDropped = true;
    throw new BusyError("requests before it take long; it was not begun");
  }

  async #once<T>({ mix, idempotencyKey: key, body }: Request, work: () => Promise<T>): Promise<T> {
    const scope = mix ?? "";
    const request = key === undefined ? "" : digest(body);
    const known = key === undefined ? undefined : this.#ledger.answer(scope, key);
    if (known !== undefined) {
      if (known.request === request) return known.answer as T;
      throw new InvalidArgumentError("/idempotencyKey", "was used for another request");
    }
    const answer = await work();
    try {
      this.#ledger.save(mix, key === undefined ? undefined : { mix: scope, key, request, answer });
    } catch (error) {
      await this.#ledger.revert(mix);
      throw error;
    }
    return answer;
  }
}
