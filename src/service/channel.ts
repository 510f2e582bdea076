/**
 * A bounded queue between one writer, who never waits, and one reader.
 *
 * Invariant: an item is either taken by the reader or refused to the writer; nothing in between is lost, except by
 * {@link close} with `drop`.
 */
export class Channel<T> implements AsyncIterable<T>, Disposable {
  readonly capacity: number;
  #items: T[] = [];
  #closed = false;
  #wake: (() => void) | undefined;

  constructor(capacity: number) {
    this.capacity = capacity;
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
    if (this.#closed || this.#items.length >= this.capacity) return false;
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

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    for (;;) {
      const batch = this.#items;
      this.#items = [];
      for (const item of batch) {
        yield item;
      }
      if (this.#items.length > 0) continue;
      if (this.#closed) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
      this.#wake = undefined;
    }
  }
}
