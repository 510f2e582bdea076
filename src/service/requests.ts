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
  /** Who asks, by identity: what it {@link Requests.read reads} comes after what it changed before. */
  readonly caller?: object | undefined;
}

/**
 * What a request has begun and does not wait for in its turn, so that it holds up nobody. When `done` settles, what it
 * gives is carried out in a turn of its own, and makes the answer.
 */
export class Later<T> {
  readonly done: Promise<() => Promise<T>>;

  constructor(done: Promise<() => Promise<T>>) {
    this.done = done;
    // Whoever dropped it asks no more.
    done.catch(() => undefined);
  }
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

/** How a turn went. The answer may be yet to come, so it is wrapped: who waits for the turn does not wait for it. */
interface Turn<T> {
  readonly answer: Promise<T>;
}

/** What an answer is kept under. */
type Label = Pick<ScopedAnswer, "mix" | "key" | "request">;

/**
 * Carries out requests: changes of one mix in order, each once per idempotency key, each on disk before its answer.
 * Who only reads waits for nobody but itself.
 */
export class Requests {
  readonly #ledger: Ledger;
  readonly #answerMs: number;
  readonly #serial = new Serial();
  /** Requests whose answers are yet to come, by mix and key. */
  readonly #later = new Map<string, { readonly request: string; readonly answer: Promise<unknown> }>();
  /** The last turn that each caller took in each mix. */
  readonly #turns = new WeakMap<object, Map<string, Promise<unknown>>>();

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
  run<T>(request: Request, work: () => Promise<T | Later<T>>): Promise<T> {
    const { mix, idempotencyKey } = request;
    const queue = mix ?? (idempotencyKey === undefined ? undefined : `\0${idempotencyKey}`);
    const task = (): Promise<Turn<T>> => this.#turn(request, work);
    return queue === undefined ? task().then(({ answer }) => answer) : this.#bounded(request, queue, task);
  }

  /**
   * Runs `work`, which changes nothing, behind the turns that `caller` took in `mix` before, and behind nobody else's.
   *
   * @throws what `work` throws; {@link BusyError} `ERR_BUSY` if those turns take longer than a caller waits.
   */
  async read<T>(caller: object, mix: string | undefined, work: () => Promise<T>): Promise<T> {
    const turn = this.#turns.get(caller)?.get(mix ?? "") ?? Promise.resolve();
    const settled = turn.catch(() => undefined);
    if ((await within(settled, this.#answerMs, LATE)) === LATE)
      throw new BusyError("requests of yours before it take long");
    return await work();
  }

  /** The node's own work on a mix, in its turn, however long that takes. */
  async inOrder(mix: string, work: () => Promise<void>): Promise<void> {
    const { answer } = await this.#serial.run(mix, () => this.#turn({ mix, body: null }, work));
    await answer;
  }

  async #bounded<T>(request: Request, queue: string, task: () => Promise<Turn<T>>): Promise<T> {
    const progress = { hasBegun: false, isDropped: false };
    const turn = this.#serial.run(queue, async () => {
      if (progress.isDropped) throw new BusyError("was dropped");
      progress.hasBegun = true;
      return await task();
    });
    this.#noteTurn(request, turn);
    const result = turn.then((taken) => taken.answer);
    const answer = await within(result, this.#answerMs, LATE);
    if (answer !== LATE) return answer;
    if (progress.hasBegun)
      throw new BusyError("it takes long and goes on; repeat it with its idempotencyKey");
    progress.isDropped = true;
    throw new BusyError("requests before it take long; it was not begun");
  }

  #noteTurn({ caller, mix }: Request, turn: Promise<unknown>): void {
    if (caller === undefined || mix === undefined) return;
    const turns = this.#turns.get(caller) ?? new Map<string, Promise<unknown>>();
    this.#turns.set(caller, turns.set(mix, turn));
    const forget = (): void => {
      if (turns.get(mix) === turn) turns.delete(mix);
    };
    turn.then(forget, forget);
  }

  async #turn<T>(
    { mix, idempotencyKey: key, body }: Request,
    work: () => Promise<T | Later<T>>,
  ): Promise<Turn<T>> {
    const label = key === undefined ? undefined : { mix: mix ?? "", key, request: digest(body) };
    const known = label === undefined ? undefined : this.#known(label);
    if (known !== undefined) return { answer: known as Promise<T> };
    const result = await work();
    if (!(result instanceof Later)) return { answer: Promise.resolve(await this.#kept(mix, label, result)) };
    const answer = this.#finish(mix ?? "", label, result);
    if (label !== undefined) this.#noteLater(label, answer);
    return { answer };
  }

  /** The answer that was given, or is going to be, to a request under the same key. */
  #known({ mix, key, request }: Label): Promise<unknown> | undefined {
    const stored = this.#ledger.answer(mix, key);
    const known = stored ?? this.#later.get(`${mix}\0${key}`);
    if (known === undefined) return undefined;
    if (known.request !== request)
      throw new InvalidArgumentError("/idempotencyKey", "was used for another request");
    return Promise.resolve(known.answer);
  }

  #noteLater({ mix, key, request }: Label, answer: Promise<unknown>): void {
    const forget = (): void => void this.#later.delete(`${mix}\0${key}`);
    this.#later.set(`${mix}\0${key}`, { request, answer });
    answer.then(forget, forget);
  }

  async #finish<T>(mix: string, label: Label | undefined, later: Later<T>): Promise<T> {
    const finish = await later.done;
    return await this.#serial.run(mix, async () => await this.#kept(mix, label, await finish()));
  }

  /** The answer, when what was changed is on disk together with it. */
  async #kept<T>(mix: string | undefined, label: Label | undefined, answer: T): Promise<T> {
    try {
      this.#ledger.save(mix, label === undefined ? undefined : { ...label, answer });
    } catch (error) {
      await this.#ledger.revert(mix);
      throw error;
    }
    return answer;
  }
}
