/** What {@link SpeakerSelection} and `ActiveSpeaker` look at, per source and tick. */
export interface Candidate {
  readonly id: string;
  readonly policy: "speaker" | "always";
  /** Higher goes first. */
  readonly priority: number;
  /** It sounds, or sounded lately, and is neither muted nor turned down to nothing. */
  readonly audible: boolean;
  readonly speaking: boolean;
  /** Level after gain, in dB relative to full scale. */
  readonly levelDb: number;
}

/** How {@link SpeakerSelection} chooses. Times in ticks of 20 ms. */
export interface SelectionOptions {
  /** Most sources of policy `speaker` that are mixed at once. */
  readonly maxSpeakers: number;
  /** A speaker keeps the seat this long after the last word. Default 150, that is 3 s. */
  readonly holdTicks?: number;
}

const HOLD_TICKS = 150;
/** Who has been silent this long gives the seat to somebody who speaks: 500 ms. */
const YIELD_TICKS = 25;
/** Who speaks gives the seat only to somebody louder by this much, for {@link LOUDER_TICKS}. */
const LOUDER_DB = 6;
const LOUDER_TICKS = 25;
/** Levels are smoothed over about 200 ms of speech. */
const SMOOTHING = 0.1;

interface Standing {
  seated: boolean;
  levelDb: number;
  /** Tick of the last speech. */
  spokeAt: number;
  /** Ticks in a row for which it was louder than the weakest speaker by {@link LOUDER_DB}. */
  louderTicks: number;
}

/**
 * Chooses who is mixed.
 *
 * - While at most `maxSpeakers` sources are audible, all of them are, ungated.
 * - Above that, `always` sources are, and sources of policy `speaker` compete for `maxSpeakers` seats. A seat is
 *   taken by speaking and kept for 3 s after the last word. If all are taken, the one silent longest gives way
 *   (after 500 ms), else one of lower priority, else one quieter by 6 dB for 500 ms.
 *
 * Deterministic: ties go by priority, level, then id. Time is the count of updates.
 */
export class SpeakerSelection {
  /** Most sources of policy `speaker` that are mixed at once; may change at any time. */
  maxSpeakers: number;
  readonly #holdTicks: number;
  readonly #standings = new Map<string, Standing>();
  #tick = 0;
  #mixed: readonly string[] = [];

  constructor({ maxSpeakers, holdTicks = HOLD_TICKS }: SelectionOptions) {
    this.maxSpeakers = maxSpeakers;
    this.#holdTicks = holdTicks;
  }

  /** Who is mixed, sorted by id; the same array as long as nothing changes. */
  get mixed(): readonly string[] {
    return this.#mixed;
  }

  /** Takes one tick's candidates, all of them; returns {@link mixed}. Who is left out is forgotten. */
  update(candidates: readonly Candidate[]): readonly string[] {
    this.#tick += 1;
    let audible = 0;
    for (const candidate of candidates) {
      this.#track(candidate);
      if (candidate.audible) audible += 1;
    }
    if (this.#standings.size > candidates.length) this.#forget(candidates);
    if (audible > this.maxSpeakers) this.#compete(candidates);
    else for (const candidate of candidates) this.#standing(candidate).seated = candidate.audible;
    return this.#publish(candidates);
  }

  #track(candidate: Candidate): void {
    const standing = this.#standing(candidate);
    if (!candidate.speaking || !candidate.audible) return;
    const fresh = this.#tick - standing.spokeAt > YIELD_TICKS;
    standing.spokeAt = this.#tick;
    if (fresh) standing.levelDb = candidate.levelDb;
    else standing.levelDb += (candidate.levelDb - standing.levelDb) * SMOOTHING;
  }

