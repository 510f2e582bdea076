import { type Micros, us } from "../core/time.ts";

/** How a source's time is tied to the mix clock. */
export interface TimelineOptions {
  /**
   * `fixed`: stamp 0 plays at `startUs` (files). `paced`: the first item plays soon after it is here, and what comes
   * late moves everything later (HLS, HTTP). `live`: as early as jitter allows (publishers, calls).
   */
  readonly mode: "fixed" | "paced" | "live";
  /** Mix time of stamp 0 for `fixed`. */
  readonly startUs: Micros;
  /** Bounds of the adaptive delay of `live`. */
  readonly delayMs: DelayBounds;
}

/** In milliseconds. */
export interface DelayBounds {
  readonly min: number;
  readonly max: number;
}

type Kind = "audio" | "video";

const WINDOW_US = 500_000;
/** Ten seconds of windows: how long a burst is remembered. */
const WINDOWS = 20;
/**
 * At the start the newest item rules: what a server sends at once to begin with is played from its end. The start is
 * over when nothing came earlier than all before for this long, or after the longest.
 */
const SETTLE_US = 300_000;
const LONGEST_SETTLE_US = 3_000_000;
/** What comes this much earlier than all before belongs to a burst. */
const BURST_US = 10_000;
/**
 * A burst no longer than this may be how every packet comes (MPEG-TS carries some 170 ms of AAC in one), so it counts
 * as jitter: it raises the delay once, in place of a gap when the second comes.
 */
const SHORT_BURST_US = 250_000;
/** Sound follows a shift that fell by more than this by leaping, not by running faster for seconds. */
const LEAP_US = 20_000;
const MARGIN_US = 5000;
/** Stamps rounded to milliseconds on their way miss their place by up to this, and then some. */
const ROUNDING_US = 3000;
const PREROLL_US = 200_000;
/** A delay that is no longer needed is given back at 100 ms a second, which time-stretching hides. */
const RETURN_PER_US = 0.1;
/** Streams whose jumps land this close to each other made the same jump. */
const SAME_JUMP_US = 2_000_000;

/**
 * One source's time, for its sound and its picture alike.
 *
 * Two steps: {@link place} turns a stream stamp into source time, which never jumps (a jump of the stamps re-bases
 * sound and picture together); {@link shiftUs} is what must be added to source time now to get mix time. So frames
 * keep their source time in queues while the playout delay adapts.
 *
 * Invariants: source time of a stream never goes back across a jump; `shiftUs` rises at once when data comes late,
 * and falls slowly.
 */
export class SourceTimeline {
  readonly #options: TimelineOptions;
  #bounds: DelayBounds;
  /** Added to stamps, one entry per jump; streams may be in different ones for a moment. */
  readonly #offsets: number[] = [0];
  readonly #epoch: Record<Kind, number> = { audio: 0, video: 0 };
  readonly #end: Record<Kind, number | undefined> = { audio: undefined, video: undefined };
  readonly #windows: { min: number; max: number }[] = [];
  #windowEnd = 0;
  #firstAt: number | undefined;
  #firstLate: number | undefined;
  #settledAt = 0;
  /** The shift that sound was last let leap to. */
  #leaptTo = Number.NEGATIVE_INFINITY;
  #leaps = 0;
  #shift: number;
  #lastAdvance: number | undefined;
  #alignment: { readonly periodUs: number; phase: number } | undefined;
  #nudge = 0;
  #jumps = 0;

  constructor(options: TimelineOptions) {
    this.#options = options;
    this.#bounds = options.delayMs;
    this.#shift = options.mode === "fixed" ? options.startUs : 0;
  }

