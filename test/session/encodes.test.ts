import { describe, expect, test } from "vitest";
import { us } from "../../src/core/time.ts";
import { videoSettings } from "../../src/encode/video-settings.ts";
import { Picture } from "../../src/native/picture.ts";
import { VideoEncode } from "../../src/session/encodes.ts";
import type { PacketTaker } from "../../src/session/packet-takers.ts";
import { encodeContext, Listener, outputSpec } from "./stage.ts";

const PERIOD_US = 40_000;
const { video: wish } = outputSpec({ id: "o", kind: "file", path: "a.mp4", video: { preset: "ultrafast" } });
const open = (users: readonly PacketTaker[]): VideoEncode => {
  const shape = { widthPx: 160, heightPx: 96, rate: { num: 25, den: 1 } };
  const encode = new VideoEncode("v", videoSettings(wish, shape), {
    ...encodeContext(),
    sync: false,
  });
  for (const user of users) encode.add(user);
  return encode;
};
const offer = (encode: VideoEncode, index: number): Promise<void> =>
  encode.offer(Picture.solid(160, 96, { y: 40 + (index % 150), u: 128, v: 128 }), us(index * PERIOD_US));
const offerAll = (encode: VideoEncode, count: number): void => {
  for (let i = 0; i < count; i++) void offer(encode, i);
};

class Recorder extends Listener {
  readonly keepsAll = true;
}

describe("an encoder that falls behind", () => {
  test("leaves pictures out for live sinks, counts them, and goes on under the right numbers", async () => {
    const live = new Listener();
    const encode = open([live]);
    offerAll(encode, 100);
    expect(encode.isSlow).toBe(false);
    await encode.idle();
    await offer(encode, 100);
    expect(live.packets.length).toBeLessThan(20);
    expect(live.stampsUs.at(-1)).toBe(100 * PERIOD_US);
    expect(live.packets.length + encode.skipped).toBe(101);
    await encode.close();
  });

  test("leaves nothing out for a file, and asks its view for easier pictures", async () => {
    const [file, live] = [new Recorder(), new Listener()];
    const encode = open([file, live]);
    offerAll(encode, 100);
    expect(encode.isSlow).toBe(true);
    await encode.idle();
    expect(encode.isSlow).toBe(false);
    expect([file.packets.length, live.packets.length, encode.skipped]).toEqual([100, 100, 0]);
    await encode.close();
  });

  test("holds ten seconds of pictures for a file; beyond that pictures give way to later ones, numbers do not", async () => {
    const file = new Recorder();
    const encode = open([file]);
    offerAll(encode, 400);
    expect(encode.behind).toBeLessThan(255);
    await encode.idle();
    await offer(encode, 400);
    await encode.close();
    expect(file.stampsUs).toEqual(Array.from({ length: 401 }, (_, index) => index * PERIOD_US));
    expect(encode.skipped).toBe(0);
    expect(encode.replaced).toBeGreaterThan(140);
  });

  test("does not make up numbers that passed while the machine stood still, but for a file", async () => {
    const [file, live] = [new Recorder(), new Listener()];
    const [exact, lossy] = [open([file]), open([live])];
    for (const encode of [exact, lossy]) {
      await offer(encode, 0);
      await offer(encode, 50);
      await encode.close();
    }
    expect([file.packets.length, live.packets.length, lossy.skipped]).toEqual([51, 2, 49]);
  });
});

test("an encoder that is closed takes no more pictures and keeps none", async () => {
  const user = new Listener();
  const encode = open([user]);
  await offer(encode, 0);
  const closed = encode.close();
  await offer(encode, 1);
  await Promise.all([closed, encode.close()]);
  expect([user.stampsUs, user.losses]).toEqual([[0], []]);
});
