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

  /** The card of `source` for this placement. */
  async card(source: Source, { x, y, width, height, fallback }: Placement, wait: boolean): Promise<Layer> {
    const { name, id, avatar } = source.spec;
    const wanted = typeof fallback === "string" ? fallback : JSON.stringify(fallback);
    const key = `${wanted}|${avatar ?? ""}|${name ?? id}|${width}x${height}`;
    const rect = { x, y, width, height };
    const ready = this.#ready.get(key);
    if (ready !== undefined) return { kind: "card", key, picture: ready, rect };
    const making =
      this.#making.get(key) ?? this.#make(key, { width, height, name: name ?? id, avatar, wanted });
    this.#making.set(key, making);
    if (wait) await making;
    const plain = `plain|${width}x${height}`;
    const picture =
      this.#ready.get(key) ??
      this.#ready.get(plain) ??
      this.#keep(plain, Picture.solid(width, height, toYuv(CARD_COLOR)));
    return { kind: "card", key: picture === this.#ready.get(key) ? key : plain, picture, rect };
  }

  [Symbol.dispose](): void {
    for (const picture of this.#ready.values()) picture[Symbol.dispose]();
    this.#ready.clear();
  }

  async #make(
    key: string,
    want: { width: number; height: number; name: string; avatar: string | undefined; wanted: string },
  ): Promise<void> {
    const { width, height } = want;
    const size = { widthPx: width, heightPx: height };
    try {
      const image = await this.#image(want);
      this.#keep(key, await renderImage(image, size, { fit: "cover", background: CARD_COLOR }));
    } catch {
      // A card that cannot be drawn is no reason to lose a picture: the plain colour stays.
      this.#keep(key, Picture.solid(width, height, toYuv(CARD_COLOR)));
    } finally {
      this.#making.delete(key);
    }
  }

  async #image(want: {
    width: number;
    height: number;
    name: string;
    avatar: string | undefined;
    wanted: string;
  }): Promise<Uint8Array | string> {
    if (want.wanted === "avatar" && want.avatar !== undefined)
      return readFile(join(this.#assetDir, want.avatar));
    return nameCard(want.width, want.height, want.wanted === "color" ? "" : want.name);
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
