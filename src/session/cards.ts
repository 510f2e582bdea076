import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ViewState } from "../contract/worker.ts";
import type { Placement } from "../layout/resolve.ts";
import type { Layer } from "../mixer/video/compositor.ts";
import { renderImage } from "../native/image.ts";
import { Picture, type Yuv } from "../native/picture.ts";
import type { Source } from "./source.ts";

/** Behind cards. */
const CARD_COLOR = "#1f2937";
const MAX_CARDS = 256;

/**
 * What is shown where a source has no picture: its avatar, a card with its name, or a colour. Rendered once per look
 * and size; under the live clock a plain colour stands in until the card is ready.
 */
export class Cards implements Disposable {
  readonly #assetDir: string;
  readonly #ready = new Map<string, Picture>();
  readonly #making = new Map<string, Promise<void>>();

  constructor(assetDir: string) {
    this.#assetDir = assetDir;
  }

  /** A view's background in one colour; the caller's. */
  background({ width, height }: ViewState, color: string): Picture {
    return Picture.solid(width, height, toYuv(color));
  }

  /** Renders the card of `source` for this placement, unless that is done. Never rejects. */
  async prepare(source: Source, placement: Placement): Promise<void> {
    const want = wantOf(source, placement);
    if (this.#ready.has(want.key)) return;
    const making = this.#making.get(want.key) ?? this.#make(want);
    this.#making.set(want.key, making);
    await making;
  }

  /** The card of `source` for this placement; a plain colour until it is rendered. */
  card(source: Source, placement: Placement): Layer {
    const { x, y, width, height } = placement;
    const { key } = wantOf(source, placement);
    const rect = { x, y, width, height };
    const ready = this.#ready.get(key);
    if (ready !== undefined) return { kind: "card", key, picture: ready, rect };
    void this.prepare(source, placement);
    const plain = `plain|${width}x${height}`;
    const picture =
      this.#ready.get(plain) ?? this.#keep(plain, Picture.solid(width, height, toYuv(CARD_COLOR)));
    return { kind: "card", key: plain, picture, rect };
  }

  [Symbol.dispose](): void {
    for (const picture of this.#ready.values()) picture[Symbol.dispose]();
    this.#ready.clear();
  }

  async #make(want: Want): Promise<void> {
    const size = { widthPx: want.width, heightPx: want.height };
    try {
      const image = await this.#image(want);
      this.#keep(want.key, await renderImage(image, size, { fit: "cover", background: CARD_COLOR }));
    } catch {
      // A card that cannot be drawn is no reason to lose a picture: the plain colour stays.
      this.#keep(want.key, Picture.solid(want.width, want.height, toYuv(CARD_COLOR)));
    } finally {
      this.#making.delete(want.key);
    }
  }

  async #image({ fallback, avatar, name, width, height }: Want): Promise<Uint8Array | string> {
    if (fallback === "avatar" && avatar !== undefined) return readFile(join(this.#assetDir, avatar));
    return nameCard(width, height, fallback === "color" ? "" : name);
  }

  #keep(key: string, picture: Picture): Picture {
    const oldest = this.#ready.keys().next().value;
    if (this.#ready.size >= MAX_CARDS && oldest !== undefined) {
      // Not disposed: a compositor may be about to copy it; the collector frees it.
      this.#ready.delete(oldest);
    }
    this.#ready.set(key, picture);
    return picture;
  }
}

/** What a card shows, and the key that says so. */
interface Want {
  readonly key: string;
  readonly width: number;
  readonly height: number;
  readonly name: string;
  readonly avatar: string | undefined;
  readonly fallback: string;
}

function wantOf({ spec }: Source, { width, height, fallback }: Placement): Want {
  const name = spec.name ?? spec.id;
  const { avatar } = spec;
  const kind = typeof fallback === "string" ? fallback : JSON.stringify(fallback);
  return {
    key: `${kind}|${avatar ?? ""}|${name}|${width}x${height}`,
    width,
    height,
    name,
    avatar,
    fallback: kind,
  };
}

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
