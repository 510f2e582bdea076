import type { EgressEvent } from "./egress.ts";

/** Events on their way to one reader; `failed` and `ended` are last. */
export class EventQueue implements AsyncIterable<EgressEvent> {
  readonly #queue: EgressEvent[] = [];
  #last = false;
  #wake: (() => void) | undefined;

  /** Ignored after the last event. */
  emit(event: EgressEvent): void {
    if (this.#last) return;
    this.#queue.push(event);
    this.#last = event.type === "failed" || event.type === "ended";
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<EgressEvent, void, undefined> {
    for (;;) {
      const event = this.#queue.shift();
      if (event !== undefined) {
        yield event;
      } else if (this.#last) {
        return;
      } else {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake = resolve;
        await promise;
      }
    }
  }
}
