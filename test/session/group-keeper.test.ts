import { describe, expect, test } from "vitest";
import { GroupKeeper } from "../../src/session/group-keeper.ts";
import { bare } from "./packets.ts";

const stampsMs = (keeper: GroupKeeper): number[] => keeper.take().map(({ dtsUs }) => dtsUs / 1000);

describe("the packets kept of a source that nobody shows", () => {
  test("begin with the last key frame", () => {
    const keeper = new GroupKeeper();
    for (const packet of [bare(0), bare(40, { key: true }), bare(80), bare(120, { key: true }), bare(160)])
      keeper.keep(packet);
    expect(stampsMs(keeper)).toEqual([120, 160]);
  });

  test("are handed over once; what follows without its key frame is no use", () => {
    const keeper = new GroupKeeper();
    for (const packet of [bare(0, { key: true }), bare(40)]) keeper.keep(packet);
    expect(stampsMs(keeper)).toEqual([0, 40]);
    keeper.keep(bare(80));
    expect(stampsMs(keeper)).toEqual([]);
  });

  const bounds = [
    { name: "10 s", stepMs: 1000, bytes: 10, kept: 11 },
    { name: "8 MB", stepMs: 40, bytes: 1_000_000, kept: 8 },
  ];
  for (const { name, stepMs, bytes, kept } of bounds) {
    test(`are forgotten beyond ${name}, until the next key frame`, () => {
      const keeper = new GroupKeeper();
      const keep = (count: number): void => {
        keeper.clear();
        for (let i = 0; i < count; i++) keeper.keep(bare(i * stepMs, { key: i === 0, bytes }));
      };
      keep(kept);
      expect(stampsMs(keeper)).toHaveLength(kept);
      keep(kept + 1);
      keeper.keep(bare((kept + 1) * stepMs, { bytes }));
      expect(stampsMs(keeper)).toEqual([]);
      keeper.keep(bare(0, { key: true }));
      expect(stampsMs(keeper)).toEqual([0]);
    });
  }
});
