import { InvalidArgumentError } from "../core/error.ts";

/** What an image says of itself before anything is decoded. */
export interface ImageHeader {
  readonly type: "png" | "jpeg" | "svg";
  readonly width: number;
  readonly height: number;
}

/** An SVG says its size within its first tag; more is not searched. */
const SVG_HEAD_BYTES = 65_536;
/** Where an SVG states no size: RFC-less, but what browsers do (CSS 2.1 §10.3.2). */
const SVG_DEFAULT = { width: 300, height: 150 };

/**
 * Reads type and size of a PNG, JPEG or SVG from its first bytes. Bounded: a JPEG's markers are stepped over, never
 * searched; an SVG's head is cut.
 *
 * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if it is none of these, or its header is broken.
 */
export function imageHeader(bytes: Uint8Array): ImageHeader {
  const found = png(bytes) ?? jpeg(bytes) ?? svg(bytes);
  if (found === undefined) throw new InvalidArgumentError("data", "is neither PNG, JPEG nor SVG");
  if (!(found.width >= 1 && found.height >= 1)) throw new InvalidArgumentError("data", "has no size");
  return found;
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** PNG §5.2 signature, §11.2.2 IHDR. */
function png(bytes: Uint8Array): ImageHeader | undefined {
  const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
  if (bytes.length < 24 || signature.some((byte, index) => bytes[index] !== byte)) return undefined;
  const view = viewOf(bytes);
  if (view.getUint32(12) !== 0x49484452) return undefined;
  return { type: "png", width: view.getUint32(16), height: view.getUint32(20) };
}

/** ITU-T T.81 Annex B: markers with lengths until a start of frame. */
function jpeg(bytes: Uint8Array): ImageHeader | undefined {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return undefined;
  const view = viewOf(bytes);
  for (let at = 2; at + 9 <= bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1] ?? 0;
    if (marker === 0xff) {
      at += 1; // Fill byte, B.1.1.2.
      continue;
    }
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (isFrame) return { type: "jpeg", height: view.getUint16(at + 5), width: view.getUint16(at + 7) };
    const length = view.getUint16(at + 2);
    if (length < 2 || marker === 0xda) return undefined;
    at += 2 + length;
  }
  return undefined;
}

/** SVG 2 §8.2: width and height in user units or pixels, else the view box. */
function svg(bytes: Uint8Array): ImageHeader | undefined {
  const head = new TextDecoder().decode(bytes.subarray(0, SVG_HEAD_BYTES));
  const start = head.search(/<svg[\s>]/);
  if (start < 0 || !/^\uFEFF?\s*</.test(head)) return undefined;
  // A document type can define entities that expand without end; nobody needs it in a logo.
  if (/<!(DOCTYPE|ENTITY)/i.test(head)) throw new InvalidArgumentError("data", "SVG must not have a DOCTYPE");
  const end = head.indexOf(">", start);
  if (end < 0) return undefined;
  const tag = head.slice(start, end);
  const [, , , boxWidth, boxHeight] =
    /\sviewBox\s*=\s*["']\s*([-\d.]+)[\s,]+([-\d.]+)[\s,]+([\d.]+)[\s,]+([\d.]+)/.exec(tag) ?? [];
  const width = length(tag, "width") ?? number(boxWidth) ?? SVG_DEFAULT.width;
  const height = length(tag, "height") ?? number(boxHeight) ?? SVG_DEFAULT.height;
  return { type: "svg", width: Math.ceil(width), height: Math.ceil(height) };
}

const length = (tag: string, name: string): number | undefined =>
  number(new RegExp(`\\s${name}\\s*=\\s*["']\\s*([\\d.]{1,12})(?:px)?\\s*["']`).exec(tag)?.[1]);

function number(text: string | undefined): number | undefined {
  const value = Number(text);
  return text === undefined || !Number.isFinite(value) ? undefined : value;
}
