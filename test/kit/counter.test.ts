import { describe, expect, test } from "vitest";
import { COUNTER_COLUMNS, COUNTER_ROWS, drawCounter, judgeCounters, readCounter } from "./counter.ts";

/** The picture at `cell` pixels a cell, as a scaler without smoothing makes it. */
function enlarge(cells: Uint8Array, cell: number): { data: Uint8Array; width: number; height: number } {
  const [width, height] = [COUNTER_COLUMNS * cell, COUNTER_ROWS * cell];
  const data = Uint8Array.from({ length: width * height }, (_, at) => {
    const row = Math.floor(Math.floor(at / width) / cell);
    return cells[row * COUNTER_COLUMNS + Math.floor((at % width) / cell)] ?? 0;
  });
  return { data, width, height };
}

const whole = ({ width, height }: { width: number; height: number }) => ({ x: 0, y: 0, width, height });

describe("a frame counter", () => {
  for (const [source, number] of [
    [0, 0],
    [1, 1],
    [5, 17_999],
    [42, 699_050],
    [63, 1_048_575],
  ] as const) {
    test(`reads source ${source}, number ${number} as it was drawn`, () => {
      const picture = enlarge(drawCounter({ source, number }), 5);
      expect(readCounter(picture, whole(picture))).toEqual({ source, number });
    });
  }

  test("refuses a blend of two neighbouring pictures", () => {
    const [one, two] = [127, 128].map((number) => drawCounter({ source: 3, number }));
    const blend = Uint8Array.from(one ?? [], (luma, at) => (luma + (two?.[at] ?? 0)) / 2);
    const picture = enlarge(blend, 5);
    expect(readCounter(picture, whole(picture))).toBeNull();
  });

  test("refuses a torn picture", () => {
    const [one, two] = [1000, 1023].map((number) => drawCounter({ source: 3, number }));
    const torn = Uint8Array.from(one ?? [], (luma, at) =>
      at < 4 * COUNTER_COLUMNS ? luma : (two?.[at] ?? 0),
    );
    const picture = enlarge(torn, 5);
    expect(readCounter(picture, whole(picture))).toBeNull();
  });

  test("refuses every single wrong cell", () => {
    const drawn = drawCounter({ source: 9, number: 12_345 });
    for (let at = 0; at < drawn.length; at++) {
      if (drawn[at] === 110) continue; // the margin carries nothing
      const wrong = drawn.with(at, drawn[at] === 235 ? 16 : 235);
      const picture = enlarge(wrong, 5);
      expect(readCounter(picture, whole(picture)), `cell ${at}`).toBeNull();
    }
  });

  test("finds nothing in a plain picture or in noise", () => {
    const size = { width: 110, height: 60 };
    const noise = Uint8Array.from({ length: 6600 }, (_, at) => (at * 7919) % 251);
    expect(readCounter({ ...size, data: new Uint8Array(6600).fill(128) }, whole(size))).toBeNull();
    expect(readCounter({ ...size, data: noise }, whole(size))).toBeNull();
  });
});

describe("the judge of counters", () => {
  const readings = (...numbers: (number | null)[]) =>
    numbers.map((number) => (number === null ? null : { source: 0, number }));

  test("has nothing to say about a flawless run", () => {
    const judged = judgeCounters(readings(5, 6, 7, 8));
    expect(judged).toEqual({
      pictures: 4,
      unreadable: 0,
      first: 5,
      last: 8,
      missed: [],
      repeated: [],
      backward: [],
    });
  });

  test("names what is missing, comes twice, comes late or cannot be read", () => {
    const judged = judgeCounters(readings(0, 1, 1, 4, 3, null, 6));
    expect(judged).toMatchObject({
      missed: [2, 5],
      repeated: [1],
      backward: [3],
      unreadable: 1,
      pictures: 7,
    });
  });

  test("of no pictures knows no first and no last", () => {
    expect(judgeCounters([])).toMatchObject({ pictures: 0, first: null, last: null, missed: [] });
  });
});
