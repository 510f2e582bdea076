/**
 * A frame counter that survives scaling and lossy coding: each picture carries its number and its source as a
 * grid of big cells, and whoever decodes the mix reads it back.
 *
 * The picture is 11 x 6 cells: a grey margin one cell wide, inside it 9 x 4 cells. In reading order: one white and
 * one black cell as reference, 6 bits source, 20 bits number, 8 bits CRC over both; most significant bit first,
 * white is 1. Read it from the whole placement of the picture; a picture that is cropped has a placement that
 * reaches beyond its tile.
 */
export const COUNTER_COLUMNS = 11;
export const COUNTER_ROWS = 6;

const INNER_COLUMNS = 9;
const REFERENCE_CELLS = 2;
const SOURCE_BITS = 6;
const NUMBER_BITS = 20;
const CRC_BITS = 8;

const WHITE = 235;
const BLACK = 16;
const MARGIN = 110;

/** What a picture says about itself. */
export interface Counted {
  /** 0 to 63: which of several counting sources. */
  readonly source: number;
  /** 0 to 1,048,575: the picture's index, from 0. */
  readonly number: number;
}

/** Where a picture was placed, in pixels of the decoded picture; parts may lie outside it. */
export interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** One plane of 8-bit luma. */
export interface Gray {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** Bytes from one row to the next, default `width`. */
  readonly stride?: number;
}

/** Draws the picture at one pixel a cell; scale it up without smoothing (`flags=neighbor`). */
export function drawCounter({ source, number }: Counted): Uint8Array {
  const picture = new Uint8Array(COUNTER_COLUMNS * COUNTER_ROWS).fill(MARGIN);
  const payload = source * 2 ** NUMBER_BITS + number;
  const bits = [1, 0, ...bitsOf(payload, SOURCE_BITS + NUMBER_BITS), ...bitsOf(crc8(payload), CRC_BITS)];
  for (const [index, bit] of bits.entries()) {
    const column = 1 + (index % INNER_COLUMNS);
    const row = 1 + Math.floor(index / INNER_COLUMNS);
    picture[row * COUNTER_COLUMNS + column] = bit ? WHITE : BLACK;
  }
  return picture;
}

/** Reads the counter placed at `at`. `null`: no counter, or one that cannot be trusted (blended, torn, covered). */
export function readCounter(picture: Gray, at: Rect): Counted | null {
  const cells = Array.from({ length: REFERENCE_CELLS + SOURCE_BITS + NUMBER_BITS + CRC_BITS }, (_, index) =>
    cellLuma(picture, at, 1 + (index % INNER_COLUMNS), 1 + Math.floor(index / INNER_COLUMNS)),
  );
  const [white = 0, black = 0, ...payload] = cells;
  // A blend of two pictures halves the contrast of the cells they differ in: those land near the middle.
  if (white - black < 60) return null;
  const levels = payload.map((luma) => (luma - black) / (white - black));
  if (levels.some((level) => level > 0.3 && level < 0.7)) return null;
  const bits = levels.map((level) => (level > 0.5 ? 1 : 0));
  const value = numberOf(bits.slice(0, SOURCE_BITS + NUMBER_BITS));
  if (numberOf(bits.slice(SOURCE_BITS + NUMBER_BITS)) !== crc8(value)) return null;
  return { source: Math.floor(value / 2 ** NUMBER_BITS), number: value % 2 ** NUMBER_BITS };
}

/** What the counters of an output say about it. */
export interface CountJudgement {
  /** Pictures looked at. */
  readonly pictures: number;
  /** Pictures whose counter could not be read. */
  readonly unreadable: number;
  readonly first: number | null;
  readonly last: number | null;
  /** Numbers between first and last that never came. */
  readonly missed: readonly number[];
  /** Numbers that came again. */
  readonly repeated: readonly number[];
  /** Numbers that came after a higher one. */
  readonly backward: readonly number[];
}

/** Checks that numbers rise by one. An input that loops counts from 0 again: judge each round apart. */
export function judgeCounters(readings: readonly (Counted | null)[]): CountJudgement {
  const numbers = readings.flatMap((reading) => (reading ? [reading.number] : []));
  const seen = new Set<number>();
  const repeated: number[] = [];
  const backward: number[] = [];
  let highest = -1;
  for (const number of numbers) {
    if (seen.has(number)) repeated.push(number);
    else if (number < highest) backward.push(number);
    seen.add(number);
    highest = Math.max(highest, number);
  }
  const first = numbers.reduce((least, number) => Math.min(least, number), Number.POSITIVE_INFINITY);
  const missed: number[] = [];
  for (let number = first; number <= highest; number++) if (!seen.has(number)) missed.push(number);
  return {
    pictures: readings.length,
    unreadable: readings.length - numbers.length,
    first: numbers.length > 0 ? first : null,
    last: numbers.length > 0 ? highest : null,
    missed,
    repeated,
    backward,
  };
}

/** The mean luma of a cell's middle, where scaling and the neighbour's ringing do not reach. */
function cellLuma(picture: Gray, at: Rect, column: number, row: number): number {
  const cellWidth = at.width / COUNTER_COLUMNS;
  const cellHeight = at.height / COUNTER_ROWS;
  const stride = picture.stride ?? picture.width;
  let sum = 0;
  const steps = [0.35, 0.45, 0.55, 0.65];
  for (const down of steps) {
    const y = clamp(Math.floor(at.y + (row + down) * cellHeight), picture.height);
    for (const across of steps) {
      const x = clamp(Math.floor(at.x + (column + across) * cellWidth), picture.width);
      sum += picture.data[y * stride + x] ?? 0;
    }
  }
  return sum / steps.length ** 2;
}

const clamp = (value: number, end: number): number => Math.min(Math.max(value, 0), end - 1);

const bitsOf = (value: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => Math.floor(value / 2 ** (count - 1 - index)) % 2);

const numberOf = (bits: readonly number[]): number => bits.reduce((value, bit) => value * 2 + bit, 0);

/** CRC-8 with the polynomial x^8 + x^2 + x + 1 over the 26 bits of source and number. */
function crc8(value: number): number {
  let crc = 0xff;
  for (const bit of bitsOf(value, SOURCE_BITS + NUMBER_BITS)) {
    const top = (crc >> 7) ^ bit;
    crc = ((crc << 1) & 0xff) ^ (top ? 0x07 : 0);
  }
  return crc;
}
