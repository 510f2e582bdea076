import type { NativeFrame } from "../native/frame.ts";
import { PictureFilter, type Treatment } from "../native/picture-filter.ts";
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

/**
 * Makes decoded pictures fit to be mixed: interlaced ones are deinterlaced, HDR is tone-mapped, alpha is laid over
 * black. Pictures that need nothing pass untouched; a filter exists only while pictures ask for it.
 */
export class PictureTreatment implements Disposable {
  readonly #rate: "frame" | "field";
  #filter: PictureFilter | undefined;
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
  apply({ frame, interlaced, hdr, alpha }: DecodedPicture): readonly NativeFrame[] {
    this.#sinceInterlaced = interlaced ? 0 : this.#sinceInterlaced + 1;
    const deinterlace = this.#sinceInterlaced < CALM_PICTURES ? this.#rate : undefined;
    if (deinterlace === undefined && !hdr && !alpha) {
      return this.#filter === undefined ? [frame] : [...this.flush(), frame];
    }
    return this.#treat(frame, { deinterlace, toneMap: hdr, flatten: alpha }, interlaced);
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

  #treat(frame: NativeFrame, treatment: Treatment, interlaced: boolean): readonly NativeFrame[] {
    const held = this.#filter?.fits(frame, treatment) === false ? this.flush() : [];
    try {
      this.#filter ??= new PictureFilter(frame, treatment);
    } catch {
      this.#untreated += 1;
      return [...held, frame];
    }
    if (interlaced) this.#deinterlaced += 1;
    if (treatment.toneMap) this.#toneMapped += 1;
    try {
      return [...held, ...this.#filter.run(frame)];
    } catch {
      this.#untreated += 1;
      this[Symbol.dispose]();
      return held;
    }
  }
}
