import { expect, test } from "vitest";
import { OverloadWatch } from "../../src/session/overload.ts";

const SECOND_US = 1_000_000;

/** Looks once a second at a view of 30 pictures a second; `repeated` of them, second by second, are shown again. */
function watch(repeated: readonly number[], over = new OverloadWatch()): string[] {
  let total = 0;
  return repeated.flatMap((again, second) => {
    total += again;
    const view = { id: "main", ticks: (second + 1) * 30, repeated: total };
    return over.look([view], second * SECOND_US).map((event) => JSON.stringify(event));
  });
}

const told = (what: string): string => JSON.stringify({ type: "overload", what });

test("a machine that keeps up is not overloaded, nor is one that stumbles", () => {
  expect(watch([0, 0, 0, 0, 0, 0, 0])).toEqual([]);
  expect(watch([0, 0, 15, 0, 0, 0, 0])).toEqual([]);
});

test("what happens before a mix has got going is not counted", () => {
  expect(watch([30, 0, 0, 0, 0, 0, 0])).toEqual([]);
});

test("over a tenth is told, and told again every five seconds while it lasts", () => {
  const once = told("view main: 20 of 150 pictures shown again");
  expect(watch([0, 4, 4, 4, 4, 4, 0, 0, 0, 0, 0])).toEqual([once]);
  expect(watch([0, ...new Array<number>(10).fill(4)])).toEqual([once, once]);
});

test("a view that comes again under the same name starts anew", () => {
  const over = new OverloadWatch();
  over.look([{ id: "main", ticks: 900, repeated: 0 }], 0);
  expect(over.look([{ id: "main", ticks: 100, repeated: 90 }], 6 * SECOND_US)).toEqual([]);
  over.look([], 7 * SECOND_US);
  expect(over.look([{ id: "main", ticks: 5000, repeated: 4000 }], 13 * SECOND_US)).toEqual([]);
});
