/**
 * A queue between one writer, who never waits, and one reader (`for await`).
 *
 * Invariant: an item is either taken by the reader or refused to the writer; nothing in between is lost, except by
 * {@link close} with `drop`.
 */
export class Channel<T extends NonNullable<unknown>> implements AsyncIterable<T>, Disposable {
  readonly #capacity: number;
  #items: T[] = [];
  #closed = false;
  #wake: (() => void) | undefined;

  /** @param capacity items that may wait to be read; without it, who writes must bound them. */
  constructor(capacity: number = Number.POSITIVE_INFINITY) {
    this.#capacity = capacity;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Items not yet read. */
  get length(): number {
    return this.#items.length;
  }

  /** False if it is full or closed, and then `item` stays with the caller. */
  push(item: T): boolean {
    if (this.#closed || this.#items.length >= this.#capacity) return false;
    this.#items.push(item);
    this.#wake?.();
    return true;
  }

  /** Idempotent. What is queued can still be read unless `drop`. */
  close(options: { readonly drop?: boolean } = {}): void {
    this.#closed = true;
    if (options.drop === true) this.#items = [];
    this.#wake?.();
  }

  [Symbol.dispose](): void {
    this.close({ drop: true });
  }

  /** Gives each item as soon as it is there; ends once the channel is closed and empty. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      const item = this.#items.shift();
      if (item !== undefined) {
        yield item;
      } else if (this.#closed) {
        return;
      } else {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake = resolve;
        await promise;
      }
    }
  }
}
