import type { Packet } from "./packet.ts";

/** How much a {@link Link} may hold, and what happens beyond it. */
export interface LinkOptions {
  /** In media time between the oldest and the newest packet. */
  readonly maxMs: number;
  readonly maxBytes: number;
  /**
   * `drop-to-key`: live sinks lose everything queued up to the next key frame, counted.
   * `fail`: recordings stop alone; {@link Link.push} returns false and the reader ends after what is queued.
   * `wait`: virtual clock only; {@link Link.push} accepts, and {@link Link.drained} says when to go on.
   */
  readonly overflow: "drop-to-key" | "fail" | "wait";
}

/**
 * A queue of packets between two tasks, bounded in media time and bytes, so that a stall costs a known latency
 * and never anybody else's frames. One writer, one reader (`for await`).
 *
 * `push` never waits and never throws. After {@link end} the reader gets what is queued, then ends; after
 * {@link abort} it ends at once.
 */
export class Link implements AsyncIterable<Packet> {
  readonly #options: LinkOptions;
  #queue: Packet[] = [];
  #bytes = 0;
  #dropped = 0;
  #needsKey = false;
  #ended = false;
  #overflowed = false;
  #wake: (() => void) | undefined;
  #drain: PromiseWithResolvers<void> | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** Packets dropped so far; reported, never silent. */
  get dropped(): number {
    return this.#dropped;
  }

  get length(): number {
    return this.#queue.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** True once a `fail` link was over its bound. */
  get overflowed(): boolean {
    return this.#overflowed;
  }

  /** Media time held, in milliseconds. */
  get heldMs(): number {
    const [first, last] = [this.#queue[0], this.#queue.at(-1)];
    return first === undefined || last === undefined ? 0 : (last.dtsUs - first.dtsUs) / 1000;
  }

  /** Queues `packet`, or counts it as dropped. False if it was not queued. */
  push(packet: Packet): boolean {
    if (this.#ended) return this.#drop(1);
    if (this.#needsKey && packet.kind === "video") {
      if (!packet.keyFrame) return this.#drop(1);
      this.#needsKey = false;
    }
    this.#queue.push(packet);
    this.#bytes += packet.data.byteLength;
    const accepted = !this.#isFull() || this.#options.overflow === "wait" || this.#overflow(packet);
    this.#wake?.();
    return accepted;
  }

  /** Settles once a `wait` link is below its bound again. */
  drained(): Promise<void> {
    if (!this.#isFull() || this.#ended) return Promise.resolve();
    this.#drain ??= Promise.withResolvers<void>();
    return this.#drain.promise;
  }

  /** No more packets: the reader gets the rest, then ends. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
    this.#drain?.resolve();
  }

  /** Throws away what is queued, uncounted: nobody is there to miss it. */
  abort(): void {
    this.#queue = [];
    this.#bytes = 0;
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Packet, void, undefined> {
    for (;;) {
      const packet = this.#queue.shift();
      if (packet !== undefined) {
        this.#bytes -= packet.data.byteLength;
        if (this.#drain !== undefined && !this.#isFull()) {
          this.#drain.resolve();
          this.#drain = undefined;
        }
        yield packet;
      } else if (this.#ended) {
        return;
      } else {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake = resolve;
        await promise;
        this.#wake = undefined;
      }
    }
  }

  #isFull(): boolean {
    return this.heldMs > this.#options.maxMs || this.#bytes > this.#options.maxBytes;
  }

  #overflow(newest: Packet): boolean {
    if (this.#options.overflow === "fail") {
      this.#overflowed = true;
      this.#queue.pop();
      this.#bytes -= newest.data.byteLength;
      this.end();
      return this.#drop(1);
    }
    // Sound goes with the picture, so that what is left starts together at the next key frame.
    const keep = newest.kind === "video" && newest.keyFrame ? 1 : 0;
    this.#drop(this.#queue.length - keep);
    this.#needsKey = keep === 0 && this.#queue.some((packet) => packet.kind === "video");
    this.#queue = keep === 1 ? [newest] : [];
    this.#bytes = keep === 1 ? newest.data.byteLength : 0;
    return keep === 1;
  }

  #drop(count: number): false {
    this.#dropped += count;
    return false;
  }
}
