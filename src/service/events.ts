import type { MixEvent, MixEventBody } from "../contract/events.ts";
import { Channel } from "../core/channel.ts";

/** Which events a subscriber wants; absent fields want all. */
export interface EventFilter {
  readonly mix?: string | undefined;
  readonly types?: readonly string[] | undefined;
}

/** Every event type, for checking what callers ask for. */
export const EVENT_TYPES: readonly MixEventBody["type"][] = Object.keys({
  "mix.created": 0,
  "mix.restarted": 0,
  "mix.failed": 0,
  "mix.closed": 0,
  "source.added": 0,
  "source.online": 0,
  "source.removed": 0,
  "source.offline": 0,
  "source.stale": 0,
  "source.quarantined": 0,
  "source.onAir": 0,
  "speaker.changed": 0,
  "layout.applied": 0,
  "output.connecting": 0,
  "output.live": 0,
  "output.retrying": 0,
  "output.failed": 0,
  "output.ended": 0,
  "recording.part": 0,
  "recording.finished": 0,
  "recording.failed": 0,
  "device.fallback": 0,
  overload: 0,
} satisfies Record<MixEventBody["type"], 0>) as MixEventBody["type"][];

/** Unread events after which a subscriber counts as too slow. */
const CAPACITY = 2000;

/**
 * One subscriber's events, in order. The iteration ends when the subscriber closes it, or, with {@link lagged} set,
 * after what was queued when it fell too far behind: it never slows anybody and never sees a silent gap.
 */
export class Subscription implements AsyncIterable<MixEvent>, Disposable {
  readonly filter: EventFilter;
  readonly #channel: Channel<MixEvent>;
  #lagged = false;

  constructor(filter: EventFilter, capacity: number) {
    this.filter = filter;
    this.#channel = new Channel(capacity);
  }

  get lagged(): boolean {
    return this.#lagged;
  }

  get closed(): boolean {
    return this.#channel.closed;
  }

  offer(event: MixEvent): void {
    const { mix, types } = this.filter;
    if (mix !== undefined && mix !== event.mix) return;
    if (types !== undefined && !types.includes(event.type)) return;
    if (this.#channel.push(event) || this.closed) return;
    this.#lagged = true;
    this.#channel.close();
  }

  /** No more events; what is queued can still be read. */
  end(): void {
    this.#channel.close();
  }

  [Symbol.dispose](): void {
    this.#channel.close({ drop: true });
  }

  [Symbol.asyncIterator](): AsyncIterator<MixEvent> {
    return this.#channel[Symbol.asyncIterator]();
  }
}

/** Hands every event of every mix to whoever subscribed. */
export class EventHub {
  readonly #subscriptions = new Set<Subscription>();

  /** Events from now on. Dispose it when done. */
  subscribe(filter: EventFilter = {}, capacity: number = CAPACITY): Subscription {
    const subscription = new Subscription(filter, capacity);
    this.#subscriptions.add(subscription);
    return subscription;
  }

  publish(event: MixEvent): void {
    for (const subscription of this.#subscriptions) {
      if (subscription.closed) this.#subscriptions.delete(subscription);
      else subscription.offer(event);
    }
  }

  /** Ends all subscriptions after what they have queued. */
  close(): void {
    for (const subscription of this.#subscriptions) subscription.end();
    this.#subscriptions.clear();
  }
}
