import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { counterVideo } from "../kit/media.ts";
import { requirePeer } from "../kit/peers.ts";
import { freeUdpPort, Program } from "../kit/process.ts";
import { LoopbackServer } from "./loopback.ts";
import { judgePackets, readAll, toneOf } from "./pulling.ts";
import { shiftFlv, wrapAfter } from "./wrapping.ts";

/** The stamps' turn is in the middle of it. */
const MEDIA = { seconds: 6, tone: 1000 } as const;
const ALL = { unreadable: 0, first: 0, last: 179, missed: [], repeated: [], backward: [] };

/** All packets of one line: nothing jumps, and the pictures' decode stamps rise by one frame each. */
function expectOneLine(packets: Awaited<ReturnType<typeof readAll>>): void {
  expect(packets.filter(({ discontinuity }) => discontinuity)).toEqual([]);
  const stamps = packets.filter(({ kind }) => kind === "video").map(({ dtsUs }) => dtsUs);
  for (const [n, dtsUs] of stamps.slice(1).entries()) {
    expect(Math.abs(dtsUs - (stamps[n] ?? 0) - 1e6 / 30)).toBeLessThan(1500);
  }
}

requirePeer("ffmpeg")("stamps that begin again at zero", () => {
  test("after 33 bits, in MPEG-TS over HTTP", async () => {
    const bytes = readFileSync(await counterVideo({ ...MEDIA, container: "ts", codec: wrapAfter(3) }));
    await using server = await LoopbackServer.http((_, response) => response.end(bytes));
    const packets = await readAll(`http://${server.address}/x.ts`);
    expectOneLine(packets);
    expect(judgePackets(packets)).toMatchObject(ALL);
    expect(toneOf(packets, 1000)).toBeGreaterThan(-20);
  });

  test("after 33 bits, in MPEG-TS over SRT with a passphrase", async () => {
    const file = await counterVideo(MEDIA);
    const url = `srt://127.0.0.1:${await freeUdpPort()}?passphrase=0123456789&pbkeylen=16`;
    const send = ["-v", "error", "-re", "-i", file, "-c", "copy", ...wrapAfter(3), "-f", "mpegts"];
    await using sender = await Program.start("ffmpeg", [...send, `${url}&mode=listener`]);
    await new Promise((resolve) => setTimeout(resolve, 700));
    const packets = await readAll(url, { count: 170 });
    expect(sender.stderr).toBe("");
    expectOneLine(packets);
    expect(judgePackets(packets)).toMatchObject({ ...ALL, last: expect.any(Number) });
    expect(toneOf(packets, 1000)).toBeGreaterThan(-20);
  });

  test("after 32 bits, in FLV over HTTP", async () => {
    const file = await counterVideo({ ...MEDIA, container: "flv" });
    const bytes = shiftFlv(readFileSync(file), 2 ** 32 - 3000);
    await using server = await LoopbackServer.http((_, response) => response.end(bytes));
    const packets = await readAll(`http://${server.address}/x.flv`);
    expectOneLine(packets);
    expect(judgePackets(packets)).toMatchObject(ALL);
    expect(toneOf(packets, 1000)).toBeGreaterThan(-20);
  });
});
