import type { LayoutChange } from "../contract/layout-change.ts";
import type { ViewStatus } from "../contract/status.ts";
import type { LayoutReceipt, ViewState } from "../contract/worker.ts";
import type { Logger } from "../core/log.ts";
import { frameIndexAt, frameTime, period, type Rational, rational } from "../core/rational.ts";
import { type Micros, us } from "../core/time.ts";
import type { Placement } from "../layout/resolve.ts";
import { Window } from "../media/stats.ts";
import { Compositor, type Layer } from "../mixer/video/compositor.ts";
import { fitInto } from "../mixer/video/fit.ts";
import type { TileCache } from "../mixer/video/tile.ts";
import { Picture } from "../native/picture.ts";
import type { VideoEncode } from "./encodes.ts";
import type { MixMeters } from "./mix-meters.ts";
import type { Source } from "./source.ts";
import { canvasStill, type Still, type Stills, sourceStill, toYuv } from "./stills.ts";
import { type LayoutContext, ViewLayout } from "./view-layout.ts";

/**
 * Stamps miss their own grid by up to half a millisecond. A source of twice the view's rate has every second picture
 * right between two ticks: without a margin, rounding would throw it to one or the other.
 */
const GRID_MARGIN_US = 1000;

const MAX_REPEAT_US = 500_000;

/** What a view reads of its mix at each tick. */
export interface ViewContext extends LayoutContext {
  readonly tiles: TileCache;
  readonly meters: MixMeters;
  readonly log: Logger;
  readonly stills: Stills;
  /** Virtual clock: results must not depend on when things are ready. */
  readonly virtual: boolean;
  /** The one view that a source's frames are aligned to. */
  steering(source: string): string | undefined;
}

/**
 * One composed picture of a mix. At each tick it decides who is shown where, takes each one's picture of that time,
 * draws, and hands the result to its encoders.
 */
export class View {
  readonly rate: Rational;
  readonly encodes = new Set<VideoEncode>();
  readonly composeMs = new Window();
  readonly #context: ViewContext;
  readonly #compositor: Compositor;
  readonly #layout: ViewLayout;
  #last: Picture | undefined;
  #lastUs = us(0);
  #nextFrame: number;
  #lastArrivalUs = us(0);
  #glances = 0;
  #composed: PromiseWithResolvers<void> | undefined;
  #ticks = 0;
  #late = 0;
  #repeated = 0;
  #repeatedInRow = 0;

  /** @param startUs mix time at which it begins; its first frame is the first not before that. */
  constructor(state: ViewState, startUs: Micros, context: ViewContext) {
    this.#context = context;
    this.rate = rational(state.fps);
    this.#layout = new ViewLayout(state, this.rate, context);
    this.#nextFrame = Math.max(0, frameIndexAt(us(startUs - 1), this.rate) + 1);
    this.#compositor = new Compositor(this.#backdrop(), context.tiles, context.virtual);
  }

