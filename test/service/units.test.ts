import { describe, expect, test } from "vitest";
import { MixSpec } from "../../src/contract/mix-spec.ts";
import type { MixState } from "../../src/contract/worker.ts";
import { blame } from "../../src/service/blame.ts";
import { Layouts } from "../../src/service/layouts.ts";
import { MixClock } from "../../src/service/mix-clock.ts";
import { Numbering } from "../../src/service/numbering.ts";
import { RestartBudget } from "../../src/service/restart-budget.ts";
import { Serial } from "../../src/service/serial.ts";
import { stateOf } from "../../src/service/state.ts";

describe("restarts", () => {
  test("five in ten minutes, then none until the first is ten minutes old", () => {
    let now = 0;
    const budget = new RestartBudget(() => now);
    const taken = [0, 1, 2, 3, 4].map((minute) => {
      now = minute * 60_000;
      return budget.take();
    });
    expect(taken).toEqual([true, true, true, true, true]);
    now = 599_999;
    expect(budget.take()).toBe(false);
    now = 600_000;
    expect(budget.take()).toBe(true);
    expect(budget.take()).toBe(false);
  });
});

describe("blame", () => {
  const none = { crashes: {}, quarantined: [] };

  test("the first crash is noted, the second sends to quarantine", () => {
    const once = blame(none, ["a"]);
    expect(once).toEqual({ crashes: { a: 1 }, quarantined: [] });
    expect(blame(once, ["a"])).toEqual({ crashes: {}, quarantined: ["a"] });
  });

  test("of several, the one that came back last goes, and the others are cleared", () => {
    const once = blame(none, ["a", "b", "c"]);
    expect(blame(once, ["c", "a", "b"])).toEqual({ crashes: {}, quarantined: ["b"] });
  });

  test("two crashes on two sources are nobody's second", () => {
    expect(blame(blame(none, ["a"]), ["b"])).toEqual({ crashes: { a: 1, b: 1 }, quarantined: [] });
  });

  test("a crash outside of decoders is nobody's", () => {
    expect(blame(none, [])).toEqual(none);
  });
});

describe("the mix clock", () => {
  const stored = { wallMs: 1_000_000, ptsUs: 5_000_000 };

  test("goes on by the wall clock over a restart of the service", () => {
    expect(new MixClock(stored, 0, 1_060_000).restart(1_060_000).ptsUs).toBeGreaterThanOrEqual(65_000_000);
  });

  test("never goes back, however the wall clock was set meanwhile", () => {
    const floorUs = 90_000_000;
    const { ptsUs } = new MixClock(stored, floorUs, 500).restart(500);
    expect(ptsUs).toBeGreaterThanOrEqual(floorUs + 10_000_000);
  });

  test("a restart of the worker goes on where the last one was, whatever the wall clock says", () => {
    const clock = new MixClock(stored, 0, 1_060_000);
    const before = clock.nowUs();
    const { wallMs, ptsUs } = clock.restart(7);
    expect(wallMs).toBe(7);
    expect(ptsUs).toBeGreaterThanOrEqual(before);
    expect(ptsUs - before).toBeLessThan(1_000_000);
  });
});

test("event numbers go on above any that may have been used, also after a crash", () => {
  const first = new Numbering(1);
  const reserved = first.reserve();
  let last = 0;
  for (let n = 0; n < 100; n++) last = first.take();
  expect(last).toBe(100);
  expect(reserved).toBeGreaterThan(last);
  expect(new Numbering(reserved).take()).toBeGreaterThan(last);
  for (let n = 0; n < 1000; n++) first.take();
  expect(first.exhausted).toBe(true);
});

describe("serial", () => {
  test("keeps order per key, whatever fails, and keys do not wait for each other", async () => {
    const serial = new Serial();
    const log: string[] = [];
    const slow = Promise.withResolvers<void>();
    const first = serial.run("a", async () => {
      await slow.promise;
      log.push("a1");
      throw new Error("a1 fails");
    });
    const second = serial.run("a", async () => void log.push("a2"));
    await serial.run("b", async () => void log.push("b1"));
    slow.resolve();
    await expect(first).rejects.toThrow("a1 fails");
    await second;
    expect(log).toEqual(["b1", "a1", "a2"]);
  });

  test("a thousand waiting are enough", async () => {
    const serial = new Serial();
    const gate = Promise.withResolvers<void>();
    const all = Array.from({ length: 1000 }, () => serial.run("a", () => gate.promise));
    await expect(serial.run("a", () => gate.promise)).rejects.toMatchObject({ code: "ERR_BUSY" });
    gate.resolve();
    await Promise.all(all);
    await serial.run("a", async () => undefined);
  });
});

describe("codecs that an output's container does not carry", () => {
  const open = (output: object): MixState =>
    stateOf(MixSpec.parse({ outputs: [output] }), "m", 0, (name, at) => new Layouts().resolve(name, at));
  const vp8 = { codec: "vp8" };
  test.each([
    { name: "VP8 in MP4", output: { kind: "file", path: "A.MP4", video: vp8 } },
    { name: "VP8 over RTMP", output: { kind: "rtmp", url: "rtmp://h/l/k", video: vp8 } },
  ])("$name is refused at its place", ({ output }) => {
    const refusal = { code: "ERR_INVALID_ARGUMENT", pointer: "/outputs/0/video/codec" };
    expect(() => open(output)).toThrow(expect.objectContaining(refusal));
  });
  test.each([
    { name: "VP8 in Matroska", output: { kind: "file", path: "a.MKV", video: vp8 } },
    {
      name: "VP8 that no view is encoded to",
      output: { kind: "file", path: "a.mp4", view: null, video: vp8 },
    },
    { name: "no sound in MP4", output: { kind: "file", path: "a.mp4", audio: { codec: "none" } } },
    { name: "RTP that shows no picture", output: { kind: "rtp", host: "h", audioPort: 5004 } },
  ])("$name is none", ({ output }) => {
    expect(open(output).outputs).toHaveLength(1);
  });
});
