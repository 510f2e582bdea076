import { afterEach, beforeEach, describe, expect, test } from "vitest";
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

let before = 0;
beforeEach(() => {
  before = NativeFrame.live;
});
afterEach(() => {
  expect(NativeFrame.live).toBe(before);
});

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
    const endUs = await picture.flush();
    await shown;
    expect([picture.decoded, endUs]).toEqual([60, 2_400_000]);
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
});
