import type { Picture } from "../../native/picture.ts";
import { Stamp } from "../../native/picture.ts";
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

interface Drawn {
  readonly key: string;
  readonly rect: Rect;
  readonly version: number;
  readonly paint: (canvas: Picture) => void;
}

/**
 * Draws one view on the CPU. Holds a canvas that stays from tick to tick and redraws only where something changed:
 * a tile with a new picture and whatever lies above it, or everything when the arrangement changed.
 */
export class Compositor implements Disposable {
  readonly counts: CompositorCounts = { tilesDrawn: 0, tilesReused: 0, failed: 0 };
  readonly #canvas: Picture;
  readonly #background: Picture;
  readonly #backgroundStamp: Stamp;
  readonly #tiles: TileCache;
  readonly #sync: boolean;
  #held = new Map<string, Tile>();
  #stamps = new Map<string, Stamp>();
  #drawn: readonly Drawn[] = [];

  /** @param background the view's size; owned from here on. */
  constructor(background: Picture, tiles: TileCache, sync: boolean) {
    this.#background = background;
    this.#canvas = background.clone();
    this.#backgroundStamp = new Stamp(background.widthPx, background.heightPx);
    this.#tiles = tiles;
    this.#sync = sync;
  }

  /** Replaces the background from the next picture on; owned from here on. */
  setBackground(picture: Picture): void {
    this.#backgroundStamp.copy(picture, this.#writable(this.#background), 0, 0);
    picture[Symbol.dispose]();
    this.#drawn = [
      { key: "background", rect: { x: 0, y: 0, width: 0, height: 0 }, version: -1, paint: () => {} },
    ];
  }

  /** Draws `layers` from bottom to top. The result is the caller's: it does not change with later pictures. */
  async compose(layers: readonly Layer[]): Promise<Picture> {
    const held = new Map<string, Tile>();
    const jobs = layers.map((layer) =>
      layer.kind === "source" ? this.#update(layer, held) : this.#card(layer),
    );
    const drawn = await Promise.all(jobs);
    for (const key of this.#held.keys()) if (!held.has(key)) this.#tiles.release(key);
    this.#held = held;
    this.#paint(drawn);
    this.#drawn = drawn;
    return this.#canvas.clone();
  }

  [Symbol.dispose](): void {
    for (const key of this.#held.keys()) this.#tiles.release(key);
    this.#held.clear();
    for (const stamp of this.#stamps.values()) stamp[Symbol.dispose]();
    this.#backgroundStamp[Symbol.dispose]();
    this.#background[Symbol.dispose]();
    this.#canvas[Symbol.dispose]();
  }

  async #update(layer: Layer & { kind: "source" }, held: Map<string, Tile>): Promise<Drawn> {
    const { crop, orientation, rect } = layer.fitted;
    const key = `${layer.source}|${JSON.stringify(crop)}|${rect.width}x${rect.height}|${orientation.rotate}${orientation.mirror}`;
    const tile =
      this.#held.get(key) ??
      held.get(key) ??
      this.#tiles.hold(key, { crop, orientation, widthPx: rect.width, heightPx: rect.height });
    held.set(key, tile);
    try {
      const fresh = await tile.update(layer.queued, this.#sync);
      if (fresh) this.counts.tilesDrawn += 1;
      else this.counts.tilesReused += 1;
    } catch {
      this.counts.failed += 1;
    }
    return { key, rect, version: tile.serial, paint: (canvas) => tile.paint(canvas, rect.x, rect.y) };
  }

  #card({ key, picture, rect }: Layer & { kind: "card" }): Drawn {
    const size = `${picture.widthPx}x${picture.heightPx}`;
    const stamp = this.#stamps.get(size) ?? new Stamp(picture.widthPx, picture.heightPx);
    this.#stamps.set(size, stamp);
    return { key, rect, version: 0, paint: (canvas) => stamp.copy(picture, canvas, rect.x, rect.y) };
  }

  #paint(next: readonly Drawn[]): void {
    const before = this.#drawn;
    const moved = next.length !== before.length || next.some((one, index) => !samePlace(one, before[index]));
    const dirty: Drawn[] = [];
    for (const [index, one] of next.entries()) {
      const changed = moved || one.version !== before[index]?.version;
      if (changed || dirty.some((below) => overlaps(below.rect, one.rect))) dirty.push(one);
    }
    if (dirty.length === 0 && !moved) return;
    const canvas = this.#writable(this.#canvas);
    if (moved) this.#backgroundStamp.copy(this.#background, canvas, 0, 0);
    for (const one of dirty) one.paint(canvas);
  }

  #writable(picture: Picture): Picture {
    picture.makeWritable();
    return picture;
  }
}

function samePlace(a: Drawn, b: Drawn | undefined): boolean {
  return b !== undefined && a.key === b.key && a.rect.x === b.rect.x && a.rect.y === b.rect.y;
}

function overlaps(a: Rect, b: Rect): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}
