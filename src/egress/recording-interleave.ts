import type { Packet } from "../media/packet.ts";

/** A stream is waited for until the other is this far ahead, in microseconds of media. */
const MAX_SKEW_US = 500_000;

interface Held {
  readonly packet: Packet;
  /** Decode time moved so that a key frame stands where it is shown: a cut there parts the sound at the same moment. */
  readonly orderUs: number;
}

/**
 * Puts two streams into one order, so that a cut falls at the same moment in both.
 *
 * A packet is held until the other stream has passed it, or is half a second behind: then that stream counts as
 * stalled, and what it brings later comes out of order.
 */
export class Interleaver {
  readonly #queues: { readonly video: Held[]; readonly audio: Held[] } = { video: [], audio: [] };
  readonly #alone: boolean;
  #reorderUs = 0;

  /** @param alone there is one stream only, so nothing to wait for. */
  constructor(alone: boolean) {
    this.#alone = alone;
  }

  /** Takes a packet and hands out those whose turn has come. */
  push(packet: Packet): Packet[] {
    if (this.#alone) return [packet];
    this.#queues[packet.kind].push(this.#hold(packet));
    const ready: Packet[] = [];
    for (let next = this.#next(); next !== undefined; next = this.#next()) ready.push(next.packet);
    return ready;
  }

  /** All that is held, in order. */
  flush(): Packet[] {
    const { video, audio } = this.#queues;
    const all = [...video.splice(0), ...audio.splice(0)];
    return all.sort((a, b) => a.orderUs - b.orderUs).map((held) => held.packet);
  }

  #hold(packet: Packet): Held {
    if (packet.kind === "audio") return { packet, orderUs: packet.ptsUs };
    if (packet.keyFrame) this.#reorderUs = packet.ptsUs - packet.dtsUs;
    return { packet, orderUs: packet.dtsUs + this.#reorderUs };
  }

  #next(): Held | undefined {
    const { video, audio } = this.#queues;
    const [picture, sound] = [video[0], audio[0]];
    if (picture !== undefined && sound !== undefined) {
      return picture.orderUs <= sound.orderUs ? video.shift() : audio.shift();
    }
    const queue = picture === undefined ? audio : video;
    const [first, last] = [queue[0], queue.at(-1)];
    if (first === undefined || last === undefined) return undefined;
    return last.orderUs - first.orderUs > MAX_SKEW_US ? queue.shift() : undefined;
  }
}
