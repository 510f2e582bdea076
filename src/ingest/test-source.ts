import { frameTime, period, type Rational, rational } from "../core/rational.ts";
import { type Micros, us } from "../core/time.ts";
import type { Clock } from "../media/clock.ts";
import { type AudioBlock, CHANNELS, SAMPLE_RATE, TICK_SAMPLES, type VideoFrame } from "../media/frame.ts";
import { PicturePool } from "../native/picture-pool.ts";
import type { RawIngest } from "./raw.ts";
import { isFlash, type Painter, painterOf, type Shown, type TestPattern } from "./test-pattern.ts";

/** A generated input. */
export interface TestSourceOptions {
  readonly pattern: TestPattern;
  readonly clock: Clock;
  /** In Hz, rounded to whole ones. `flashbeep` beeps with it (1000 if absent); otherwise absent is silence. */
  readonly tone?: number | undefined;
  /** Even; 1280 x 720 if absent. */
  readonly widthPx?: number;
  readonly heightPx?: number;
  /** 30 if absent. */
  readonly frameRate?: Rational;
  /** 0 to 63; see {@link PatternFormat}. */
  readonly source?: number;
  /** How long before they are due frames are given out; 0 if absent. A virtual clock waits for them, so give it some. */
  readonly leadUs?: Micros;
  /** Its abort is a {@link RawIngest.close}. */
  readonly signal?: AbortSignal;
}

/** Peak of all tones: -12 dBFS. */
const AMPLITUDE = 0.25;
/** Length of a beep in samples: 40 ms. */
const BEEP_SAMPLES = 1920;
/** A reader this late gets no more old pictures. */
const MAX_LATE_US = 1e6;

/**
 * Generates a test picture and sound on the clock, from stamp 0 at the moment the iteration begins.
 *
 * `bars`: 75 % colour bars. `counter`: each picture holds its number, see {@link counterBits}. `moving`: a disc in
 * motion. `flashbeep`: one white picture a second, and a 40 ms beep whose first sample has that picture's stamp.
 * Only what changes is drawn: 30 pictures a second of 1280 x 720 cost less than 2 % of a core.
 */
export const openTestSource = (options: TestSourceOptions): RawIngest => new TestSource(options);

class TestSource implements RawIngest {
  readonly #clock: Clock;
  readonly #leadUs: Micros;
  readonly #rate: Rational;
  readonly #pool: PicturePool<Shown>;
  readonly #paint: Painter;
  readonly #sound: ToneGenerator;
  readonly #abort = new AbortController();
  readonly isFinite = false;
  #dropped = 0;
  #frame = 0;
  #block = 0;
  #startUs: Micros = us(0);

  constructor(options: TestSourceOptions) {
    const { pattern, clock, tone, widthPx = 1280, heightPx = 720, source = 0 } = options;
    this.#clock = clock;
    this.#leadUs = options.leadUs ?? us(0);
    this.#rate = options.frameRate ?? rational(30);
    this.#pool = new PicturePool(widthPx, heightPx);
    this.#paint = painterOf(pattern, { widthPx, heightPx, frameRate: this.#rate, source });
    this.#sound = new ToneGenerator(pattern === "flashbeep" ? this.#rate : undefined, tone);
    options.signal?.addEventListener("abort", () => void this.close(), { once: true });
    if (options.signal?.aborted) this.#abort.abort();
  }

  get dropped(): number {
    return this.#dropped;
  }

