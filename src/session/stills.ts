import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ViewState } from "../contract/worker.ts";
import { ID_PATTERN } from "../core/id.ts";
import type { Placement } from "../layout/resolve.ts";
import type { Layer } from "../mixer/video/compositor.ts";
import type { Rect } from "../mixer/video/fit.ts";
import { renderImage } from "../native/image.ts";
import { Picture, type Yuv } from "../native/picture.ts";
import type { Source } from "./source.ts";

/** Behind cards and avatars. */
const CARD_COLOR = "#1f2937";
const MAX_READY = 256;
/** What could not be drawn is tried again after so long. */
const TRY_AGAIN_MS = 1000;

/** A picture that does not move: a card, an avatar, a slate, a background. */
export interface Still {
  /** Equal keys are equal pictures, as long as no asset changes. */
  readonly key: string;
  readonly rect: Rect;
  /** Shown behind it, and in its place until it is rendered or if it cannot be. */
  readonly color: string;
  /** An asset's name, or SVG text, or neither for the plain colour. */
  readonly asset?: string;
  readonly svg?: string;
}

/** What stands in for a source without a picture: its avatar, a card with its name, or a colour. */
export function sourceStill({ spec }: Source, placement: Placement): Still {
  const { x, y, width, height, fallback } = placement;
  const rect = { x, y, width, height };
  if (typeof fallback === "object")
    return { key: `${fallback.color}|${width}x${height}`, rect, color: fallback.color };
  const base = { rect, color: CARD_COLOR };
  if (fallback === "avatar" && spec.avatar !== undefined) {
    return { ...base, key: `asset ${spec.avatar}|${width}x${height}`, asset: spec.avatar };
  }
  const name = spec.name ?? spec.id;
  return { ...base, key: `card ${name}|${width}x${height}`, svg: nameCard(width, height, name) };
}

/** A whole canvas of one asset. */
export function canvasStill({ width, height }: ViewState, asset: string, color: string): Still {
  return { key: `canvas ${asset}|${width}x${height}`, rect: { x: 0, y: 0, width, height }, color, asset };
}

/**
 * Renders stills, once per picture and size. Under the live clock their colour stands in until they are ready; the
 * virtual clock waits for {@link prepare}.
 */
export class Stills implements Disposable {
  readonly #assetDir: string;
  readonly #ready = new Map<string, Ready>();
  readonly #making = new Map<string, Promise<void>>();
  #isClosed = false;
  readonly #failed = new Set<string>();
  #rendered = 0;

  /** @param assetDir holds a file, or a link to one, for each asset's name. */
  constructor(assetDir: string) {
    this.#assetDir = assetDir;
  }

  /** Renders a still, unless that is done. Never rejects: what cannot be drawn is its colour. */
  async prepare(still: Still): Promise<void> {
    if (this.#ready.has(still.key) || this.#failed.has(still.key)) return;
    const making = this.#making.get(still.key) ?? this.#make(still);
    this.#making.set(still.key, making);
    await making;
  }

  /** A layer with the still, or with its colour until it is rendered. */
  layer(still: Still): Layer {
    const { key, rect, color } = still;
    const ready = this.#use(key);
    if (ready !== undefined) return layerOf(ready, rect);
    if (still.asset !== undefined || still.svg !== undefined) void this.prepare(still);
    const plain: Still = { key: `${color}|${rect.width}x${rect.height}`, rect, color };
    return layerOf(this.#use(plain.key) ?? this.#keep(plain, solid(plain)), rect);
  }

  /** Renders anew what shows an asset; until that is done the old picture stays. Never rejects. */
  async refresh(asset: string): Promise<void> {
    await Promise.all(this.#making.values());
    this.#failed.clear();
    const shown = [...this.#ready.values()].filter(({ still }) => still.asset === asset);
    await Promise.all(shown.map(({ still }) => this.#make(still)));
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    for (const { picture } of this.#ready.values()) picture[Symbol.dispose]();
    this.#ready.clear();
  }

  async #make(still: Still): Promise<void> {
    const size = { widthPx: still.rect.width, heightPx: still.rect.height };
    try {
      const image = still.svg ?? (await this.#read(still.asset));
      this.#keep(still, await renderImage(image, size, { fit: "cover", background: still.color }));
    } catch {
      // An asset may be put after it was named: its colour stands in for it, and not for ever.
      this.#failed.add(still.key);
      setTimeout(() => this.#failed.delete(still.key), TRY_AGAIN_MS).unref();
    } finally {
      this.#making.delete(still.key);
    }
  }

  async #read(asset = ""): Promise<Uint8Array> {
    if (!ID_PATTERN.test(asset)) throw new TypeError("not an asset's name");
    return readFile(join(this.#assetDir, asset));
  }

  /** What is in use is the last to be forgotten. */
  #use(key: string): Ready | undefined {
    const ready = this.#ready.get(key);
    if (ready === undefined) return undefined;
    this.#ready.delete(key);
    this.#ready.set(key, ready);
    return ready;
  }

  #keep(still: Still, picture: Picture): Ready {
    const ready = { still, picture, serial: ++this.#rendered };
    if (this.#isClosed) return ready;
    // Not disposed: a compositor may be about to copy it; the collector frees it.
    const oldest = this.#ready.keys().next().value;
    if (this.#ready.size >= MAX_READY && oldest !== undefined) this.#ready.delete(oldest);
    this.#ready.set(still.key, ready);
    return ready;
  }
}

/** A rendered still. The serial tells it from what had its key before. */
interface Ready {
  readonly still: Still;
  readonly picture: Picture;
  readonly serial: number;
}

const layerOf = ({ still, picture, serial }: Ready, rect: Rect): Layer => ({
  kind: "card",
  key: `${still.key}#${serial}`,
  picture,
  rect,
});

const solid = ({ rect, color }: Still): Picture => Picture.solid(rect.width, rect.height, toYuv(color));

function nameCard(width: number, height: number, name: string): string {
  const size = Math.round(Math.min(height / 6, (width * 1.5) / Math.max(6, name.length)));
  const text = name.replace(/[<>&"']/g, (char) => `&#${char.charCodeAt(0)};`);
  const label = `<text x="50%" y="50%" dy="0.35em" text-anchor="middle" font-family="sans-serif" font-size="${size}" fill="#e5e7eb">${text}</text>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><rect width="100%" height="100%" fill="${CARD_COLOR}"/>${label}</svg>`;
}

/** `#rgb` or `#rrggbb` (alpha ignored) in BT.709 limited range (ITU-R BT.709-6 §3). */
export function toYuv(color: string): Yuv {
  const hex = color.replace("#", "");
  const wide = hex.length <= 4 ? [...hex].map((digit) => digit + digit).join("") : hex;
  const [r = 0, g = 0, b = 0] = [0, 2, 4].map((at) => Number.parseInt(wide.slice(at, at + 2), 16) / 255 || 0);
  const luma = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return {
    y: Math.round(16 + 219 * luma),
    u: Math.round(128 + (224 * (b - luma)) / 1.8556),
    v: Math.round(128 + (224 * (r - luma)) / 1.5748),
  };
}
