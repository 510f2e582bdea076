import { Channel } from "../core/channel.ts";
import type { EgressEvent } from "./egress.ts";

/** An egress's events on their way to one reader; `failed` and `ended` are last. */
export class EventQueue implements AsyncIterable<EgressEvent> {
  readonly #channel = new Channel<EgressEvent>();

  /** Ignored after the last event. */
  emit(event: EgressEvent): void {
    this.#channel.push(event);
    if (event.type === "failed" || event.type === "ended") this.#channel.close();
  }

  [Symbol.asyncIterator](): AsyncIterator<EgressEvent> {
    return this.#channel[Symbol.asyncIterator]();
  }
}
