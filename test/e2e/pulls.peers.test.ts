import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { LoopbackServer } from "../ingest/loopback.ts";
import { shiftFlv, wrapAfter } from "../ingest/wrapping.ts";
import { judgeCounters } from "../kit/counter.ts";
import { decodePcm } from "../kit/decode.ts";
import { Folder } from "../kit/folder.ts";
import { counterVideo } from "../kit/media.ts";
import { makeCertificate } from "../kit/nginx.ts";
import { requirePeer } from "../kit/peers.ts";
import { freeUdpPort, Program } from "../kit/process.ts";
import { RTSP_LOGIN, RtspServer } from "../kit/rtsp-server.ts";
import { toneLevelDb } from "../kit/spectrum.ts";
import { readSources } from "./counting.ts";
import { inputs, MixRun, mix, mixWell, outputs } from "./program.ts";

const SIZE = { width: 640, height: 360 };
const SMALL = ["--size", "640x360", "--preset", "ultrafast"];
const LIVE = { maxMs: 50_000 };

requirePeer("ffmpeg", "openssl")("pulls through the whole program", () => {
  test("stamps that begin again, by HTTPS after 33 bits and by HTTP after 32: the pictures go on", async () => {
    using folder = new Folder();
    const file = folder.file("a.mkv");
    const media = { seconds: 8, tone: 1000 };
    const [ts, flv] = [
      readFileSync(await counterVideo({ ...media, source: 0, container: "ts", codec: wrapAfter(4) })),
      readFileSync(await counterVideo({ ...media, source: 1, container: "flv" })),
    ];
    const { cert, key } = await makeCertificate(folder.path);
    const tls = { cert: readFileSync(cert), key: readFileSync(key) };
    await using one = await LoopbackServer.http((_, response) => response.end(ts), tls);
    await using two = await LoopbackServer.http((_, response) => response.end(shiftFlv(flv, 2 ** 32 - 4000)));
    const { summary, events } = await mixWell(
      [...inputs(`https://${one.address}/x.ts`, `http://${two.address}/x.flv`), ...SMALL, ...outputs(file)],
      { ...LIVE, env: { NODE_EXTRA_CA_CERTS: cert } },
    );
    expect(events.filter(({ type }) => type === "source.online")).toHaveLength(2);
    const sources = await readSources(file, [
      { ...SIZE, count: 2 },
      { ...SIZE, count: 1 },
    ]);
    for (const [n, { readings }] of sources.entries()) {
      const judged = judgeCounters(readings);
      const { frames = 0, shown = 0, starved = 0 } = summary.decoders[n] ?? {};
      const ticks = summary.late + summary.repeated;
      expect(frames).toBe(240);
      expect(judged.last).toBeGreaterThan(230);
      expect(judged.backward).toEqual([]);
      // However busy the machine: what is missing or there twice stands in the program's own account.
      expect(judged.missed.length).toBeLessThanOrEqual(frames - shown + ticks);
      expect(judged.repeated.length).toBeLessThanOrEqual(starved + ticks);
    }
    const { samples } = await decodePcm(file);
    for (const second of [2, 4, 6])
      expect(toneLevelDb(samples.subarray(second * 48_000, (second + 1) * 48_000), 1000)).toBeGreaterThan(
        -20,
      );
  });

  test("a certificate that is not trusted is said, and the mix goes on without", async () => {
    using folder = new Folder();
    const { cert, key } = await makeCertificate(folder.path);
    const tls = { cert: readFileSync(cert), key: readFileSync(key) };
    let asked = 0;
    await using server = await LoopbackServer.http(() => {
      asked += 1;
    }, tls);
    const url = `https://${server.address}/x.ts?key=secret`;
    const args = [...inputs(url, "test:counter"), ...SMALL, "--duration", "2"];
    const { code, events } = await mix([...args, ...outputs(folder.file("a.mkv"))], LIVE);
    expect(code).toBe(0);
    const failed = events.filter((event) => event.type === "source.offline" && event.source === "in1");
    expect(failed[0]).toMatchObject({ error: { code: "ERR_PEER_UNREACHABLE", fault: "peer" } });
    expect(JSON.stringify(failed)).toMatch(/self-signed certificate/);
    expect(JSON.stringify(events)).not.toContain("secret");
    expect(asked).toBe(0);
  });
});

/** A server on one port that plays a file from its beginning. */
interface Peer {
  readonly name: string;
  readonly url: (port: number) => string;
  readonly open: (file: string, port: number) => Promise<AsyncDisposable>;
}

const RTSP: Peer = {
  name: "RTSP",
  url: (port) => `rtsp://${RTSP_LOGIN.user}:${RTSP_LOGIN.password}@127.0.0.1:${port}/file`,
  open: (file, port) => RtspServer.open(file, port),
};
const SRT: Peer = {
  name: "SRT",
  url: (port) => `srt://127.0.0.1:${port}?passphrase=p4ssp4ssp4ss`,
  open: (file, port) => {
    const play = ["-v", "error", "-re", "-i", file, "-c", "copy", "-f", "mpegts"];
    return Program.start("ffmpeg", [...play, `${SRT.url(port)}&mode=listener`]);
  },
};

requirePeer(
  "ffmpeg",
  "gstreamer",
  "gst-rtsp-server",
)("a server that dies and comes back is pulled again", () => {
  test.each([RTSP, SRT])("$name", async ({ url, open }) => {
    using folder = new Folder();
    const file = folder.file("a.mkv");
    const port = await freeUdpPort();
    const before = await counterVideo({ seconds: 20, tone: 1000, codec: ["-g", "15"] });
    const after = await counterVideo({ seconds: 20, tone: 440, first: 5000, codec: ["-g", "15"] });
    await using first = await open(before, port);
    await sleep(500);
    const args = [...inputs(url(port)), ...SMALL, "--duration", "14", ...outputs(file)];
    await using run = await MixRun.start(args, LIVE);
    await run.waitFor("source.online");
    await sleep(3000);
    await first[Symbol.asyncDispose]();
    await run.waitFor("source.offline");
    await using _second = await open(after, port);
    const { code, events } = await run.finish();
    expect(code).toBe(0);
    const lost = events.findIndex(({ type }) => type === "source.offline");
    expect(events[lost]).toMatchObject({ error: { code: "ERR_PEER_LOST" } });
    const back = events.slice(lost).find(({ type }) => type === "source.online");
    expect(back).toBeDefined();
    expect(JSON.stringify(events)).not.toContain("p4ss");
    const [{ numbers } = { numbers: [] as readonly number[] }] = await readSources(file, [
      { ...SIZE, count: 1 },
    ]);
    const [old, fresh] = [numbers.filter((one) => one < 5000), numbers.filter((one) => one >= 5000)];
    for (const part of [old, fresh]) {
      expect(new Set(part).size).toBeGreaterThan(60);
      expect(judgeCounters(part.map((number) => ({ source: 0, number }))).backward).toEqual([]);
    }
    expect(Math.min(...fresh)).toBeLessThan(5030);
    const { samples } = await decodePcm(file);
    // It may take a moment to learn the delay; from then on it sounds without a break.
    const backAt = Math.round(((back?.atUs ?? 0) / 1e6 + 1) * 48_000);
    const quarters = Array.from({ length: 12 }, (_, n) => {
      const from = backAt + n * 12_000;
      return toneLevelDb(samples.subarray(from, from + 12_000), 440);
    });
    expect(quarters.filter((level) => level < -14).length).toBeLessThanOrEqual(1);
  });
});
