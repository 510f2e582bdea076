import type { Packet } from "../media/packet.ts";

const MAX_SECONDS = 10;
const MAX_BYTES = 8_000_000;

/**
 * The packets since the last key frame of a source that nobody shows, so that showing it can begin at once with the
 * picture of now. Bounded: a longer group is forgotten, and the next key frame is waited for.
 */
export class GroupKeeper {
  #packets: Packet[] = [];
  #bytes = 0;

  keep(packet: Packet): void {
    if (packet.keyFrame) this.clear();
    else if (this.#packets.length === 0) return;
    this.#packets.push(packet);
    this.#bytes += packet.data.byteLength;
    const heldUs = packet.dtsUs - (this.#packets[0]?.dtsUs ?? 0);
    if (heldUs > MAX_SECONDS * 1e6 || this.#bytes > MAX_BYTES) this.clear();
  }

  /** Hands over what is kept, in decode order, and forgets it. */
  take(): readonly Packet[] {
    const packets = this.#packets;
    this.clear();
    return packets;
  }

  clear(): void {
    this.#packets = [];
    this.#bytes = 0;
  }
}
