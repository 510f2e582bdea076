import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { RtmpClient } from "../../src/egress/rtmp-client.ts";
import { parseRtmpUrl } from "../../src/egress/rtmp-url.ts";
import { LiveClock } from "../../src/media/clock.ts";
import { resolveHost } from "../../src/transport/resolve-host.ts";
import { counterVideo } from "../kit/media.ts";
import { Nginx } from "../kit/nginx.ts";
import { requirePeer } from "../kit/peers.ts";
import { freePort, freeUdpPort, Program, until } from "../kit/process.ts";
import { LoopbackServer } from "./loopback.ts";
import { judgePackets, readAll, toneOf } from "./pulling.ts";
import { flvTags, shiftFlv, wrapAfter } from "./wrapping.ts";

/** The stamps' turn is in the middle of it. */
const MEDIA = { seconds: 6, tone: 1000 } as const;
const ALL = { unreadable: 0, first: 0, last: 179, missed: [], repeated: [], backward: [] };

/** One line through the turn, which FFmpeg makes zero: nothing jumps, and decode stamps rise by one picture each. */
function expectOneLine(packets: Awaited<ReturnType<typeof readAll>>): void {
  expect(packets.filter(({ discontinuity }) => discontinuity)).toEqual([]);
  const stamps = packets.filter(({ kind }) => kind === "video").map(({ dtsUs }) => dtsUs);
  expect(stamps[0]).toBeLessThan(-1e6);
  expect(stamps.at(-1)).toBeGreaterThan(0.5e6);
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

/** Publishes an FLV file in real time, its stamps later by `byMs`, modulo 2^32: ffmpeg would clear the top bit. */
async function publish(url: string, file: Buffer, byMs: number, signal: AbortSignal): Promise<void> {
  const clock = new LiveClock();
  const target = parseRtmpUrl(url);
  const options = { target, clock, limits: {}, connectMs: 5000, resolve: resolveHost, tls: {}, fourccs: [] };
  await using client = await RtmpClient.open(options, signal);
  const beganMs = performance.now();
  for (const { type, stampMs, body } of flvTags(file)) {
    const kind = ({ 8: "audio", 9: "video", 18: "data" } as const)[type];
    const earlyMs = stampMs - (performance.now() - beganMs);
    if (earlyMs > 0) await sleep(earlyMs, undefined, { signal });
    if (kind !== undefined) await client.send(kind, (stampMs + byMs) % 2 ** 32, body);
  }
}

requirePeer("ffmpeg", "nginx-rtmp")("stamps of RTMP that begin again at zero", () => {
  test("after 32 bits, from nginx", async () => {
    const file = await counterVideo({ ...MEDIA, container: "flv", codec: ["-g", "15"] });
    await using nginx = await Nginx.open();
    const done = new AbortController();
    const byMs = 2 ** 32 - 3000;
    const publishing = publish(`${nginx.url}/key`, readFileSync(file), byMs, done.signal);
    await until("the stream is there", () => nginx.stream("key"));
    const packets = await readAll(`${nginx.url}/key`, { count: 120 });
    done.abort();
    await expect(publishing).rejects.toThrow(/abort/i);
    expectOneLine(packets);
    expect(judgePackets(packets)).toMatchObject({
      ...ALL,
      first: expect.any(Number),
      last: expect.any(Number),
    });
    expect(toneOf(packets, 1000)).toBeGreaterThan(-20);
  });
});

requirePeer("ffmpeg")("stamps of ffmpeg's RTMP, which has 31 bits of them", () => {
  test("are a jump that picture and sound make once each, and no picture is lost", async () => {
    const file = await counterVideo(MEDIA);
    const url = `rtmp://127.0.0.1:${await freePort()}/live/key`;
    const send = ["-v", "error", "-re", "-i", file, "-c", "copy"];
    const late = ["-output_ts_offset", `${2 ** 31 / 1000 - 3}`];
    await using _ = await Program.start("ffmpeg", [...send, ...late, "-f", "flv", "-listen", "1", url]);
    await sleep(700);
    const packets = await readAll(url, { count: 170 });
    const jumps = packets.filter(({ discontinuity }) => discontinuity).map(({ kind }) => kind);
    expect(jumps.toSorted()).toEqual(["audio", "video"]);
    expect(judgePackets(packets)).toMatchObject({ ...ALL, last: expect.any(Number) });
  });
});
