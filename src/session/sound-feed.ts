import { type ErrorInfo, errorInfo } from "../core/error.ts";
import type { Packet } from "../media/packet.ts";
import type { SumHandle } from "../mixer/audio/audio-mixer.ts";
import type { AudioEncode } from "./encodes.ts";
import type { PacketTaker } from "./packet-takers.ts";

/** How long a participant's own encoder stays open after they stopped being mixed. */
const WARM_TICKS = 150;

/**
 * The sound of a listener who is also a source: the shared encode while they are not among the mixed, an encode of the
 * mix without them while they are. Both encode the same 20 ms, so the switch loses and repeats nothing.
 */
export class MinusFeed {
  readonly #shared: AudioEncode;
  readonly #sound: SumHandle;
  readonly #openOwn: () => AudioEncode;
  readonly #closeOwn: (own: AudioEncode) => void;
  readonly #user: PacketTaker;
  readonly #fromShared: PacketTaker;
  readonly #fromOwn: PacketTaker;
  #own: AudioEncode | undefined;
  #sharedTicks = 0;
  #isLost = false;

  constructor(options: {
    readonly shared: AudioEncode;
    /** The mix without this listener; owned from here on. */
    readonly sound: SumHandle;
    readonly openOwn: () => AudioEncode;
    readonly closeOwn: (own: AudioEncode) => void;
    readonly user: PacketTaker;
  }) {
    this.#shared = options.shared;
    this.#sound = options.sound;
    this.#openOwn = options.openOwn;
    this.#closeOwn = options.closeOwn;
    this.#user = options.user;
    const lost = (error: ErrorInfo): void => this.#user.lost(error);
    this.#fromShared = { take: (packet) => this.#forward(packet, false), lost };
    this.#fromOwn = { take: (packet) => this.#forward(packet, true), lost };
    this.#shared.users.add(this.#fromShared);
  }

  /** Before the encodes of a tick: decides which one this listener hears. Never throws. */
  tick(): void {
    if (this.#isLost) return;
    this.#sharedTicks = this.#sound.shared ? this.#sharedTicks + 1 : 0;
    if (this.#sharedTicks === 0 && this.#own === undefined) {
      this.#goOwn();
    } else if (this.#sharedTicks > WARM_TICKS && this.#own !== undefined) {
      this.#letGo(this.#own);
    }
  }

  /** Lets go of both encodes and of the sum. */
  close(): void {
    this.#shared.users.delete(this.#fromShared);
    if (this.#own !== undefined) this.#letGo(this.#own);
    this.finish();
  }

  /** The mix ends: lets go of the sum alone, so that the last packets still come through. */
  finish(): void {
    this.#sound[Symbol.dispose]();
  }

  /** Without an encoder of its own it would hear itself: it is lost. */
  #goOwn(): void {
    try {
      this.#own = this.#openOwn();
      this.#own.users.add(this.#fromOwn);
    } catch (error) {
      this.#isLost = true;
      this.#user.lost(errorInfo(error));
    }
  }

  #letGo(own: AudioEncode): void {
    own.users.delete(this.#fromOwn);
    this.#own = undefined;
    this.#closeOwn(own);
  }

  #forward(packet: Packet, isOwn: boolean): void {
    if (isOwn === (this.#own !== undefined) && !this.#isLost) this.#user.take(packet);
  }
}
