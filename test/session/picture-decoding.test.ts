import { afterEach, describe, expect, test } from "vitest";
import type { Packet } from "../../src/media/packet.ts";
import { NativeFrame } from "../../src/native/frame.ts";
import type { DecodingSlot } from "../../src/session/decoding-slot.ts";
import { PictureDecoding } from "../../src/session/picture-decoding.ts";
import { codedPictures } from "./packets.ts";

/** A slot that knows whether its source is inside a decoder. */
class Slot implements DecodingSlot {
  depth = 0;
  enter(): void {
    this.depth += 1;
  }
  leave(): void {
    this.depth -= 1;
  }
  free(): void {}
}

afterEach(() => expect(NativeFrame.live).toBe(0));

const undecodable = (packet: Packet): Packet => ({ ...packet, info: { kind: "video", codec: "nosuch" } });

describe("the picture of a source", () => {
  test("nobody shows it: nothing is decoded; on show it is decoded up to now", async () => {
    const picture = new PictureDecoding(new Slot());
    for (const packet of await codedPictures(10)) await picture.take(packet);
    expect(picture.decoded).toBe(0);
    await picture.show(true);
    expect([picture.decoded, picture.queue.newest?.sourceUs]).toEqual([10, 360_000]);
    await picture.close();
  });

  test("it may be closed in the middle of being shown: nothing is decoded any more and nothing kept", async () => {
    const slot = new Slot();
    const picture = new PictureDecoding(slot);
    for (const packet of await codedPictures(60)) await picture.take(packet);
    const shown = picture.show(true);
    await new Promise((resolve) => setImmediate(resolve));
    await picture.close();
    await shown;
    expect(picture.queue.length).toBe(0);
    expect(picture.decoded).toBeLessThan(60);
    expect(slot.depth).toBe(0);
  });

  test("its input may end in the middle of being shown: every picture comes, in order", async () => {
    const picture = new PictureDecoding(new Slot());
    for (const packet of await codedPictures(60)) await picture.take(packet);
    const shown = picture.show(true);
    await new Promise((resolve) => setImmediate(resolve));
    await picture.flush();
    await shown;
    expect([picture.decoded, picture.endUs]).toEqual([60, 2_400_000]);
    expect(picture.queue.newest?.sourceUs).toBe(59 * 40_000);
    await picture.close();
  });

  test("it may start anew in the middle of being shown: the old pictures are gone", async () => {
    const picture = new PictureDecoding(new Slot());
    const packets = await codedPictures(60);
    for (const packet of packets) await picture.take(packet);
    const shown = picture.show(true);
    await picture.restart();
    await shown;
    expect(picture.queue.length).toBe(0);
    for (const packet of packets.slice(0, 3)) await picture.take(packet);
    expect(picture.queue.newest?.sourceUs).toBe(80_000);
    await picture.close();
  });

  test("what nothing decodes is an error of its input, never of who shows it", async () => {
    const slot = new Slot();
    const picture = new PictureDecoding(slot);
    const [first, second] = await codedPictures(2);
    if (first === undefined || second === undefined) throw new Error("no packets");
    await picture.take(undecodable(first));
    await expect(picture.show(true)).resolves.toBeUndefined();
    await expect(picture.take(second)).rejects.toMatchObject({ code: "ERR_MEDIA_INVALID" });
    expect(picture.errors).toBeGreaterThan(0);
    expect(slot.depth).toBe(0);
    await picture.close();
  });

  test("packets that come to their turn too late are skipped as far as a newer key frame, and counted", async () => {
    const picture = new PictureDecoding(new Slot(), () => 1_000_000);
    await picture.show(true);
    await Promise.all((await codedPictures(40, 10)).map((packet) => picture.take(packet)));
    // Key frames stand at 0, 400, 800 and 1200 ms; what refers to pictures left out is left out too.
    expect([picture.skipped, picture.decoded]).toEqual([30, 10]);
    expect(picture.queue.newest?.sourceUs).toBe(39 * 40_000);
    await picture.close();
  });

  test("too late without a newer key frame, every packet is decoded all the same", async () => {
    const picture = new PictureDecoding(new Slot(), () => 1e9);
    await picture.show(true);
    await Promise.all((await codedPictures(40)).map((packet) => picture.take(packet)));
    expect([picture.skipped, picture.decoded]).toEqual([0, 40]);
    await picture.close();
  });
});

describe("what views show of a source", () => {
  const PERIOD = 40_000;
  const showing = async (pictures: readonly Packet[]): Promise<PictureDecoding> => {
    const picture = new PictureDecoding(new Slot());
    await picture.show(true);
    for (const packet of pictures) await picture.take(packet);
    return picture;
  };
  const play = (picture: PictureDecoding, ticks: number, options: { isDue?: boolean; by?: number } = {}) => {
    const { isDue = true, by = PERIOD } = options;
    for (let i = 0; i < ticks; i++) {
      const beforeUs = i * by + by / 2;
      picture.select({ view: "main", atUs: i * by, beforeUs }, isDue);
    }
  };

  test("a picture to a tick: all are shown, and none too long", async () => {
    await using stack = new AsyncDisposableStack();
    const picture = stack.adopt(await showing(await codedPictures(20)), (one) => one.close());
    play(picture, 20);
    expect([picture.shown, picture.starved]).toEqual([20, 0]);
  });

  test("three that never came: the one before them is shown three ticks too long", async () => {
    await using stack = new AsyncDisposableStack();
    const pictures = await codedPictures(20, 1);
    const picture = stack.adopt(await showing(pictures.toSpliced(8, 3)), (one) => one.close());
    play(picture, 20);
    expect([picture.shown, picture.starved]).toEqual([17, 3]);
  });

  test("a view of a higher or lower rate: shown twice or passed over by right, and not too long", async () => {
    await using stack = new AsyncDisposableStack();
    const fast = stack.adopt(await showing(await codedPictures(20)), (one) => one.close());
    play(fast, 40, { by: PERIOD / 2 });
    expect([fast.shown, fast.starved]).toEqual([20, 0]);
    const slow = stack.adopt(await showing(await codedPictures(20)), (one) => one.close());
    play(slow, 10, { by: PERIOD * 2 });
    expect([slow.shown, slow.starved]).toEqual([10, 0]);
  });

  test("nothing counts while it is muted, nor after the end", async () => {
    await using stack = new AsyncDisposableStack();
    const picture = stack.adopt(await showing(await codedPictures(20)), (one) => one.close());
    play(picture, 30, { isDue: false });
    expect([picture.shown, picture.starved]).toEqual([0, 0]);
    await picture.flush();
    play(picture, 30);
    expect(picture.starved).toBe(0);
  });
});
