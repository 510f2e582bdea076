/** Wakes whoever waits for "something changed": a source delivered, an encoder caught up. */
export class Pulse {
  #next: PromiseWithResolvers<void> | undefined;

  /** Settles at the next {@link beat}. */
  wait(): Promise<void> {
    this.#next ??= Promise.withResolvers<void>();
    return this.#next.promise;
  }

  beat(): void {
    this.#next?.resolve();
    this.#next = undefined;
  }
}