  get id(): string {
    return this.state.id;
  }
  get state(): ViewState {
    return this.#layout.state;
  }
  /** When the next picture is due. */
  get nextUs(): Micros {
    return frameTime(this.#nextFrame, this.rate);
  }
  get ticks(): number {
    return this.#ticks;
  }
  get late(): number {
    return this.#late;
  }
  get repeated(): number {
    return this.#repeated;
  }
  get placements(): readonly Placement[] {
    return this.#layout.placements;
  }

  /** True while somebody sees it: an encoder, or whoever asked for a still a moment ago. Nobody else is drawn for. */
  get isWatched(): boolean {
    return this.encodes.size > 0 || this.#glances > 0;
  }

  /** The next picture composed, the caller's, and its time. Until {@link glance} is disposed the view is drawn. */
  async nextPicture(): Promise<{ readonly picture: Picture; readonly atUs: Micros } | undefined> {
    this.#composed ??= Promise.withResolvers<void>();
    await this.#composed.promise;
    return this.#last === undefined ? undefined : { picture: this.#last.clone(), atUs: this.#lastUs };
  }

  /** Renders what does not move in the next picture, so that nothing stands in for it. Never rejects. */
  async prepareStills(): Promise<void> {
    this.prepare();
    await Promise.all(this.#neededStills().map((still) => this.#context.stills.prepare(still)));
  }

  /** Keeps the view drawn until it is disposed. */
  glance(): Disposable {
    this.#glances += 1;
    let isOpen = true;
    return {
      [Symbol.dispose]: () => {
        if (isOpen) this.#glances -= 1;
        isOpen = false;
      },
    };
  }

  /** Sources on screen. */
  onScreen(): ReadonlySet<string> {
    return this.#layout.onScreen();
  }

  /** Applies a layout at the first frame not before `atUs`, or at the next. Settles when it is on air. */
  setLayout(state: ViewState, atUs: Micros | undefined, change?: LayoutChange): Promise<LayoutReceipt> {
    const wanted = atUs === undefined ? undefined : frameIndexAt(us(atUs - 1), this.rate) + 1;
    return this.#layout.set({ state, change }, this.#nextFrame, wanted);
  }

  /** Takes over what may change beside the layout. */
  update(state: ViewState): void {
    this.#layout.update(state);
  }

  /** Where everything would be with this state; nothing changes. */
  preview(state: ViewState): LayoutReceipt {
    return this.#layout.preview(state, this.#nextFrame);
  }

  /** Where everything is. */
  layout(): LayoutReceipt {
    return this.#layout.current(this.#nextFrame);
  }

  /** Brings the layout up to date for the next frame, without drawing. */
  prepare(): void {
    const before = this.onScreen();
    if (this.#layout.advanceTo(this.#nextFrame)) this.#compositor.setBackground(this.#backdrop());
    const now = this.onScreen();
    for (const id of before) if (!now.has(id)) this.#context.sources.get(id)?.picture.forget(this.id);
  }

  /** Composes the next frame, on time. Never rejects: a picture that cannot be drawn costs itself, the last stays on air. */
  async tick(lateUs: number): Promise<void> {
    const frame = this.#nextFrame;
    const at = frameTime(frame, this.rate);
    const tooLate = lateUs > period(this.rate) || [...this.encodes].some((encode) => encode.isSlow);
    if (lateUs > period(this.rate) / 2) this.#late += 1;
    const arrivalUs = await this.#draw(at, tooLate);
    this.#lastArrivalUs = arrivalUs ?? this.#lastArrivalUs;
    this.#nextFrame = frame + 1;
    this.#ticks += 1;
    const picture = this.#last;
    if (picture === undefined) return;
    for (const encode of this.encodes) void encode.offer(picture.clone(), at, arrivalUs);
  }

  /** Nobody looks: the layout goes on, and no source keeps pictures for this view. */
  #rest(): void {
    this.prepare();
    this.#compositor.rest();
    for (const id of this.onScreen()) this.#context.sources.get(id)?.picture.forget(this.id);
  }

  /** A machine that is always late still shows something new twice a second. */
  #mayRepeat(): boolean {
    return this.#last !== undefined && frameTime(this.#repeatedInRow, this.rate) < MAX_REPEAT_US;
  }

  /** The last picture stays on air; what would have been shown is let go, so that it does not pile up. */
  #repeat(at: Micros): void {
    this.#repeated += 1;
    this.#repeatedInRow += 1;
    this.#layers(at);
  }