  #compete(candidates: readonly Candidate[]): void {
    let free = this.maxSpeakers;
    for (const candidate of candidates) {
      const standing = this.#standing(candidate);
      if (candidate.policy === "always") standing.seated = candidate.audible;
      else if (!candidate.audible || this.#silence(standing) > this.#holdTicks) standing.seated = false;
      if (candidate.policy === "speaker" && standing.seated) free -= 1;
    }
    // More may be seated than there are seats: all were, while few were audible.
    for (; free < 0; free++) this.#unseat(this.#weakest(candidates));
    for (const challenger of this.#challengers(candidates)) {
      if (free > 0) free -= 1;
      else if (!this.#displace(challenger, candidates)) continue;
      const standing = this.#standing(challenger);
      standing.seated = true;
      standing.louderTicks = 0;
    }
  }

  /** Those who speak and have no seat, strongest first. Usually nobody. */
  #challengers(candidates: readonly Candidate[]): readonly Candidate[] {
    const found = candidates.filter(
      (one) => one.policy === "speaker" && one.audible && one.speaking && !this.#standing(one).seated,
    );
    return found.length < 2 ? found : found.sort((a, b) => this.#compare(b, a));
  }

  /** Takes a seat from somebody for `challenger`; false if nobody has to give way. */
  #displace(challenger: Candidate, candidates: readonly Candidate[]): boolean {
    const weakest = this.#weakest(candidates);
    if (weakest === undefined) return false;
    const [mine, theirs] = [this.#standing(challenger), this.#standing(weakest)];
    const louder = weakest.priority === challenger.priority && mine.levelDb > theirs.levelDb + LOUDER_DB;
    mine.louderTicks = louder ? mine.louderTicks + 1 : 0;
    const gives =
      this.#silence(theirs) > YIELD_TICKS ||
      weakest.priority < challenger.priority ||
      mine.louderTicks >= LOUDER_TICKS;
    if (gives) this.#unseat(weakest);
    return gives;
  }

  /** Of those seated by policy `speaker`: the longest silent, else the lowest in priority and level. */
  #weakest(candidates: readonly Candidate[]): Candidate | undefined {
    let weakest: Candidate | undefined;
    for (const one of candidates) {
      if (one.policy !== "speaker" || !this.#standing(one).seated) continue;
      if (weakest === undefined || this.#compare(one, weakest) < 0) weakest = one;
    }
    return weakest;
  }

  /** Negative if `a` has less claim to a seat than `b`. */
  #compare(a: Candidate, b: Candidate): number {
    const [mine, theirs] = [this.#standing(a), this.#standing(b)];
    const mySilence = Math.max(YIELD_TICKS, this.#silence(mine));
    const theirSilence = Math.max(YIELD_TICKS, this.#silence(theirs));
    if (mySilence !== theirSilence) return theirSilence - mySilence;
    if (a.priority !== b.priority) return a.priority - b.priority;
    if (mine.levelDb !== theirs.levelDb) return mine.levelDb - theirs.levelDb;
    return a.id < b.id ? 1 : -1;
  }

  #silence(standing: Standing): number {
    return this.#tick - standing.spokeAt;
  }

  #unseat(candidate: Candidate | undefined): void {
    if (candidate !== undefined) this.#standing(candidate).seated = false;
  }

  #standing(candidate: Candidate): Standing {
    let standing = this.#standings.get(candidate.id);
    if (standing === undefined) {
      standing = {
        seated: false,
        levelDb: candidate.levelDb,
        spokeAt: Number.NEGATIVE_INFINITY,
        louderTicks: 0,
      };
      this.#standings.set(candidate.id, standing);
    }
    return standing;
  }

  #forget(candidates: readonly Candidate[]): void {
    const present = new Set(candidates.map((one) => one.id));
    for (const id of this.#standings.keys()) if (!present.has(id)) this.#standings.delete(id);
  }

  #publish(candidates: readonly Candidate[]): readonly string[] {
    let count = 0;
    let same = true;
    for (const one of candidates) {
      if (!this.#standing(one).seated) continue;
      count += 1;
      same &&= this.#mixed.includes(one.id);
    }
    if (same && count === this.#mixed.length) return this.#mixed;
    this.#mixed = candidates
      .filter((one) => this.#standing(one).seated)
      .map((one) => one.id)
      .sort();
    return this.#mixed;
  }
}
