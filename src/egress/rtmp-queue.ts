import type { Packet } from "../media/packet.ts";
import type { DropCount } from "./drop-count.ts";

/** Bounds of a {@link LiveQueue}. */
export interface LiveQueueLimits {
  /** In media time between the oldest and the newest packet. */
  readonly maxMs: number;
  readonly maxBytes: number;
}

/**
 * What waits for a live peer. When it is over its bounds, the oldest packets go, up to the next key frame that is
 * queued, so that the newest picture that can be shown is kept; where none is queued all go, and nothing is taken
 * up to the next key frame. Everything that goes is counted: for being slow while {@link hasPeer}, else for being away.
 *
 * It begins at a key frame if the stream has video at all. One reader.
 */
export class LiveQueue {
  /** Somebody is there to read what is queued. */
  hasPeer = false;
  readonly #limits: LiveQueueLimits;
  readonly #hasVideo: boolean;
  readonly #drops: DropCount<"slow" | "away">;
  #packets: Packet[] = [];
  #bytes = 0;
  #needsKey: boolean;
  #wake: (() => void) | undefined;
  #roomy: PromiseWithResolvers<void> | undefined;
  #open = true;

  /** @param drops counts packets not given to the reader: lost to the bounds, or before the key frame to begin at. */
  constructor(limits: LiveQueueLimits, hasVideo: boolean, drops: DropCount<"slow" | "away">) {
    this.#limits = limits;
    this.#drops = drops;
    this.#hasVideo = hasVideo;
    this.#needsKey = hasVideo;
  }

  get length(): number {
    return this.#packets.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  push(packet: Packet): void {
    if (!this.#open) return;
    if (this.#needsKey) {
      if (packet.kind !== "video" || !packet.keyFrame) {
        this.#drop(1);
        return;
      }
      this.#needsKey = false;
    }
    this.#packets.push(packet);
    this.#bytes += packet.data.byteLength;
    while (this.#isOver(1)) this.#dropOldest();
    this.#wake?.();
  }

  /** The oldest packet, or undefined if there is none now. */
  shift(): Packet | undefined {
    const packet = this.#packets.shift();
    if (packet !== undefined) this.#bytes -= packet.data.byteLength;
    if (!this.#isOver(0.5)) this.#release();
    return packet;
  }

  /** Settles at the next {@link push} or {@link poke}. */
  changed(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    return promise;
  }

  /** Wakes the reader: something else changed. */
  poke(): void {
    this.#wake?.();
  }

  /** Settles when it is at most half full, or closed. */
  drained(): Promise<void> {
    if (!this.#open || !this.#isOver(0.5)) return Promise.resolve();
    this.#roomy ??= Promise.withResolvers<void>();
    return this.#roomy.promise;
  }

  /** Lets go whoever waits for room: there is no peer that could make any. */
  letGo(): void {
    this.#release();
  }

  /** A new peer: what is queued must begin at a key frame, and so must what comes if none is queued. */
  restart(): void {
    if (!this.#hasVideo || this.#isAtKey()) return;
    this.#dropOldest();
  }

  /** Takes no more. What is queued can still be read. */
  close(): void {
    this.#open = false;
    this.#release();
    this.#wake?.();
  }

  #isAtKey(): boolean {
    const first = this.#packets[0];
    return first?.kind === "video" && first.keyFrame;
  }

  /** Drops at least one packet, up to the next key frame; all of them and on, if there is none. */
  #dropOldest(): void {
    const next = this.#hasVideo
      ? this.#packets.findIndex(({ kind, keyFrame }, index) => index > 0 && kind === "video" && keyFrame)
      : Math.min(1, this.#packets.length);
    const gone = this.#packets.splice(0, next < 0 ? this.#packets.length : next);
    for (const { data } of gone) this.#bytes -= data.byteLength;
    this.#drop(gone.length);
    if (next < 0) this.#needsKey = this.#hasVideo;
  }

  #drop(packets: number): void {
    this.#drops.add(this.hasPeer ? "slow" : "away", packets);
  }

  #isOver(share: number): boolean {
    const [first, last] = [this.#packets[0], this.#packets.at(-1)];
    if (first === undefined || last === undefined || first === last) return false;
    const { maxMs, maxBytes } = this.#limits;
    return this.#bytes > maxBytes * share || Math.abs(last.dtsUs - first.dtsUs) > maxMs * 1000 * share;
  }

  #release(): void {
    this.#roomy?.resolve();
    this.#roomy = undefined;
  }
}