  /** Passes over the frames before `at`: the machine stood still. Encoders repeat one picture under all their numbers. */
  skipTo(at: Micros): void {
    const missed = Math.max(0, frameIndexAt(at, this.rate) + 1 - this.#nextFrame);
    this.#ticks += missed;
    this.#late += missed;
    this.#repeated += missed;
    this.#nextFrame += missed;
  }

  close(): void {
    for (const source of this.#context.sources.values()) source.picture.forget(this.id);
    this.#layout.close(this.#nextFrame);
    this.#composed?.resolve();
    this.#last?.[Symbol.dispose]();
    this.#last = undefined;
    this.#compositor[Symbol.dispose]();
  }

  status(): ViewStatus {
    const { id, width, height, revision } = this.state;
    const { tilesDrawn, tilesReused } = this.#compositor.counts;
    return {
      id,
      width,
      height,
      fps: `${this.rate.num}/${this.rate.den}`,
      revision,
      ticks: this.#ticks,
      late: this.#late,
      repeated: this.#repeated + Math.max(0, ...[...this.encodes].map(({ replaced }) => replaced)),
      skipped: [...this.encodes].reduce((most, { skipped }) => Math.max(most, skipped), 0),
      composeMs: { p50: this.composeMs.quantile(0.5), p95: this.composeMs.quantile(0.95) },
      tilesDrawn,
      tilesReused,
    };
  }

  /** Brings the last picture up to date, or leaves it. Returns when the newest picture in it arrived, if that is news. */
  async #draw(at: Micros, tooLate: boolean): Promise<Micros | undefined> {
    try {
      if (!this.isWatched) this.#rest();
      else if (tooLate && this.#mayRepeat()) this.#repeat(at);
      else return await this.#compose(at);
    } catch (error) {
      this.#context.log.error({ err: error, view: this.id }, "a picture could not be composed");
      this.#repeated += 1;
    }
    return undefined;
  }

  /** Returns when the newest picture in it arrived, if that is news. */
  async #compose(at: Micros): Promise<Micros | undefined> {
    const began = performance.now();
    this.#repeatedInRow = 0;
    this.prepare();
    if (this.#context.virtual) await this.prepareStills();
    const layers = this.#layers(at);
    const picture = await this.#compositor.compose(layers);
    this.#last?.[Symbol.dispose]();
    this.#last = picture;
    this.#lastUs = at;
    this.#composed?.resolve();
    this.#composed = undefined;
    const tookMs = performance.now() - began;
    this.composeMs.add(tookMs);
    this.#context.meters.compose.observe(tookMs / 1000);
    return newestArrival(layers, this.#lastArrivalUs);
  }

  /** Synchronous: queues may free a frame that is not taken at once. */
  #layers(at: Micros): Layer[] {
    const layers = [this.#backgroundImage(), this.#slate()]
      .filter((still) => still !== undefined)
      .map((still) => this.#context.stills.layer(still));
    const periodUs = period(this.rate);
    for (const placement of this.placements) {
      const source = placement.source === null ? undefined : this.#context.sources.get(placement.source);
      if (source === undefined) continue;
      const trimUs = source.spec.video.delayMs * 1000;
      const { shiftUs, nudgeUs } = source.timeline;
      const beforeUs = at + periodUs / 2 - GRID_MARGIN_US + nudgeUs - shiftUs - trimUs;
      const tick = { view: this.id, atUs: at, beforeUs };
      const hasPicture = source.hasPictureAt(at);
      const queued = source.picture.select(tick, hasPicture);
      if (queued === undefined || !hasPicture) {
        if (placement.fallback !== "hide")
          layers.push(this.#context.stills.layer(sourceStill(source, placement)));
        continue;
      }
      this.#alignTo(source, queued.sourceUs);
      const fitted = fitInto(placement, queued.frame, placement, source.spec.video.crop);
      layers.push({ kind: "source", source: source.id, queued, fitted });
    }
    return layers;
  }

  /** What may have to be shown in this picture that is not moving. */
  #neededStills(): Still[] {
    const stills = [this.#backgroundImage(), this.#slate()].filter((still) => still !== undefined);
    for (const placement of this.placements) {
      const source = placement.source === null ? undefined : this.#context.sources.get(placement.source);
      const isNeeded =
        source !== undefined && (!source.hasPictureAt(this.nextUs) || source.picture.queue.length === 0);
      if (isNeeded) stills.push(sourceStill(source, placement));
    }
    return stills;
  }

  #backgroundImage(): Still | undefined {
    const image = this.state.layout.background?.image;
    return image === undefined ? undefined : canvasStill(this.state, image, this.#layout.backgroundColor);
  }

  /** Shown while no source is on screen. */
  #slate(): Still | undefined {
    const { slate } = this.state;
    if (slate === undefined || this.onScreen().size > 0) return undefined;
    return canvasStill(this.state, slate, this.#layout.backgroundColor);
  }

  /** True if each of its ticks has a picture of `source`. */
  isAtRateOf(source: Source): boolean {
    const rate = source.picture.info?.frameRate;
    return rate !== undefined && Math.abs(period(rate) / period(this.rate) - 1) < 0.02;
  }

  /** Only one view steers a source's phase, and only where the rates agree. */
  #alignTo(source: Source, sourceUs: Micros): void {
    if (this.#context.steering(source.id) !== this.id) return;
    const nominal = period(this.rate);
    const edgeUs = nominal / 2 - GRID_MARGIN_US - source.spec.video.delayMs * 1000;
    source.timeline.align(this.isAtRateOf(source) ? nominal : undefined, sourceUs, edgeUs);
  }

  #backdrop(): Picture {
    return Picture.solid(this.state.width, this.state.height, toYuv(this.#layout.backgroundColor));
  }
}

function newestArrival(layers: readonly Layer[], lastUs: Micros): Micros | undefined {
  let newest = lastUs;
  for (const layer of layers) {
    if (layer.kind === "source" && layer.queued.frame.arrivalUs > newest)
      newest = layer.queued.frame.arrivalUs;
  }
  return newest > lastUs ? newest : undefined;
}