  /** Add it to source time to get mix time. */
  get shiftUs(): Micros {
    return us(this.#shift);
  }

  /**
   * Add it to the time before which a view looks for a picture: keeps pictures whose stamps fall right between two
   * ticks from flickering between them. Sound knows nothing of it.
   */
  get nudgeUs(): number {
    return this.#nudge;
  }

  /** True once {@link shiftUs} means something. */
  get isTied(): boolean {
    return this.#options.mode === "fixed" || this.#firstAt !== undefined;
  }

  /** Times that {@link shiftUs} fell at once by so much that sound must begin anew at its place. */
  get leaps(): number {
    return this.#leaps;
  }

  /** Jumps of the stamps so far. */
  get jumps(): number {
    return this.#jumps;
  }

  /** Spread of arrivals over the last ten seconds. */
  get jitterMs(): number {
    return this.#windows.length === 0 ? 0 : (this.#latest() - this.#base()) / 1000;
  }

  /** The playout delay, for an item that comes as early as the earliest of the last ten seconds. */
  get delayMs(): number {
    return this.#windows.length === 0 ? 0 : Math.max(0, (this.#shift - this.#base()) / 1000);
  }

  /** Sets other bounds of the delay; what is below rises at the next item, what is above is given back slowly. */
  bound(delayMs: DelayBounds): void {
    this.#bounds = delayMs;
  }

  /** Turns a stream's stamp into source time. `jumped` says that the stamps do not continue the last ones. */
  place(kind: Kind, ptsUs: Micros, durationUs: Micros, jumped: boolean): Micros {
    if (jumped && this.#end[kind] !== undefined) this.#rebase(kind, ptsUs);
    const at = ptsUs + (this.#offsets[this.#epoch[kind]] ?? 0);
    this.#end[kind] = Math.max(this.#end[kind] ?? at, at + durationUs);
    return us(at);
  }

  /** Notes that an item of this source time became ready to be played at `nowUs`. */
  observe(sourceUs: Micros, nowUs: Micros): void {
    if (this.#options.mode === "fixed") return;
    const late = nowUs - sourceUs;
    const isSettled = this.#isSettled(late, nowUs);
    this.#firstLate ??= late;
    // What a server sends at once to begin with is old, not late.
    const isBurst = late < this.#firstLate - SHORT_BURST_US;
    if (!isSettled && isBurst && late < this.#base()) this.#windows.length = 0;
    this.#remember(late, nowUs);
    if (this.#firstAt === undefined) {
      this.#firstAt = nowUs;
      this.#settledAt = nowUs + SETTLE_US;
      this.#shift = late + (this.#options.mode === "paced" ? PREROLL_US : this.#wantedDelay());
      this.#leaptTo = this.#shift;
      return;
    }
    if (this.#options.mode === "paced") {
      if (late > this.#shift) this.#shift = late + PREROLL_US / 2;
      return;
    }
    const target = this.#target();
    if (target > this.#shift || !isSettled) this.#moveTo(target);
  }

  /** Gives back delay that is no longer needed; call it at every tick. */
  advance(nowUs: Micros): void {
    const elapsed = nowUs - (this.#lastAdvance ?? nowUs);
    this.#lastAdvance = nowUs;
    if (this.#options.mode !== "live" || this.#windows.length === 0) return;
    const target = this.#target();
    if (target < this.#shift) this.#shift = Math.max(target, this.#shift - elapsed * RETURN_PER_US);
  }

  /**
   * Lets source frames of the view's own rate fall one to a tick, whatever the millisecond rounding of their stamps:
   * live input is shifted to mid-tick, all other is looked for a little later where its stamps fall on the edge.
   *
   * @param periodUs of the view; undefined lifts it.
   * @param sourceUs a recent frame.
   * @param edgeUs how long after a tick a frame still belongs to it, without {@link nudgeUs}.
   */
  align(periodUs: number | undefined, sourceUs: Micros, edgeUs: number): void {
    if (periodUs === undefined) {
      this.#alignment = undefined;
      this.#nudge = 0;
      return;
    }
    if (this.#options.mode !== "live") {
      const fromEdge = nearest(sourceUs + this.#shift - edgeUs - this.#nudge, periodUs);
      if (Math.abs(fromEdge) < ROUNDING_US) this.#nudge = this.#nudge === 0 ? periodUs / 4 : 0;
      return;
    }
    const phase = modulo(sourceUs, periodUs);
    if (this.#alignment?.periodUs !== periodUs) {
      this.#alignment = { periodUs, phase };
      return;
    }
    const error = modulo(phase - this.#alignment.phase + periodUs / 2, periodUs) - periodUs / 2;
    this.#alignment.phase = modulo(this.#alignment.phase + error / 16, periodUs);
  }

  #isSettled(late: number, nowUs: number): boolean {
    if (this.#firstAt === undefined || nowUs > this.#settledAt) return this.#firstAt !== undefined;
    if (late < this.#base() - BURST_US)
      this.#settledAt = Math.min(nowUs + SETTLE_US, this.#firstAt + LONGEST_SETTLE_US);
    return false;
  }

  #moveTo(shift: number): void {
    this.#shift = shift;
    if (shift < this.#leaptTo - LEAP_US) this.#leaps += 1;
    else if (shift < this.#leaptTo) return;
    this.#leaptTo = shift;
  }

  #rebase(kind: Kind, ptsUs: Micros): void {
    const end = this.#end[kind] ?? 0;
    const newest = this.#offsets.length - 1;
    const joined = ptsUs + (this.#offsets[newest] ?? 0);
    if (this.#epoch[kind] < newest && Math.abs(joined - end) < SAME_JUMP_US) {
      this.#epoch[kind] = newest;
      return;
    }
    this.#jumps += 1;
    const latestEnd = Math.max(end, this.#end.audio ?? end, this.#end.video ?? end);
    this.#offsets.push(latestEnd - ptsUs);
    this.#epoch[kind] = this.#offsets.length - 1;
  }

  #remember(late: number, nowUs: number): void {
    const last = this.#windows.at(-1);
    if (last !== undefined && nowUs < this.#windowEnd) {
      last.min = Math.min(last.min, late);
      last.max = Math.max(last.max, late);
      return;
    }
    this.#windows.push({ min: late, max: late });
    if (this.#windows.length > WINDOWS) this.#windows.shift();
    this.#windowEnd = nowUs + WINDOW_US;
  }

  #base(): number {
    return Math.min(...this.#windows.map((window) => window.min));
  }

  #latest(): number {
    return Math.max(...this.#windows.map((window) => window.max));
  }

  #wantedDelay(): number {
    const { min, max } = this.#bounds;
    const jitter = this.#windows.length === 0 ? 0 : this.#latest() - this.#base();
    return Math.min(max * 1000, Math.max(min * 1000, jitter + MARGIN_US));
  }

  #target(): number {
    const raw = this.#base() + this.#wantedDelay();
    if (this.#alignment === undefined) return raw;
    const { periodUs, phase } = this.#alignment;
    // The next shift from here up that puts frames on the ticks; what we have stays while it is within one period.
    const aligned = raw + modulo(-(raw + phase), periodUs);
    const current = this.#shift + nearest(-(this.#shift + phase), periodUs);
    return current >= raw - MARGIN_US && current < raw + periodUs + MARGIN_US ? current : aligned;
  }
}

const modulo = (value: number, by: number): number => ((value % by) + by) % by;
const nearest = (value: number, by: number): number => modulo(value + by / 2, by) - by / 2;
