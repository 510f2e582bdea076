import { describe, expect, test } from "vitest";
import { StampUnwrapper } from "../../src/door/stamps.ts";

type Step = readonly [stream: "audio" | "video", rawMs: number, atMs: number, jumped?: true];

const cases: { name: string; steps: readonly Step[] }[] = [
  {
    name: "starts where the encoder starts",
    steps: [
      ["video", 5000, 5000],
      ["audio", 5010, 5010],
    ],
  },
  {
    name: "audio may come a little late",
    steps: [
      ["video", 100, 100],
      ["audio", 80, 80],
      ["video", 133, 133],
    ],
  },
  {
    name: "wraps at 32 bits without a jump",
    steps: [
      ["video", 0xfffffff0, 0xfffffff0],
      ["audio", 0xfffffff8, 0xfffffff8],
      ["video", 0x10, 0x100000010],
      ["audio", 0xfffffffe, 0xfffffffe],
      ["audio", 0x18, 0x100000018],
    ],
  },
  {
    name: "a restart marks each stream once",
    steps: [
      ["video", 60_000, 60_000],
      ["audio", 60_010, 60_010],
      ["video", 0, 0, true],
      ["audio", 10, 10, true],
      ["video", 33, 33],
      ["audio", 33, 33],
    ],
  },
  {
    name: "a jump ahead marks each stream once",
    steps: [
      ["video", 0, 0],
      ["audio", 10, 10],
      ["audio", 3_600_000, 3_600_000, true],
      ["video", 3_600_010, 3_600_010, true],
      ["video", 3_600_043, 3_600_043],
    ],
  },
  {
    name: "ten seconds are no jump, a little more is",
    steps: [
      ["video", 0, 0],
      ["video", 10_000, 10_000],
      ["video", 20_001, 20_001, true],
    ],
  },
  {
    name: "sound that was silent while the picture went on has not jumped",
    steps: [
      ["audio", 0, 0],
      ["video", 0, 0],
      ["video", 9000, 9000],
      ["video", 18_000, 18_000],
      ["audio", 18_000, 18_000],
    ],
  },
  {
    name: "a stream that begins late is no jump",
    steps: [
      ["video", 0, 0],
      ["video", 9000, 9000],
      ["video", 15_000, 15_000],
      ["audio", 15_000, 15_000],
    ],
  },
];

describe("StampUnwrapper", () => {
  for (const { name, steps } of cases)
    test(name, () => {
      const stamps = new StampUnwrapper();
      for (const [stream, rawMs, atMs, jumped = false] of steps)
        expect(stamps.place(stream, rawMs)).toEqual({ dtsUs: atMs * 1000, discontinuity: jumped });
    });
});
