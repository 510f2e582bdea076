import { evenRound, type Ratio, type Span, toNumber } from "./edges.ts";

/** A size in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** A rectangle on the canvas in even pixels. */
export interface Rectangle extends Size {
  readonly x: number;
  readonly y: number;
}

/** How many rows and columns a grid has. */
export interface GridShape {
  readonly rows: number;
  readonly columns: number;
}

/** How a grid fills its area. */
export interface GridOptions {
  /** Width by height of a tile, exact. Tiles keep it, and the block of them is centred. */
  readonly aspect: Ratio;
  /** Tiles fill their cells instead; the aspect then only picks rows and columns. */
  readonly fill: boolean;
  /** Pixels between tiles, a multiple of 4. */
  readonly gap: number;
  /** Where the tiles of a last row lie that is not full. */
  readonly lastRow: "center" | "left" | "stretch";
}

/**
 * Tiles that differ by less than this share of their width count as equal, and bars thinner than this share of the
 * area are given to the tiles: on 848x480 or 1366x768 nobody wants two stacked tiles or a hairline at the border.
 */
const NEARLY = 0.02;

/**
 * The shape that shows `count` tiles of an aspect (width / height) largest; of equals the one with fewest rows.
 *
 * @param area the whole room for the tiles, in pixels.
 * @param gap pixels around each tile, half of them on each side.
 */
export function gridShape(count: number, area: Size, aspect: number, gap = 0): GridShape {
  let best: GridShape = { rows: 1, columns: Math.max(1, count) };
  let bestWidth = 0;
  for (let rows = 1; rows <= count; rows++) {
    const columns = Math.ceil(count / rows);
    if (Math.ceil(count / columns) !== rows) continue; // a whole row would be empty
    const width = Math.min(area.width / columns - gap, (area.height / rows - gap) * aspect);
    if (width > bestWidth * (1 + NEARLY)) [best, bestWidth] = [{ rows, columns }, width];
  }
  return best;
}

/**
 * The cells of `count` tiles in reading order, gaps not yet taken off: neighbours touch exactly.
 *
 * @param area in even pixels.
 */
export function gridCells(count: number, area: Rectangle, options: GridOptions): readonly Rectangle[] {
  const shape = gridShape(count, area, toNumber(options.aspect), options.gap);
  const across = track(area.width, shape.columns);
  const down = track(area.height, shape.rows);
  const { x, y } = options.fill ? { x: across, y: down } : keepAspect(across, down, options);
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / shape.columns);
    const inRow = Math.min(shape.columns, count - row * shape.columns);
    const horizontal = place(lastRowTrack(x, inRow, options.lastRow), index % shape.columns);
    const vertical = place(y, row);
    return {
      x: area.x + horizontal.start,
      y: area.y + vertical.start,
      width: horizontal.size,
      height: vertical.size,
    };
  });
}

/** Equal cells along one side, in exact pixels: `(start + index * pitch) / den`. */
interface Track {
  readonly length: number;
  readonly count: number;
  readonly start: number;
  readonly pitch: number;
  readonly den: number;
}

const track = (length: number, count: number): Track => ({
  length,
  count,
  start: 0,
  pitch: length,
  den: count,
});

/** Shortens the side on which tiles would be too long for their aspect, and centres it. */
function keepAspect(across: Track, down: Track, { aspect: { num, den }, gap }: GridOptions) {
  const height = pitchFor(across, { num: den, den: num }, gap);
  if (height.num * down.den <= down.pitch * height.den) return { x: across, y: centred(down, height) };
  return { x: centred(across, pitchFor(down, { num, den }, gap)), y: down };
}

/** The pitch of the other side: tile times `factor`, plus the gap. */
const pitchFor = (known: Track, factor: Ratio, gap: number): Ratio => ({
  num: (known.pitch - gap * known.den) * factor.num + gap * known.den * factor.den,
  den: known.den * factor.den,
});

function centred(along: Track, pitch: Ratio): Track {
  const left = along.length * pitch.den - along.count * pitch.num;
  if (left < along.length * pitch.den * NEARLY) return along;
  return { ...along, start: left, pitch: 2 * pitch.num, den: 2 * pitch.den };
}

function lastRowTrack(row: Track, inRow: number, lastRow: GridOptions["lastRow"]): Track {
  if (inRow === row.count || lastRow === "left") return row;
  if (lastRow === "stretch") {
    return { ...row, start: row.start * inRow, pitch: row.pitch * row.count, den: row.den * inRow };
  }
  return {
    ...row,
    start: 2 * row.start + (row.count - inRow) * row.pitch,
    pitch: 2 * row.pitch,
    den: 2 * row.den,
  };
}

function place(along: Track, index: number): Span {
  const from = evenRound(along.start + index * along.pitch, along.den);
  return { start: from, size: evenRound(along.start + (index + 1) * along.pitch, along.den) - from };
}
