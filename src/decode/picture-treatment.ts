import type { NativeFrame, Shortfall } from "../native/frame.ts";
import { keyOf, PictureFilter, type Treatment } from "../native/picture-filter.ts";
import type { DecodedPicture } from "../native/video-decoder.ts";

/** Counts of pictures, by what was done to them. */
export interface TreatmentCounts {
  readonly deinterlaced: number;
  readonly toneMapped: number;
  /** Shown as they are although they are interlaced, HDR or have alpha: no filter takes them. */
  readonly untreated: number;
}

/** Pictures without the flag after which a stream counts as progressive again; film in broadcasts mixes both. */
const CALM_PICTURES = 50;

/** A picture on its way through a filter, and what the filter before it gave at last. */
interface Step {
  readonly held: readonly NativeFrame[];
  readonly frame: NativeFrame;
  readonly filter: PictureFilter | undefined;
}

/**
 * Makes decoded pictures fit to be mixed: interlaced ones are deinterlaced, HDR is tone-mapped, alpha is laid over
 * black, what the container cuts is cut, matrices that the scaler does not read become ones that it does. Pictures that need nothing pass untouched; a
 * filter exists only while pictures ask for it. What no filter does is said in the frame's shortfalls.
 */
export class PictureTreatment implements Disposable {
  readonly #rate: "frame" | "field";
  #filter: PictureFilter | undefined;
  /** Key of what libavfilter refused last; asking again for each picture would be slow and no different. */
  #refused: string | undefined;
  #sinceInterlaced = CALM_PICTURES;
  #deinterlaced = 0;
  #toneMapped = 0;
  #untreated = 0;

  /** @param rate pictures out of interlaced ones: one for each, or one for each field. */
  constructor(rate: "frame" | "field") {
    this.#rate = rate;
  }

  get counts(): TreatmentCounts {
    return { deinterlaced: this.#deinterlaced, toneMapped: this.#toneMapped, untreated: this.#untreated };
  }

  /** Takes a picture over and returns what is ready to be shown, in order, owned by the caller. */
  apply(picture: DecodedPicture): readonly NativeFrame[] {
    const { held, frame, filter } = this.#prepare(picture);
    if (filter === undefined) return [...held, frame];
    try {
      return [...held, ...filter.run(frame)];
    } catch {
      this.#giveUp(filter);
      return held;
    }
  }

  /** {@link apply} on the thread pool; one call at a time. */
  async applyAsync(picture: DecodedPicture): Promise<readonly NativeFrame[]> {
    const { held, frame, filter } = this.#prepare(picture);
    if (filter === undefined) return [...held, frame];
    try {
      return [...held, ...(await filter.runAsync(frame))];
    } catch {
      this.#giveUp(filter);
      return held;
    }
  }

  /** Returns what was held back. */
  flush(): readonly NativeFrame[] {
    const rest = this.#filter?.flush() ?? [];
    this.#filter?.[Symbol.dispose]();
    this.#filter = undefined;
    return rest;
  }

  /** Twice is harmless. */
  [Symbol.dispose](): void {
    this.#filter?.[Symbol.dispose]();
    this.#filter = undefined;
  }

  #prepare(picture: DecodedPicture): Step {
    const { interlaced, hdr, alpha, matrix, overscan } = picture;
    this.#sinceInterlaced = interlaced ? 0 : this.#sinceInterlaced + 1;
    const deinterlace = this.#sinceInterlaced < CALM_PICTURES ? this.#rate : undefined;
    const frame = matrix === "unknown" ? lacking(picture.frame, ["matrixUnknown"]) : picture.frame;
    const converts = matrix === "convertible";
    const treatment = { deinterlace, overscan, matrix: converts, toneMap: hdr, flatten: alpha };
    const isNeeded = deinterlace !== undefined || overscan !== undefined || converts || hdr || alpha;
    if (!isNeeded) return { held: this.flush(), frame, filter: undefined };
    const key = keyOf(frame, treatment);
    const held = this.#filter?.key === key ? [] : this.flush();
    const filter = this.#filterFor(frame, treatment, key);
    if (filter === undefined) return { held, frame: this.#untreatedOne(frame, picture), filter };
    if (interlaced) this.#deinterlaced += 1;
    if (hdr) this.#toneMapped += 1;
    return { held, frame, filter };
  }

  #filterFor(frame: NativeFrame, treatment: Treatment, key: string): PictureFilter | undefined {
    if (this.#refused === key) return undefined;
    try {
      this.#filter ??= new PictureFilter(frame, treatment);
    } catch {
      this.#refused = key;
    }
    return this.#filter;
  }

  /** The picture on its way is lost; those like it are shown as they are. */
  #giveUp(filter: PictureFilter): void {
    this.#untreated += 1;
    this.#refused = filter.key;
    filter[Symbol.dispose]();
    if (this.#filter === filter) this.#filter = undefined;
  }

  #untreatedOne(frame: NativeFrame, { interlaced, hdr, alpha, matrix }: DecodedPicture): NativeFrame {
    this.#untreated += 1;
    return lacking(frame, [
      ...(interlaced ? (["interlaced"] as const) : []),
      ...(hdr ? (["hdrClipped"] as const) : []),
      ...(alpha ? (["alphaIgnored"] as const) : []),
      ...(matrix === "convertible" ? (["matrixUnknown"] as const) : []),
    ]);
  }
}

/** The same picture with these shortfalls beside its own; takes `frame` over. */
function lacking(frame: NativeFrame, shortfalls: readonly Shortfall[]): NativeFrame {
  if (shortfalls.length === 0) return frame;
  using taken = frame;
  const { ptsUs, durationUs, arrivalUs, orientation } = taken;
  const all = [...taken.shortfalls, ...shortfalls];
  return taken.retimed({ ptsUs, durationUs, arrivalUs, orientation, shortfalls: all });
}