  close(): Promise<void> {
    this.#abort.abort();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<VideoFrame | AudioBlock, void, undefined> {
    this.#startUs = this.#clock.now();
    try {
      while (await this.#isDue()) {
        this.#skipLate();
        const pictureUs = frameTime(this.#frame, this.#rate);
        yield pictureUs <= this.#blockUs() ? this.#picture(pictureUs) : this.#nextBlock();
      }
    } finally {
      this.#abort.abort();
      this.#pool[Symbol.dispose]();
    }
  }

  /** Waits for the next picture or block; false once closed. */
  async #isDue(): Promise<boolean> {
    const nextUs = Math.min(frameTime(this.#frame, this.#rate), this.#blockUs());
    const { signal } = this.#abort;
    await this.#clock.sleepUntil(us(this.#startUs + nextUs - this.#leadUs), signal).catch(() => undefined);
    return !signal.aborted;
  }

  #blockUs(): Micros {
    return us((this.#block * TICK_SAMPLES * 1e6) / SAMPLE_RATE);
  }

  #skipLate(): void {
    const nowUs = this.#clock.now() - this.#startUs;
    if (nowUs - frameTime(this.#frame, this.#rate) < MAX_LATE_US) return;
    const next = Math.floor((nowUs * this.#rate.num) / (this.#rate.den * 1e6));
    this.#dropped += Math.max(0, next - this.#frame);
    this.#frame = next;
    this.#block = Math.floor((nowUs * SAMPLE_RATE) / (TICK_SAMPLES * 1e6));
    this.#sound.skipped();
  }

  #picture(ptsUs: Micros): VideoFrame {
    const picture = this.#pool.take();
    this.#paint(picture, this.#frame);
    this.#frame += 1;
    return this.#pool.publish(picture, {
      ptsUs,
      durationUs: period(this.#rate),
      arrivalUs: this.#clock.now(),
    });
  }

  #nextBlock(): AudioBlock {
    const ptsUs = this.#blockUs();
    const block = this.#sound.block(this.#block);
    this.#block += 1;
    return { ...block, ptsUs, arrivalUs: this.#clock.now() };
  }
}

/** Sound in blocks of 20 ms, cut from one second of tone. */
class ToneGenerator {
  readonly #second = new Float32Array(SAMPLE_RATE * CHANNELS);
  readonly #flashRate: Rational | undefined;
  readonly #silent: boolean;
  #jumped = false;

  /** @param flashRate of the pictures that beeps go with; undefined for a steady tone. */
  constructor(flashRate: Rational | undefined, tone: number | undefined) {
    this.#flashRate = flashRate;
    const toneHz = Math.round(tone ?? 1000);
    this.#silent = tone === undefined && flashRate === undefined;
    for (let index = 0; index < SAMPLE_RATE && !this.#silent; index++) {
      const value = AMPLITUDE * Math.sin((2 * Math.PI * toneHz * index) / SAMPLE_RATE);
      this.#second.fill(value, index * CHANNELS, (index + 1) * CHANNELS);
    }
  }

  /** The next block does not follow the last one. */
  skipped(): void {
    this.#jumped = true;
  }

  block(index: number): Pick<AudioBlock, "samples" | "discontinuity"> {
    const discontinuity = this.#jumped;
    this.#jumped = false;
    const samples = new Float32Array(TICK_SAMPLES * CHANNELS);
    if (!this.#silent) this.#fill(samples, index * TICK_SAMPLES);
    return { samples, discontinuity };
  }

  #fill(samples: Float32Array, first: number): void {
    if (this.#flashRate === undefined) {
      const from = (first % SAMPLE_RATE) * CHANNELS;
      samples.set(this.#second.subarray(from, from + samples.length));
      return;
    }
    const beep = beepBefore(first + TICK_SAMPLES, this.#flashRate);
    const [from, to] = [Math.max(first, beep), Math.min(first + TICK_SAMPLES, beep + BEEP_SAMPLES)];
    if (from >= to) return;
    const cut = this.#second.subarray((from - beep) * CHANNELS, (to - beep) * CHANNELS);
    samples.set(cut, (from - first) * CHANNELS);
  }
}

/** First sample of the last beep that begins before sample `end`. */
function beepBefore(end: number, rate: Rational): number {
  let frame = Math.ceil((end / SAMPLE_RATE) * (rate.num / rate.den));
  const sampleOf = (index: number): number => Math.round((frameTime(index, rate) * SAMPLE_RATE) / 1e6);
  while (frame > 0 && !(isFlash(frame, rate) && sampleOf(frame) < end)) frame -= 1;
  return sampleOf(frame);
}
