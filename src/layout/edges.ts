/** A fraction of the canvas as documents write it: `0.25`, `"0.25"` or `"1/4"`. */
export type Fraction = number | string;

/** An exact, non-negative ratio. Both are integers; after {@link ratio} `den` is at most 1e6. */
export interface Ratio {
  readonly num: number;
  readonly den: number;
}

/** Where something lies along one side of the canvas, in even pixels. */
export interface Span {
  readonly start: number;
  readonly size: number;
}

/** One side of the canvas, in even pixels; `gap` is a multiple of 4, so that half a gap is even too. */
export interface Axis {
  readonly length: number;
  readonly gap: number;
  readonly margin: number;
}

/**
 * Reads a fraction exactly: decimals to six places, rationals as they stand.
 *
 * Six places keep every product below 2^53: 1e6 * 1e6 * 8192 / 2 < 9.0e15.
 */
export function ratio(value: Fraction): Ratio {
  if (typeof value === "number") return { num: Math.round(value * 1e6), den: 1e6 };
  const [num, den] = value.split("/");
  return den === undefined ? ratio(Number(num)) : { num: Number(num), den: Number(den) };
}

/** The exact sum of two ratios, at most 1. */
export const sum = (a: Ratio, b: Ratio): Ratio => {
  const num = a.num * b.den + b.num * a.den;
  const den = a.den * b.den;
  return num > den ? ONE : { num, den };
};

/** The number nearest to a ratio; for comparisons that need not be exact. */
export const toNumber = (value: Ratio): number => value.num / value.den;

/** `2 * round(num / den / 2)`, halves up, exact for safe integers of any sign with `den > 0`. */
export function evenRound(num: number, den: number): number {
  const shifted = num + den;
  const rest = ((shifted % (2 * den)) + 2 * den) % (2 * den);
  return 2 * ((shifted - rest) / (2 * den));
}

/**
 * The pixel at which fraction `at` of a side lies: even, because chroma is subsampled.
 *
 * Edges are rounded, never sizes, so neighbours that share a fraction share a pixel.
 */
export const edge = (lengthPx: number, at: Ratio): number => evenRound(lengthPx * at.num, at.den);

/**
 * The cell from `start` to `start + size`, gap not yet taken off: neighbouring cells touch.
 *
 * Fractions are laid over a side that is longer by a gap and shorter by its margins, as CSS grids do. So slots of
 * equal fractions stay equal, and those at the border of the canvas lie on the margin.
 */
export function cell(axis: Axis, start: Ratio, size: Ratio): Span {
  const length = axis.length - 2 * axis.margin + axis.gap;
  const origin = axis.margin - axis.gap / 2;
  const from = edge(length, start);
  return { start: origin + from, size: edge(length, sum(start, size)) - from };
}

/** Takes half a gap off both ends of a cell; what is left is inside the canvas and at least 2 pixels. */
export function inset(axis: Axis, { start, size }: Span): Span {
  const from = Math.min(Math.max(0, start + axis.gap / 2), axis.length - 2);
  const to = Math.min(Math.max(from + 2, start + size - axis.gap / 2), axis.length);
  return { start: from, size: to - from };
}

const ONE: Ratio = { num: 1, den: 1 };
