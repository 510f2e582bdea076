import { AV_PIX_FMT_VAAPI } from "node-av";
import { afterEach, describe, expect, test } from "vitest";
import { us } from "../../../src/core/time.ts";
import { Compositor, type Layer } from "../../../src/mixer/video/compositor.ts";
import { fitInto, type Rect } from "../../../src/mixer/video/fit.ts";
import { type QueuedFrame, VideoQueue } from "../../../src/mixer/video/queue.ts";
import { TileCache } from "../../../src/mixer/video/tile.ts";
import { NativeFrame } from "../../../src/native/frame.ts";
import { BLACK, Picture } from "../../../src/native/picture.ts";
import { at, frameOf, luma } from "../../native/drawing.ts";

const look = { fit: "cover", rotate: 0, mirror: false } as const;
const gray = (value: number) => (_x: number, _y: number, plane: number) => (plane === 0 ? value : 128);

const layer = (source: string, queued: QueuedFrame, rect: Rect): Layer => ({
  kind: "source",
  source,
  queued,
  fitted: fitInto(rect, queued.frame, look),
});
const queuedOf = (frame: NativeFrame, serial: number): QueuedFrame => ({ frame, serial, sourceUs: us(0) });

/** Odd-looking widths: swscale overshoots where they are no multiple of 16. */
const LEFT = { x: 0, y: 0, width: 426, height: 240 };
const RIGHT = { x: 426, y: 0, width: 428, height: 240 };

afterEach(() => expect(NativeFrame.live).toBe(0));

const compositorOf = (tiles: TileCache, width = 1280, height = 720): Compositor =>
  new Compositor(Picture.solid(width, height, BLACK), tiles, false);

describe("the compositor", () => {
  test("fills each rectangle to its edges and not one pixel beyond", async () => {
    using tiles = new TileCache();
    using compositor = compositorOf(tiles);
    using left = frameOf(1280, 720, gray(200));
    using right = frameOf(1280, 720, gray(100));
    const layers = [layer("a", queuedOf(left, 0), LEFT), layer("b", queuedOf(right, 0), RIGHT)];
    using picture = await compositor.compose(layers);
    const row = luma(picture).subarray(100 * 1280, 101 * 1280);
    expect([...new Set(row.subarray(0, 426))]).toEqual([200]);
    expect([...new Set(row.subarray(426, 854))]).toEqual([100]);
    expect([...new Set(row.subarray(854))]).toEqual([16]);
    expect(at(picture, 0, 10, 239)).toBe(200);
    expect(at(picture, 0, 10, 240)).toBe(16);
  });

  test("redraws what is new and what lies on it, and nothing else", async () => {
    using tiles = new TileCache();
    using compositor = compositorOf(tiles);
    using big = frameOf(640, 360, gray(50));
    using next = frameOf(640, 360, gray(70));
    using small = frameOf(640, 360, gray(220));
    const whole = { x: 0, y: 0, width: 1280, height: 720 };
    const inset = { x: 800, y: 400, width: 320, height: 180 };
    using _first = await compositor.compose([
      layer("a", queuedOf(big, 0), whole),
      layer("b", queuedOf(small, 0), inset),
    ]);
    using second = await compositor.compose([
      layer("a", queuedOf(next, 1), whole),
      layer("b", queuedOf(small, 0), inset),
    ]);
    expect([at(second, 0, 10, 10), at(second, 0, 900, 500)]).toEqual([70, 220]);
    expect(compositor.counts).toMatchObject({ tilesDrawn: 3, tilesReused: 1 });
  });

  test("a picture it gave out does not change with later ones", async () => {
    using tiles = new TileCache();
    using compositor = compositorOf(tiles);
    const given: Picture[] = [];
    for (let i = 0; i < 12; i++) {
      using frame = frameOf(320, 180, gray(20 + i));
      given.push(
        await compositor.compose([layer("a", queuedOf(frame, i), { x: 0, y: 0, width: 1280, height: 720 })]),
      );
    }
    expect(given.map((picture) => at(picture, 0, 600, 300))).toEqual(given.map((_, i) => 20 + i));
    for (const picture of given) picture[Symbol.dispose]();
  });

  test("what leaves uncovers the background", async () => {
    using tiles = new TileCache();
    using compositor = compositorOf(tiles);
    using frame = frameOf(640, 360, gray(200));
    using _with = await compositor.compose([layer("a", queuedOf(frame, 0), LEFT)]);
    using without = await compositor.compose([]);
    expect([...new Set(luma(without))]).toEqual([16]);
    expect(tiles.size).toBe(0);
  });

  test("a source that takes another's id shows none of the other's pictures", async () => {
    using tiles = new TileCache();
    using compositor = compositorOf(tiles);
    using old = frameOf(640, 360, gray(200));
    using its = frameOf(640, 360, gray(60));
    using broken = frameOf(640, 360, gray(60));
    using _before = await compositor.compose([layer("a", queuedOf(old, 0), LEFT)]);
    tiles.forget("a");
    using after = await compositor.compose([layer("a", queuedOf(its, 0), LEFT)]); // The same number of its own.
    expect(at(after, 0, 10, 10)).toBe(60);
    tiles.forget("a");
    broken.raw.format = AV_PIX_FMT_VAAPI; // Nothing scales it, so nothing is drawn.
    using without = await compositor.compose([layer("a", queuedOf(broken, 0), LEFT)]);
    expect(at(without, 0, 10, 10)).toBe(16);
    expect(tiles.size).toBe(1);
  });

  test("what is wrong with a source's pictures is counted once a picture, in however many places it is", async () => {
    using tiles = new TileCache();
    using compositor = compositorOf(tiles);
    for (let serial = 0; serial < 3; serial++) {
      using good = frameOf(64, 64, gray(60));
      using plain = frameOf(64, 64, gray(60));
      using odd = plain.retimed({ ...plain, shortfalls: ["matrixUnknown"] });
      using broken = frameOf(64, 64, gray(60));
      broken.raw.format = AV_PIX_FMT_VAAPI;
      const layers = [
        layer("good", queuedOf(good, serial), RIGHT),
        layer("odd", queuedOf(odd, serial), LEFT),
        layer("odd", queuedOf(odd, serial), { ...LEFT, y: 300, height: 100 }),
        layer("broken", queuedOf(broken, serial), { ...RIGHT, y: 300 }),
      ];
      for (let tick = 0; tick < 2; tick++) {
        using _picture = await compositor.compose(layers);
      }
    }
    expect(tiles.origin("good").warnings).toEqual({});
    expect(tiles.origin("odd").warnings).toEqual({ matrixUnknown: 3 });
    expect(tiles.origin("broken").warnings).toEqual({ notDrawn: 3 });
    tiles.forget("odd");
    expect(tiles.origin("odd").warnings).toEqual({});
  });

  test("a view that nobody looks at keeps nothing, and goes on as it was", async () => {
    using tiles = new TileCache();
    using compositor = compositorOf(tiles);
    using card = Picture.solid(64, 32, { y: 120, u: 128, v: 128 });
    using frame = frameOf(640, 360, gray(200));
    const layers = [
      layer("a", queuedOf(frame, 0), LEFT),
      { kind: "card", key: "card", picture: card, rect: { x: 600, y: 0, width: 64, height: 32 } } as const,
    ];
    using _before = await compositor.compose(layers);
    compositor.rest();
    expect(tiles.size).toBe(0);
    for (const expected of [layers, [], layers]) {
      using picture = await compositor.compose(expected);
      const isDrawn = expected.length > 0;
      expect([at(picture, 0, 10, 10), at(picture, 0, 610, 10)]).toEqual(isDrawn ? [200, 120] : [16, 16]);
    }
  });

  test("two views that show a source at one size scale it once", async () => {
    using tiles = new TileCache();
    using one = compositorOf(tiles);
    using two = compositorOf(tiles, 854, 480);
    using frame = frameOf(1280, 720, gray(90));
    const layers = [layer("a", queuedOf(frame, 0), LEFT)];
    const [first, second] = await Promise.all([one.compose(layers), two.compose(layers)]);
    expect(tiles.size).toBe(1);
    expect([at(first, 0, 5, 5), at(second, 0, 5, 5)]).toEqual([90, 90]);
    first[Symbol.dispose]();
    second[Symbol.dispose]();
  });
});

