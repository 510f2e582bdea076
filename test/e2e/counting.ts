import type { Counted, Rect } from "../kit/counter.ts";
import { type DecodeOptions, readCounters } from "../kit/decode.ts";

/** Columns and rows of the grids that these tests judge, on a 16:9 canvas. */
const SHAPES: Readonly<Record<number, readonly [columns: number, rows: number]>> = {
  1: [1, 1],
  2: [2, 1],
  3: [2, 2],
  4: [2, 2],
  9: [3, 3],
};

/** A canvas of this shape, and how many share it. */
export interface Grid {
  readonly count: number;
  readonly width: number;
  readonly height: number;
}

/** Where layout `grid` puts each of `count` pictures on a 16:9 canvas: worked out here, not by the program. */
export function gridPlacements({ count, width, height }: Grid): Rect[] {
  const [columns, rows] = SHAPES[count] ?? [1, 1];
  const cellHeight = Math.min(height / rows, ((width / columns) * 9) / 16);
  const top = (height - rows * cellHeight) / 2;
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / columns);
    const inRow = Math.min(columns, count - row * columns);
    const left = (width - (inRow * width) / columns) / 2 + ((index % columns) * width) / columns;
    const [x, right] = [even(left), even(left + width / columns)];
    const [y, bottom] = [even(top + row * cellHeight), even(top + (row + 1) * cellHeight)];
    return { x, y, width: right - x, height: bottom - y };
  });
}

/** What each picture of a file shows of one counting source, wherever in these grids it is. */
export interface SourceReadings {
  readonly readings: readonly (Counted | null)[];
  readonly numbers: readonly number[];
  readonly ptsS: readonly number[];
}

/**
 * Reads the counters of sources 0 to `count - 1` in every picture.
 *
 * @param grids where they may be: a mix that sources leave is several grids one after the other.
 */
export async function readSources(
  file: string,
  grids: readonly Grid[],
  options?: DecodeOptions,
): Promise<SourceReadings[]> {
  const { readings, ptsS } = await readCounters(file, grids.flatMap(gridPlacements), options);
  const count = Math.max(...grids.map((grid) => grid.count));
  return Array.from({ length: count }, (_, source) => {
    const own = ptsS.map((_, n) => readings.map((list) => list[n]).find((one) => one?.source === source));
    const found = own.map((one) => one ?? null);
    return { readings: found, numbers: found.flatMap((one) => (one ? [one.number] : [])), ptsS };
  });
}

/** `0, 1, 2 ... count - 1`. */
export const upTo = (count: number, step = 1): number[] =>
  Array.from({ length: count }, (_, index) => index * step);

const even = (value: number): number => 2 * Math.round(value / 2);
