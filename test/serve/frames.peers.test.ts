import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Rect } from "../kit/counter.ts";
import { probe } from "../kit/judge.ts";
import { requirePeer } from "../kit/peers.ts";
import { confessed, expectEveryPicture, framesOf } from "./frames.ts";
import { Served } from "./served.ts";

const VIEW = { width: 640, height: 360 };
const STRIP = {
  tessera: 1,
  name: "strip",
  arrangements: [
    {
      slots: [
        { id: "left", x: 0, y: 0, width: 0.5, height: 1, take: { source: "count" }, fit: "contain" },
        { id: "right", x: 0.5, y: 0, width: 0.5, height: 1 },
      ],
    },
  ],
};

/** Where `count` was placed over time, for {@link framesOf}. */
class Places {
  readonly rects: Rect[] = [];
  readonly #node: Served;

  constructor(node: Served) {
    this.#node = node;
  }

  async look(): Promise<void> {
    const { placements } = await this.#node.layout("m");
    const place = placements.find(({ source }) => source === "count");
    if (place === undefined) return;
    const { slot, ...rect } = place;
    // `contain` in a slot of half the width: the picture keeps its 16:9 in the middle of it.
    const height = slot === "left" ? (rect.width * 9) / 16 : rect.height;
    this.rects.push({ ...rect, height, y: rect.y + (rect.height - height) / 2 });
  }
}

/** Everything that may happen in a conference, half a second apart. */
async function commotion(node: Served, places: Places): Promise<void> {
  const mix = "m";
  const steps: (readonly [string, object])[] = [
    ["source.add", { mix, source: { kind: "test", id: "x", pattern: "moving", tone: 300 } }],
    ["layout.set", { mix, view: "main", layout: STRIP }],
    ["source.update", { mix, source: "x", video: { muted: true } }],
    ["source.add", { mix, source: { kind: "test", id: "y", pattern: "bars" } }],
    ["layout.set", { mix, view: "main", layout: "grid" }],
    ["source.update", { mix, source: "x", video: { muted: false }, audio: { muted: true } }],
    ["source.update", { mix, source: "x", audio: { muted: false, gain: 0.5 } }],
    ["view.add", { mix, view: { id: "side", width: 320, height: 180 } }],
    ["output.add", { mix, output: { kind: "file", id: "side", view: "side", path: "side.mkv" } }],
    ["source.remove", { mix, source: "y" }],
    ["layout.set", { mix, view: "main", assign: { main: null } }],
    ["output.remove", { mix, output: "side" }],
    ["view.remove", { mix, view: "side" }],
    ["source.remove", { mix, source: "x" }],
  ];
  for (const [method, params] of steps) {
    await node.call(method, params);
    await sleep(150);
    await places.look();
    await sleep(250);
  }
}

requirePeer("ffmpeg")("layouts, joins, leaves and mutes cost no picture", () => {
  test("of a source, on every output", async () => {
    await using node = await Served.start();
    await node.call("mix.create", {
      id: "m",
      views: [VIEW],
      sources: [{ kind: "test", id: "count", pattern: "counter" }],
    });
    await node.happened("m", "source.online", "count");
    await sleep(1000);
    const before = await node.stats("m");
    for (const path of ["a.mp4", "b.mkv"])
      await node.call("output.add", { mix: "m", output: { kind: "file", id: path[0], path } });
    await node.sent("m", "a", 15);
    const places = new Places(node);
    await places.look();
    await commotion(node, places);
    await sleep(300);
    for (const output of ["a", "b"]) await node.call("output.remove", { mix: "m", output });
    const after = await node.stats("m");
    for (const path of ["a.mp4", "b.mkv"]) {
      const frames = await framesOf(node.recording(path), places.rects, after);
      expect(frames.unreadable).toBe(0);
      expect(frames.pictures).toBeGreaterThan(150);
      expectEveryPicture(frames, confessed(before, after));
    }
    expect(after.views[0]?.revision).toBe(4);
    expect((await probe(node.recording("side.mkv"))).video).toMatchObject({ width: 320, height: 180 });
  }, 90_000);
});
