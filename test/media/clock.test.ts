import { getEventListeners } from "node:events";
import { describe, expect, test } from "vitest";
import { ms, us } from "../../src/core/time.ts";
import { LiveClock, sleep, VirtualClock } from "../../src/media/clock.ts";

describe("the live clock", () => {
  test("runs from its origin and never wakes anybody early", async () => {
    const clock = new LiveClock(ms(5000));
    expect(clock.now()).toBeGreaterThanOrEqual(5_000_000);
    for (const delay of [0.3, 1, 1.7, 5]) {
      const due = us(clock.now() + delay * 1000);
      await clock.sleepUntil(due);
      expect(clock.now()).toBeGreaterThanOrEqual(due);
    }
  });

  test("held, it stands until it is started, and so do those who sleep on it", async () => {
    const clock = new LiveClock(us(0), { held: true });
    let woke = false;
    const sleeping = clock.sleepUntil(ms(1)).then(() => {
      woke = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([clock.now(), woke]).toEqual([0, false]);
    clock.start();
    await sleeping;
    expect(clock.now()).toBeGreaterThanOrEqual(1000);
  });

  test("an abort ends a sleep with its reason, before and during", async () => {
    const clock = new LiveClock();
    const reason = new Error("enough");
    await expect(sleep(clock, ms(1000), AbortSignal.abort(reason))).rejects.toBe(reason);
    const stop = new AbortController();
    const sleeping = sleep(clock, ms(10_000), stop.signal);
    stop.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
  });

  test("an abort in the same turn as the sleep ends it at once", async () => {
    const stop = new AbortController();
    const sleeping = new LiveClock().sleepUntil(ms(10_000), stop.signal);
    stop.abort(new Error("no more"));
    await expect(sleeping).rejects.toThrow("no more");
  });
});

describe("the virtual clock", () => {
  test("moves only when told, and wakes sleepers in the order of their times", async () => {
    const clock = new VirtualClock();
    const order: number[] = [];
    const sleepers = [30, 10, 20].map((at) => clock.sleepUntil(us(at)).then(() => void order.push(at)));
    clock.advanceTo(us(9));
    await Promise.resolve();
    expect(order).toEqual([]);
    clock.advanceTo(us(25));
    await new Promise((resolve) => setImmediate(resolve));
    expect(order).toEqual([10, 20]);
    clock.advanceTo(us(5));
    expect(clock.now()).toBe(25);
    clock.advanceTo(us(30));
    await Promise.all(sleepers);
    expect(order).toEqual([10, 20, 30]);
  });

  test("leaves nothing behind on the signal of a sleeper that woke, nor of one that was aborted", async () => {
    const clock = new VirtualClock();
    const stop = new AbortController();
    for (let at = 1; at <= 3; at++) {
      const sleeping = clock.sleepUntil(us(at), stop.signal);
      expect(getEventListeners(stop.signal, "abort")).toHaveLength(1);
      clock.advanceTo(us(at));
      await sleeping;
    }
    expect(getEventListeners(stop.signal, "abort")).toEqual([]);
    const aborted = clock.sleepUntil(us(10), stop.signal);
    const other = clock.sleepUntil(us(11));
    stop.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    clock.advanceTo(us(11));
    await other;
  });
});
