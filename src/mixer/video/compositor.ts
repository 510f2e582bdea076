import { Picture, Stamp } from "../../native/picture.ts";
import type { ScaleThread } from "../../native/scaler.ts";
import type { Fitted, Rect } from "./fit.ts";
import type { QueuedFrame } from "./queue.ts";
import type { Tile, TileCache } from "./tile.ts";

/** One thing to draw, already fitted: a source's current picture, or a card in its place. */
export type Layer =
  | {
      readonly kind: "source";
      readonly source: string;
      readonly queued: QueuedFrame;
      readonly fitted: Fitted;
    }
  | { readonly kind: "card"; readonly key: string; readonly picture: Picture; readonly rect: Rect };

/** What a view's compositor did so far. */
export interface CompositorCounts {
  tilesDrawn: number;
  tilesReused: number;
  /** Source pictures that could not be scaled. */
  failed: number;
}

/** Ten pictures of 1280x720: 3 to 7 ms of scaling. */
const MAX_PIXELS_HERE = 10 * 1280 * 720;
/** Encoders that hold more than this each pay for a new canvas. */
const MAX_CANVASES = 6;

/** One of a few pictures that are drawn in turn, with what stands on it. */
interface Canvas {
  readonly picture: Picture;
  drawn: readonly Drawn[];
  backgroundVersion: number;
}

interface Drawn {
  readonly key: string;
  readonly rect: Rect;
  readonly version: number;
  readonly paint: (canvas: Picture) => void;
}

/**
 * Draws one view on the CPU, on a few canvases in turn, since encoders still hold the last ones. On each it redraws
 * only what changed since that canvas was drawn: a tile with a new picture and whatever lies above it, or everything
 * when the arrangement changed.
 */
export class Compositor implements Disposable {
  readonly counts: CompositorCounts = { tilesDrawn: 0, tilesReused: 0, failed: 0 };
  readonly #canvases: Canvas[] = [];
  readonly #background: Picture;
  readonly #backgroundStamp: Stamp;
  readonly #tiles: TileCache;
  readonly #sync: boolean;
  #held = new Map<string, Tile>();
  #stamps = new Map<string, Stamp>();
  #backgroundVersion = 0;
  #last: Canvas | undefined;

  /** @param background the view's size; owned from here on. */
  constructor(background: Picture, tiles: TileCache, sync: boolean) {
    this.#background = background;
    this.#backgroundStamp = new Stamp(background.widthPx, background.heightPx);
    this.#tiles = tiles;
    this.#sync = sync;
  }

  /** Replaces the background from the next picture on; owned from here on. */
  setBackground(picture: Picture): void {
    this.#background.makeWritable();
    this.#backgroundStamp.copy(picture, this.#background, 0, 0);
    picture[Symbol.dispose]();
    this.#backgroundVersion += 1;
  }

  /** Draws `layers` from bottom to top. The result is the caller's: it does not change with later pictures. */
  async compose(layers: readonly Layer[]): Promise<Picture> {
    const held = new Map<string, Tile>();
    const thread = this.#sync ? "caller" : threadFor(layers);
    const jobs = layers.map((layer) =>
      layer.kind === "source" ? this.#update(layer, held, thread) : this.#card(layer),
    );
    const drawn = await Promise.all(jobs);
    this.#keep(held, layers);
    return this.#paint(drawn).picture.clone();
  }

  /** Lets go what only the next picture would need: nobody looks for now. */
  rest(): void {
    this.#keep(new Map(), []);
  }

  [Symbol.dispose](): void {
    this.rest();
    this.#backgroundStamp[Symbol.dispose]();
    this.#background[Symbol.dispose]();
    for (const { picture } of this.#canvases) picture[Symbol.dispose]();
  }

  /** Releases the tiles and stamps that the last picture needed and this one does not. */
  #keep(held: Map<string, Tile>, layers: readonly Layer[]): void {
    for (const key of this.#held.keys()) if (!held.has(key)) this.#tiles.release(key);
    this.#held = held;
    const sizes = new Set(layers.map((layer) => (layer.kind === "card" ? sizeOf(layer.picture) : "")));
    for (const [size, stamp] of this.#stamps) {
      if (sizes.has(size)) continue;
      stamp[Symbol.dispose]();
      this.#stamps.delete(size);
    }
  }

  async #update(
    layer: Layer & { kind: "source" },
    held: Map<string, Tile>,
    thread: ScaleThread,
  ): Promise<Drawn> {
    const { crop, orientation, rect } = layer.fitted;
    const origin = this.#tiles.origin(layer.source);
    const key = `${origin.number}|${JSON.stringify(crop)}|${rect.width}x${rect.height}|${orientation.rotate}${orientation.mirror}`;
    const tile =
      this.#held.get(key) ??
      held.get(key) ??
      this.#tiles.hold(key, { crop, orientation, widthPx: rect.width, heightPx: rect.height });
    held.set(key, tile);
    try {
      const fresh = await tile.update(layer.queued, thread);
      if (fresh) this.counts.tilesDrawn += 1;
      else this.counts.tilesReused += 1;
      for (const shortfall of layer.queued.frame.shortfalls) origin.warn(shortfall, layer.queued);
    } catch {
      this.counts.failed += 1;
      origin.warn("notDrawn", layer.queued);
    }
    return { key, rect, version: tile.serial, paint: (canvas) => tile.paint(canvas, rect.x, rect.y) };
  }

