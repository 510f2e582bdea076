import { type Micros, us } from "../core/time.ts";

/** Stamps further ahead than this are a jump, not a pause. */
export const JUMP_FORWARD: Micros = us(10_000_000);
/** Decode stamps further back than this are a jump, not jitter. */
export const JUMP_BACKWARD: Micros = us(500_000);

/** The stamps of one packet. */
export interface Stamps {
  readonly ptsUs: Micros;
  readonly dtsUs: Micros;
}

/** Stamps on an endless line, and whether that line was cut before them. */
export interface TrackedStamps extends Stamps {
  readonly discontinuity: boolean;
}

interface Track {
  lastUs: Micros;
  epoch: number;
}

/**
 * Unwraps the stamps of one source and finds where they jump, for all its streams together.
 *
 * Invariants: consecutive decode stamps of the source lie within half a turn of each other on the output; each stream
 * is marked exactly once per jump, also when its first packet beyond the jump comes after old ones of the other
 * stream; a sparse stream (slides, say) is no jump while the other stream moves on.
 */
export class StampTracker {
  readonly #wrapUs: number;
  readonly #tracks = new Map<string, Track>();
  #newestUs: Micros | undefined;
  #epoch = 0;

  /** @param wrapUs length of one turn of the counter in microseconds; Infinity if it never wraps. */
  constructor(wrapUs: number = Number.POSITIVE_INFINITY) {
    this.#wrapUs = wrapUs;
  }

  /** @param stream any name that tells the source's streams apart. */
  track(stream: string, { ptsUs, dtsUs }: Stamps): TrackedStamps {
    const dts = this.#unwrap(dtsUs, this.#newestUs ?? dtsUs);
    const pts = this.#unwrap(ptsUs, dts);
    return { ptsUs: pts, dtsUs: dts, discontinuity: this.#jumps(stream, dts) };
  }

  /** The turn of `stamp` nearest to `reference`. */
  #unwrap(stamp: Micros, reference: Micros): Micros {
    const turns = Math.round((reference - stamp) / this.#wrapUs);
    return turns === 0 ? stamp : us(stamp + turns * this.#wrapUs);
  }

  #jumps(stream: string, dtsUs: Micros): boolean {
    const newestUs = this.#newestUs ?? dtsUs;
    const track = this.#tracks.get(stream);
    if (track === undefined) {
      this.#tracks.set(stream, { lastUs: dtsUs, epoch: this.#epoch });
      this.#newestUs = us(Math.max(newestUs, dtsUs));
      return false;
    }
    const follows = track.epoch < this.#epoch;
    if (follows && Math.abs(dtsUs - track.lastUs) <= Math.abs(dtsUs - newestUs)) {
      track.lastUs = dtsUs; // Still from before the jump that the other stream has made.
      return false;
    }
    const ahead = dtsUs - Math.max(newestUs, track.lastUs);
    const leads = !follows && (ahead > JUMP_FORWARD || track.lastUs - dtsUs > JUMP_BACKWARD);
    if (leads) this.#epoch += 1;
    this.#newestUs = leads ? dtsUs : us(Math.max(newestUs, dtsUs));
    track.lastUs = dtsUs;
    track.epoch = this.#epoch;
    return leads || follows;
  }
}
