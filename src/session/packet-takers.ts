import type { ErrorInfo } from "../core/error.ts";
import type { Micros } from "../core/time.ts";
import type { Packet } from "../media/packet.ts";

/** Who gets an encoder's packets. Never waits, never throws. */
export interface PacketTaker {
  /** Every picture counts, as in a file: for others a slow encoder leaves pictures out. */
  readonly keepsAll?: boolean;
  take(packet: Packet): void;
  /** The encoder broke: nothing more will come. */
  lost(error: ErrorInfo): void;
}

/** One taker's stay with an encoder: the pictures from `fromUs` on, until `untilUs` if it is leaving. */
interface Stay {
  readonly taker: PacketTaker;
  readonly fromUs: number;
  /** Its first picture was asked to be a key frame. */
  hasBegun: boolean;
  untilUs: number | undefined;
  /** The first picture that is not its own any more was asked to be a key frame. */
  isCut: boolean;
  /** What waits until the encoder before this one has given its last. */
  held: Packet[] | undefined;
  readonly left: PromiseWithResolvers<void>;
}

/**
 * The takers of one video encoder's packets, each from a picture on until another, so that who comes, goes or changes
 * encoder gets every picture of its time once, also where the encoder holds some back (B-frames, lookahead).
 *
 * A stay begins at a key frame. It ends at one, too, where pictures are held back: what comes out after a key frame is
 * shown after it (closed GOPs), so by then everything before it has come out.
 */
export class PacketTakers {
  readonly #stays = new Set<Stay>();

  /** Those who stay. */
  get size(): number {
    let count = 0;
    for (const { untilUs } of this.#stays) if (untilUs === undefined) count += 1;
    return count;
  }

  /** True while somebody, also one who is leaving, wants every picture. */
  get keepAll(): boolean {
    for (const { taker } of this.#stays) if (taker.keepsAll === true) return true;
    return false;
  }

  has(taker: PacketTaker): boolean {
    return this.#of(taker) !== undefined;
  }

  /**
   * @param fromUs its first picture; absent: whatever comes.
   * @param after what comes meanwhile is held until this settles, which it must.
   */
  add(taker: PacketTaker, fromUs: number = Number.NEGATIVE_INFINITY, after?: Promise<void>): void {
    const stay: Stay = {
      taker,
      fromUs,
      hasBegun: false,
      untilUs: undefined,
      isCut: false,
      held: after === undefined ? undefined : [],
      left: Promise.withResolvers(),
    };
    this.#stays.add(stay);
    void after?.then(() => this.#release(stay));
  }

  /** Gives this one no picture from `untilUs` on. Settles when it has got all before; at once if it is not here. */
  leave(taker: PacketTaker, untilUs: number): Promise<void> {
    const stay = this.#of(taker);
    if (stay === undefined) return Promise.resolve();
    stay.untilUs = untilUs;
    return stay.left.promise;
  }

  /** Whether the picture at `atUs`, about to be encoded, must be a key frame; `holdsBack` if earlier ones are inside. */
  needKey(atUs: Micros, holdsBack: boolean): boolean {
    let isNeeded = false;
    for (const stay of this.#stays) {
      if (!stay.hasBegun && atUs >= stay.fromUs) {
        stay.hasBegun = true;
        isNeeded = true;
      }
      if (holdsBack && !stay.isCut && stay.untilUs !== undefined && atUs >= stay.untilUs) {
        stay.isCut = true;
        isNeeded = true;
      }
    }
    return isNeeded;
  }

  give(packet: Packet): void {
    for (const stay of this.#stays) {
      if (stay.untilUs !== undefined && packet.ptsUs >= stay.untilUs) this.#end(stay);
      else if (packet.ptsUs < stay.fromUs) continue;
      else if (stay.held !== undefined) stay.held.push(packet);
      else stay.taker.take(packet);
    }
  }

  /** Everything before `atUs` has been given. */
  given(atUs: number): void {
    for (const stay of this.#stays) if (stay.untilUs !== undefined && stay.untilUs <= atUs) this.#end(stay);
  }

  /** The encoder broke. */
  lose(error: ErrorInfo): void {
    for (const { taker } of this.#stays) taker.lost(error);
  }

  /** Nothing more comes. */
  end(): void {
    for (const stay of this.#stays) this.#end(stay);
  }

  #of(taker: PacketTaker): Stay | undefined {
    for (const stay of this.#stays) if (stay.taker === taker && stay.untilUs === undefined) return stay;
    return undefined;
  }

  #end(stay: Stay): void {
    this.#stays.delete(stay);
    if (stay.held === undefined) stay.left.resolve();
  }

  #release(stay: Stay): void {
    for (const packet of stay.held ?? []) stay.taker.take(packet);
    stay.held = undefined;
    if (!this.#stays.has(stay)) stay.left.resolve();
  }
}
