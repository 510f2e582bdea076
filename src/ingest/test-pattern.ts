import { frameTime, type Rational } from "../core/rational.ts";
import type { PaintedPicture, Yuv } from "../native/picture-pool.ts";

/** The patterns of a source of kind `test`. */
export type TestPattern = "bars" | "counter" | "flashbeep" | "moving";

/** What a picture shows, reduced to what makes it differ from the next. */
export type Shown = string;

/** Draws one picture of a pattern, or the difference to what the picture already shows. */
export type Painter = (picture: PaintedPicture<Shown>, index: number) => void;

/** Size and rate of the pictures. */
export interface PatternFormat {
  readonly widthPx: number;
  readonly heightPx: number;
  readonly frameRate: Rational;
  /** 0 to 63: the number in a counter's pictures, the colour of a moving scene. */
  readonly source: number;
}

const BLACK: Yuv = [16, 128, 128];
const WHITE: Yuv = [235, 128, 128];
const GREY: Yuv = [110, 128, 128];
/** 75 % bars in BT.709: grey, yellow, cyan, green, magenta, red, blue. */
const BARS: readonly Yuv[] = [
  [180, 128, 128],
  [168, 44, 136],
  [145, 147, 44],
  [133, 63, 52],
  [63, 193, 204],
  [51, 109, 212],
  [28, 212, 120],
];

/** The painter of `pattern`. */
export function painterOf(pattern: TestPattern, format: PatternFormat): Painter {
  if (pattern === "bars") return paintBars(format);
  if (pattern === "counter") return paintCounter(format);
  if (pattern === "flashbeep") return paintFlash(format);
  return paintMoving(format);
}

function paintBars({ widthPx, heightPx }: PatternFormat): Painter {
  return (picture) => {
    if (picture.shows !== undefined) return;
    for (const [index, colour] of BARS.entries()) {
      const [left, right] = [(index * widthPx) / BARS.length, ((index + 1) * widthPx) / BARS.length];
      picture.fill(left, 0, right - left, heightPx, colour);
    }
    picture.shows = "bars";
  };
}

/** Cells of a counter's picture; see {@link counterBits}. */
export const COUNTER_COLUMNS = 11;
/** Cells of a counter's picture from top to bottom. */
export const COUNTER_ROWS = 6;
const INNER_COLUMNS = 9;

/**
 * What a counter's picture says, as 36 bits: one white and one black cell as reference, 6 bits source, 20 bits frame
 * number, 8 bits CRC-8 (x^8 + x^2 + x + 1, initially 0xff) over both, most significant bit first; white is 1.
 *
 * They fill 9 x 4 cells in reading order, inside a grey margin one cell wide: the picture is 11 x 6 cells.
 */
export function counterBits(source: number, number: number): readonly number[] {
  const payload = (source % 64) * 2 ** 20 + (number % 2 ** 20);
  const bits = bitsOf(payload, 26);
  let crc = 0xff;
  for (const bit of bits) crc = ((crc << 1) & 0xff) ^ ((crc >> 7) ^ bit ? 0x07 : 0);
  return [1, 0, ...bits, ...bitsOf(crc, 8)];
}

const bitsOf = (value: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => Math.floor(value / 2 ** (count - 1 - index)) % 2);

function paintCounter({ widthPx, heightPx, source }: PatternFormat): Painter {
  return (picture, index) => {
    const bits = counterBits(source, index).join("");
    const before = picture.shows;
    if (before === undefined) picture.fill(0, 0, widthPx, heightPx, GREY);
    for (let cell = 0; cell < bits.length; cell++) {
      if (before?.[cell] === bits[cell]) continue;
      const column = 1 + (cell % INNER_COLUMNS);
      const row = 1 + Math.floor(cell / INNER_COLUMNS);
      const [left, right] = [column, column + 1].map((edge) => (edge * widthPx) / COUNTER_COLUMNS);
      const [top, bottom] = [row, row + 1].map((edge) => (edge * heightPx) / COUNTER_ROWS);
      fillEdges(picture, [left, top, right, bottom], bits[cell] === "1" ? WHITE : BLACK);
    }
    picture.shows = bits;
  };
}

type Edges = readonly [
  left: number | undefined,
  top: number | undefined,
  right: number | undefined,
  bottom: number | undefined,
];

function fillEdges(picture: PaintedPicture<Shown>, edges: Edges, colour: Yuv): void {
  const [left = 0, top = 0, right = 0, bottom = 0] = edges;
  picture.fill(left, top, right - left, bottom - top, colour);
}

/** True for the one frame of each second that flashes: the first at or after the full second. */
export function isFlash(index: number, rate: Rational): boolean {
  const second = (at: number): number => Math.floor(frameTime(at, rate) / 1e6);
  return index === 0 || second(index) > second(index - 1);
}

function paintFlash({ widthPx, heightPx, frameRate }: PatternFormat): Painter {
  return (picture, index) => {
    const shows = isFlash(index, frameRate) ? "white" : "black";
    if (picture.shows === shows) return;
    picture.fill(0, 0, widthPx, heightPx, shows === "white" ? WHITE : BLACK);
    picture.shows = shows;
  };
}

/** A disc on a Lissajous path before a sky; it comes round every 8 s. */
function paintMoving(format: PatternFormat): Painter {
  const { widthPx, heightPx, frameRate, source } = format;
  const radius = 2 * Math.round(Math.min(widthPx, heightPx) / 18);
  const hue = (source * 2.399963) % (2 * Math.PI); // The golden angle keeps neighbours apart.
  const sky = (y: number): Yuv => [
    Math.round(60 + (70 * y) / heightPx),
    Math.round(128 + 34 * Math.cos(hue)),
    Math.round(128 + 34 * Math.sin(hue)),
  ];
  const disc: Yuv = [210, Math.round(128 - 40 * Math.cos(hue)), Math.round(128 - 40 * Math.sin(hue))];
  const paintSky = (
    picture: PaintedPicture<Shown>,
    left: number,
    top: number,
    width: number,
    rows: number,
  ): void => {
    for (let y = top; y < top + rows; y += 2) picture.fill(left, y, width, 2, sky(y));
  };
  return (picture, index) => {
    const turn = ((frameTime(index, frameRate) / 8e6) % 1) * 2 * Math.PI;
    const x = 2 * Math.round((widthPx / 2 + (widthPx / 2 - radius) * 0.9 * Math.sin(turn)) / 2);
    const y = 2 * Math.round((heightPx / 2 + (heightPx / 2 - radius) * 0.9 * Math.sin(2 * turn)) / 2);
    if (picture.shows === undefined) paintSky(picture, 0, 0, widthPx, heightPx);
    const [oldX = x, oldY = y] = (picture.shows ?? "").split(",").filter(Boolean).map(Number);
    paintSky(picture, oldX - radius, oldY - radius, 2 * radius, 2 * radius);
    for (let row = -radius; row < radius; row += 2) {
      const half = Math.sqrt(Math.max(0, radius ** 2 - (row + 1) ** 2));
      picture.fill(x - half, y + row, 2 * half, 2, disc);
    }
    picture.shows = `${x},${y}`;
  };
}
