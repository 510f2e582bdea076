/**
 * Work that many may ask for at once. Of each key one runs at a time, and all who ask while it runs share the next:
 * so it never piles up, and nobody is given what began before they asked.
 */
export class Turns<T> {
  readonly #running = new Map<string, Promise<T>>();
  readonly #next = new Map<string, Promise<T>>();

  /** What `work` gives, here or for whoever asked first. Rejects as `work` does. */
  take(key: string, work: () => Promise<T>): Promise<T> {
    const shared = this.#next.get(key);
    if (shared !== undefined) return shared;
    const running = this.#running.get(key);
    if (running === undefined) return this.#begin(key, work);
    const begin = (): Promise<T> => {
      this.#next.delete(key);
      return this.#begin(key, work);
    };
    const next = running.then(begin, begin);
    this.#next.set(key, next);
    return next;
  }

  #begin(key: string, work: () => Promise<T>): Promise<T> {
    const running = work().finally(() => this.#running.delete(key));
    this.#running.set(key, running);
    return running;
  }
}