describe("the queue of a source's pictures", () => {
  const push = (queue: VideoQueue, atMs: number): void =>
    queue.push(frameOf(16, 16, gray(1)), us(atMs * 1000));

  test("gives the newest before a time, and frees what no view needs any more", () => {
    using queue = new VideoQueue();
    for (const time of [0, 40, 80, 120]) push(queue, time);
    expect(queue.select("a", 90_000)?.serial).toBe(2);
    expect(queue.length).toBe(2);
    expect(queue.select("a", 90_000)?.serial).toBe(2);
    expect(queue.select("a", 1e9)?.serial).toBe(3);
  });

  test("keeps what a slower view still shows", () => {
    using queue = new VideoQueue();
    for (const time of [0, 40, 80]) push(queue, time);
    expect(queue.select("slow", 10_000)?.serial).toBe(0);
    expect(queue.select("fast", 90_000)?.serial).toBe(2);
    expect(queue.length).toBe(3);
    queue.forget("slow");
    expect(queue.select("fast", 90_000)?.serial).toBe(2);
    expect(queue.length).toBe(1);
  });

  test("nothing is due before the first", () => {
    using queue = new VideoQueue();
    push(queue, 100);
    expect(queue.select("a", 50_000)).toBeUndefined();
  });

  test("a stamp that goes back replaces what it goes back before, counted", () => {
    using queue = new VideoQueue();
    for (const time of [0, 40, 80]) push(queue, time);
    push(queue, 40);
    expect(queue.select("a", 1e9)?.serial).toBe(3);
    expect(queue.dropped).toBe(2);
  });

  test("a source that nobody reads holds a bounded number", () => {
    using queue = new VideoQueue();
    for (let i = 0; i < 400; i++) push(queue, i);
    expect(queue.length).toBeLessThanOrEqual(90);
    expect(queue.dropped).toBe(400 - queue.length);
  });
});
