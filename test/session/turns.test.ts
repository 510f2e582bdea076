import { expect, test } from "vitest";
import { Turns } from "../../src/session/turns.ts";

/** Work whose ends the test sets, one after the other. */
class Desk {
  readonly turns = new Turns<number>();
  readonly begun: PromiseWithResolvers<number>[] = [];

  ask(key = "a"): Promise<number> {
    return this.turns.take(key, () => {
      const work = Promise.withResolvers<number>();
      this.begun.push(work);
      return work.promise;
    });
  }
}

test("who asks while one is in work shares the next, which begins when that one is done", async () => {
  const desk = new Desk();
  const asked = [desk.ask(), desk.ask(), desk.ask()];
  expect(desk.begun).toHaveLength(1);
  desk.begun[0]?.resolve(1);
  expect(await asked[0]).toBe(1);
  expect(desk.begun).toHaveLength(2);
  desk.begun[1]?.resolve(2);
  expect(await Promise.all(asked)).toEqual([1, 2, 2]);
});

test("keys do not wait for each other", () => {
  const desk = new Desk();
  void desk.ask("a");
  void desk.ask("b");
  expect(desk.begun).toHaveLength(2);
});

test("a failure is for those who shared it alone", async () => {
  const desk = new Desk();
  const [first, second] = [desk.ask(), desk.ask()];
  desk.begun[0]?.reject(new Error("no disk"));
  await expect(first).rejects.toThrow("no disk");
  desk.begun[1]?.resolve(2);
  expect(await second).toBe(2);
  const third = desk.ask();
  desk.begun[2]?.resolve(3);
  expect(await third).toBe(3);
});
