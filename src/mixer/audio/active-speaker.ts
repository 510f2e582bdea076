import type { Candidate } from "./speaker-selection.ts";

/** Speech counts after this much of it, so that coughs and clicks do not: 200 ms, in ticks of 20 ms. */
const ONSET_TICKS = 10;
/** Who has been silent this long gives way to somebody who speaks: 400 ms. */
const YIELD_TICKS = 20;
/** Who has been silent this long is no longer the speaker, though nobody else speaks: 2 s. */
const HOLD_TICKS = 100;
/** While both speak, the newcomer must be louder by this much for {@link LOUDER_TICKS}. */
const LOUDER_DB = 6;
const LOUDER_TICKS = 40;
/** Levels are smoothed over about 300 ms of speech. */
const SMOOTHING = 0.07;

interface Voice {
  /** Ticks of speech, less those of silence since. */
  evidence: number;
  spokeAt: number;
  levelDb: number;
  louderTicks: number;
}

/**
 * Says who speaks: one source, or null if nobody does.
 *
 * Within 500 ms of the first word; over the pauses of speech; without flapping between two who speak at once, for
 * the first keeps the floor unless the second is clearly louder. Deterministic; time is the count of updates.
 */
export class ActiveSpeaker {
  readonly #voices = new Map<string, Voice>();
  #tick = 0;
  #current: string | null = null;

  /** The source that speaks, by what was given so far. */
  get current(): string | null {
    return this.#current;
  }

  /** Takes one tick's candidates, all of them; returns {@link current}. Who is left out is forgotten. */
  update(candidates: readonly Candidate[]): string | null {
    this.#tick += 1;
    for (const candidate of candidates) this.#listen(candidate);
    if (this.#voices.size > candidates.length) this.#forget(candidates);
    const holder = this.#current === null ? undefined : this.#voices.get(this.#current);
    const silence = holder === undefined ? Number.POSITIVE_INFINITY : this.#tick - holder.spokeAt;
    const next = this.#strongest(candidates);
    if (next !== undefined && this.#takesFloor(next, holder, silence)) this.#current = next.id;
    else if (silence > HOLD_TICKS) this.#current = null;
    return this.#current;
  }

  #listen({ id, audible, speaking, levelDb }: Candidate): void {
    let voice = this.#voices.get(id);
    if (voice === undefined) {
      voice = { evidence: 0, spokeAt: Number.NEGATIVE_INFINITY, levelDb, louderTicks: 0 };
      this.#voices.set(id, voice);
    }
    if (!audible) voice.spokeAt = Number.NEGATIVE_INFINITY;
    if (!audible || !speaking) {
      voice.evidence = audible ? Math.max(0, voice.evidence - 1) : 0;
      return;
    }
    if (voice.evidence === 0) voice.levelDb = levelDb;
    voice.evidence = Math.min(2 * ONSET_TICKS, voice.evidence + 1);
    voice.spokeAt = this.#tick;
    voice.levelDb += (levelDb - voice.levelDb) * SMOOTHING;
  }

  /** The loudest of those who speak and do not have the floor. */
  #strongest(candidates: readonly Candidate[]): Candidate | undefined {
    let best: Candidate | undefined;
    let bestDb = Number.NEGATIVE_INFINITY;
    for (const candidate of candidates) {
      const voice = this.#voices.get(candidate.id);
      if (voice === undefined || candidate.id === this.#current) continue;
      if (!candidate.speaking || voice.evidence < ONSET_TICKS) continue;
      const wins = voice.levelDb > bestDb || (voice.levelDb === bestDb && candidate.id < (best?.id ?? ""));
      if (wins) [best, bestDb] = [candidate, voice.levelDb];
    }
    return best;
  }

  #takesFloor(next: Candidate, holder: Voice | undefined, silence: number): boolean {
    const voice = this.#voices.get(next.id);
    if (voice === undefined) return false;
    const louder = holder !== undefined && voice.levelDb > holder.levelDb + LOUDER_DB;
    voice.louderTicks = louder ? voice.louderTicks + 1 : 0;
    const takes = silence > YIELD_TICKS || voice.louderTicks >= LOUDER_TICKS;
    if (takes) voice.louderTicks = 0;
    return takes;
  }

  #forget(candidates: readonly Candidate[]): void {
    const present = new Set(candidates.map((one) => one.id));
    for (const id of this.#voices.keys()) if (!present.has(id)) this.#voices.delete(id);
  }
}
