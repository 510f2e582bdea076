import type { Micros } from "../../core/time.ts";
import type { NativeFrame } from "../../native/frame.ts";

/** One decoded picture in a source's queue. The queue owns the frame; clone it to keep it. */
export interface QueuedFrame {
  readonly frame: NativeFrame;
  /** Source time; see `SourceTimeline`. */
  readonly sourceUs: Micros;
  /** Counts the source's frames from 0; equal serials are equal pictures. */
  readonly serial: number;
}

/**
 * Frames held for views that have not come to them: three seconds at 30 a second, 120 MB at 720p. A source that runs
 * further ahead loses its oldest.
 */
const MAX_FRAMES = 90;

/** The decoded pictures of one source, which several views read at their own pace. Owns the frames. */
export class VideoQueue implements Disposable {
  readonly #frames: QueuedFrame[] = [];
  readonly #shown = new Map<string, number>();
  #serial = 0;
  #dropped = 0;

  /** Pictures that no view ever got to choose. */
  get dropped(): number {
    return this.#dropped;
  }

  get length(): number {
    return this.#frames.length;
  }

  /** Pictures pushed so far. */
  get count(): number {
    return this.#serial;
  }

  get newest(): QueuedFrame | undefined {
    return this.#frames.at(-1);
  }

  /** Takes ownership of `frame`. Source times rise; one that does not replaces what it goes back before. */
  push(frame: NativeFrame, sourceUs: Micros): void {
    while (this.#frames.length > 0 && (this.#frames.at(-1)?.sourceUs ?? 0) >= sourceUs)
      this.#discard(this.#frames.pop());
    this.#frames.push({ frame, sourceUs, serial: this.#serial });
    this.#serial += 1;
    if (this.#frames.length > MAX_FRAMES) this.#discard(this.#frames.shift());
  }

  /** The newest frame from before `beforeUs` of source time for this view; frames no view needs any more are freed. */
  select(view: string, beforeUs: number): QueuedFrame | undefined {
    const index = this.#frames.findLastIndex((queued) => queued.sourceUs < beforeUs);
    const chosen = this.#frames[index];
    if (chosen === undefined) return undefined;
    this.#shown.set(view, chosen.serial);
    const needed = Math.min(...this.#shown.values());
    while ((this.#frames[0]?.serial ?? needed) < needed) this.#frames.shift()?.frame[Symbol.dispose]();
    return chosen;
  }

  /** The view is gone or shows this source no more. */
  forget(view: string): void {
    this.#shown.delete(view);
  }

  /** Frees the frames from before `sourceUs`. */
  forgetBefore(sourceUs: number): void {
    while ((this.#frames[0]?.sourceUs ?? sourceUs) < sourceUs) this.#frames.shift()?.frame[Symbol.dispose]();
  }

  /** Frees all frames; the next pushed starts anew. */
  clear(): void {
    for (const { frame } of this.#frames.splice(0)) frame[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.clear();
  }

  #discard(queued: QueuedFrame | undefined): void {
    if (queued === undefined) return;
    queued.frame[Symbol.dispose]();
    this.#dropped += 1;
  }
}
