import { describe, expect, test } from "vitest";
import { Channel } from "../../src/core/channel.ts";

async function readAll<T extends NonNullable<unknown>>(channel: Channel<T>): Promise<T[]> {
  const got: T[] = [];
  for await (const item of channel) got.push(item);
  return got;
}

describe("a channel", () => {
  test("gives in order, waits when empty, ends after what it holds", async () => {
    const channel = new Channel<number>();
    const reader = readAll(channel);
    channel.push(1);
    await Promise.resolve();
    channel.push(2);
    channel.push(0);
    channel.close();
    expect(channel.push(4)).toBe(false);
    expect(await reader).toEqual([1, 2, 0]);
  });

  test("gives an item before the next one is written", async () => {
    const channel = new Channel<string>();
    const reader = channel[Symbol.asyncIterator]();
    const first = reader.next();
    channel.push("a");
    expect(await first).toEqual({ value: "a", done: false });
    const end = reader.next();
    channel.close();
    expect(await end).toEqual({ value: undefined, done: true });
  });

  test("refuses what is over its bound, up to the next read", async () => {
    const channel = new Channel<number>(2);
    expect([channel.push(1), channel.push(2), channel.push(3)]).toEqual([true, true, false]);
    const reader = channel[Symbol.asyncIterator]();
    await reader.next();
    expect([channel.length, channel.push(4), channel.push(5)]).toEqual([1, true, false]);
  });

  test("dropping ends the reader at once, also between two items", async () => {
    const channel = new Channel<number>();
    for (const item of [1, 2, 3]) channel.push(item);
    const got: number[] = [];
    for await (const item of channel) {
      got.push(item);
      channel.close({ drop: true });
    }
    expect(got).toEqual([1]);
  });

  test("whoever reads on after somebody stopped gets the rest", async () => {
    const channel = new Channel<number>();
    for (const item of [1, 2, 3]) channel.push(item);
    for await (const _ of channel) break;
    channel.close();
    expect(await readAll(channel)).toEqual([2, 3]);
  });
});
