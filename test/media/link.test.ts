import { describe, expect, test } from "vitest";
import { ms, us } from "../../src/core/time.ts";
import { Link, type LinkOptions } from "../../src/media/link.ts";
import type { Packet } from "../../src/media/packet.ts";

const video = (index: number, keyFrame = false, bytes = 100): Packet => ({
  kind: "video",
  data: new Uint8Array(bytes),
  ptsUs: ms(index * 40),
  dtsUs: ms(index * 40),
  durationUs: ms(40),
  keyFrame,
  arrivalUs: us(0),
});
const audio = (index: number): Packet => ({ ...video(index, true), kind: "audio" });

const stamps = (packets: readonly Packet[]): string[] =>
  packets.map((p) => `${p.kind[0]}${p.ptsUs / 40_000}`);

async function drain(link: Link): Promise<Packet[]> {
  link.end();
  const packets: Packet[] = [];
  for await (const packet of link) packets.push(packet);
  return packets;
}

const open = (options: Partial<LinkOptions>): Link =>
  new Link({ maxMs: 200, maxBytes: 1e6, overflow: "drop-to-key", ...options });

describe("a live link", () => {
  test("hands packets over in order", async () => {
    const link = open({});
    for (let i = 0; i < 4; i++) expect(link.push(video(i, i === 0))).toBe(true);
    expect(stamps(await drain(link))).toEqual(["v0", "v1", "v2", "v3"]);
    expect(link.dropped).toBe(0);
  });

  test("beyond its time it drops all it holds, and picture until the next key frame", async () => {
    const link = open({});
    for (let i = 0; i < 8; i++) link.push(video(i, i === 0));
    expect(link.push(video(8, true))).toBe(true);
    link.push(video(9));
    expect(stamps(await drain(link))).toEqual(["v8", "v9"]);
    expect(link.dropped).toBe(8);
  });

  test("beyond its bytes likewise, and the key frame that came too much stays", async () => {
    const link = open({ maxBytes: 250 });
    link.push(video(0, true));
    link.push(video(1));
    link.push(video(2, true));
    expect(stamps(await drain(link))).toEqual(["v2"]);
    expect(link.dropped).toBe(2);
  });

  test("sound of a link without picture goes on at once after a drop", async () => {
    const link = open({});
    for (let i = 0; i < 10; i++) link.push(audio(i));
    const kept = await drain(link);
    expect(kept.length).toBeGreaterThan(0);
    expect(kept.at(-1)?.ptsUs).toBe(ms(9 * 40));
    expect(kept.length + link.dropped).toBe(10);
  });

  test("counts what comes after its end", () => {
    const link = open({});
    link.end();
    expect(link.push(video(0, true))).toBe(false);
    expect(link.dropped).toBe(1);
  });
});

describe("a recording's link", () => {
  test("fails when it is full: what is queued is still read, then it ends", async () => {
    const link = open({ overflow: "fail" });
    let accepted = 0;
    for (let i = 0; i < 10; i++) if (link.push(video(i, i === 0))) accepted += 1;
    const read = await drain(link);
    expect(link.overflowed).toBe(true);
    expect(read.length).toBe(accepted);
    expect(stamps(read)).toEqual(["v0", "v1", "v2", "v3", "v4", "v5"]);
    expect(link.dropped).toBe(4);
  });
});

describe("a waiting link", () => {
  test("takes everything, and says when there is room", async () => {
    const link = open({ overflow: "wait" });
    for (let i = 0; i < 10; i++) expect(link.push(video(i, i === 0))).toBe(true);
    let hasRoom = false;
    void link.drained().then(() => {
      hasRoom = true;
    });
    const reader = link[Symbol.asyncIterator]();
    for (let i = 0; i < 3; i++) await reader.next();
    expect(hasRoom).toBe(false);
    for (let i = 0; i < 3; i++) await reader.next();
    expect(hasRoom).toBe(true);
    expect(link.dropped).toBe(0);
  });
});

test("abort ends the reader at once", async () => {
  const link = open({});
  link.push(video(0, true));
  link.abort();
  expect(await drain(link)).toEqual([]);
});