  #card({ key, picture, rect }: Layer & { kind: "card" }): Drawn {
    const size = sizeOf(picture);
    const stamp = this.#stamps.get(size) ?? new Stamp(picture.widthPx, picture.heightPx);
    this.#stamps.set(size, stamp);
    return { key, rect, version: 0, paint: (canvas) => stamp.copy(picture, canvas, rect.x, rect.y) };
  }

  #paint(next: readonly Drawn[]): Canvas {
    const still = this.#last !== undefined && this.#stale(this.#last, next).length === 0;
    if (still && this.#last !== undefined) return this.#last;
    const canvas = this.#free();
    const dirty = this.#stale(canvas, next);
    if (canvas.drawn.length === 0 || dirty.length >= next.length)
      this.#backgroundStamp.copy(this.#background, canvas.picture, 0, 0);
    for (const one of dirty) one.paint(canvas.picture);
    canvas.drawn = next;
    canvas.backgroundVersion = this.#backgroundVersion;
    this.#last = canvas;
    return canvas;
  }

  /** What of `next` must be drawn on this canvas: all if the arrangement differs, else what changed and what lies on it. */
  #stale({ drawn, backgroundVersion }: Canvas, next: readonly Drawn[]): readonly Drawn[] {
    const moved = next.length !== drawn.length || next.some((one, index) => !samePlace(one, drawn[index]));
    if (moved || backgroundVersion !== this.#backgroundVersion)
      return next.length > 0 ? next : NOTHING_BUT_BACKGROUND;
    const dirty: Drawn[] = [];
    for (const [index, one] of next.entries()) {
      const changed = one.version !== drawn[index]?.version;
      if (changed || dirty.some((below) => overlaps(below.rect, one.rect))) dirty.push(one);
    }
    return dirty;
  }

  /** A canvas that no encoder holds; the one drawn longest ago, so that the last picture stays whole. */
  #free(): Canvas {
    const index = this.#canvases.findIndex((canvas) => canvas !== this.#last && canvas.picture.isWritable);
    const [found] = index < 0 ? [] : this.#canvases.splice(index, 1);
    const canvas = found ?? this.#newCanvas();
    this.#canvases.push(canvas);
    while (this.#canvases.length > MAX_CANVASES) this.#canvases.shift()?.picture[Symbol.dispose]();
    return canvas;
  }

  #newCanvas(): Canvas {
    const { widthPx, heightPx } = this.#background;
    return { picture: Picture.alloc(widthPx, heightPx), drawn: [], backgroundVersion: -1 };
  }
}

const NOTHING_BUT_BACKGROUND: readonly Drawn[] = [
  { key: "", rect: { x: 0, y: 0, width: 0, height: 0 }, version: 0, paint: () => {} },
];

/**
 * What can be scaled in the time of a trip to the pool, where it would wait behind decoders and encoders, is scaled
 * here; more than that would hold up the sound, and is worth several cores.
 */
function threadFor(layers: readonly Layer[]): ScaleThread {
  let pixels = 0;
  for (const layer of layers)
    if (layer.kind === "source") pixels += layer.queued.frame.widthPx * layer.queued.frame.heightPx;
  return pixels <= MAX_PIXELS_HERE ? "quick" : "pool";
}

const sizeOf = ({ widthPx, heightPx }: Picture): string => `${widthPx}x${heightPx}`;

function samePlace(a: Drawn, b: Drawn | undefined): boolean {
  return b !== undefined && a.key === b.key && a.rect.x === b.rect.x && a.rect.y === b.rect.y;
}

function overlaps(a: Rect, b: Rect): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}
