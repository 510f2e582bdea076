import { BusyError } from "../core/error.ts";

/** Requests that wait behind one slow one, at most, before newcomers are told to come back. */
const MAX_WAITING = 1000;

/** Runs tasks one after the other per key; different keys never wait for each other. */
export class Serial {
  readonly #tails = new Map<string, { last: Promise<unknown>; waiting: number }>();

  /**
   * Runs `task` when every earlier task of `key` has settled. Its place in the order is taken before this returns.
   *
   * @throws {BusyError} `ERR_BUSY` if a thousand tasks of this key wait already; and whatever `task` throws.
   */
  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const tail = this.#tails.get(key) ?? { last: Promise.resolve(), waiting: 0 };
    if (tail.waiting >= MAX_WAITING)
      return Promise.reject(new BusyError(`too many requests wait for ${key}`));
    tail.waiting += 1;
    this.#tails.set(key, tail);
    const result = tail.last.then(task);
    tail.last = result.then(
      () => this.#settle(key, tail),
      () => this.#settle(key, tail),
    );
    return result;
  }

  #settle(key: string, tail: { waiting: number }): void {
    tail.waiting -= 1;
    if (tail.waiting === 0) this.#tails.delete(key);
  }
}
