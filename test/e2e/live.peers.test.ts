import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { judgeCounters } from "../kit/counter.ts";
import { decodePcm } from "../kit/decode.ts";
import { judgeSync } from "../kit/flash-beep.ts";
import { Folder } from "../kit/folder.ts";
import { gaps, picturePts, probe, probePackets } from "../kit/judge.ts";
import { counterVideo, flashBeep, makeMedia } from "../kit/media.ts";
import { Nginx } from "../kit/nginx.ts";
import { requirePeer } from "../kit/peers.ts";
import { freePort, runToEnd, until } from "../kit/process.ts";
import { toneLevelDb } from "../kit/spectrum.ts";
import { publish } from "../serve/media.ts";
import { readSources, upTo } from "./counting.ts";
import { inputs, MixRun, type MixSummaryLine, mixWell, outputs } from "./program.ts";

const SIZE = { width: 640, height: 360 };
const SMALL = ["--size", "640x360", "--preset", "ultrafast"];
const LIVE = { maxMs: 50_000 };

const canConnect = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(true)).on("error", () => resolve(false));
    socket.on("connect", () => socket.destroy());
  });

/** Serves a folder by HTTP on loopback. */
async function serveFolder(folder: string): Promise<{ url: string } & AsyncDisposable> {
  const server = createServer((request, response) => {
    const file = join(folder, new URL(request.url ?? "/", "http://localhost").pathname);
    const { size } = statSync(file);
    response.writeHead(200, { "content-length": size });
    createReadStream(file).pipe(response);
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/**
 * What holds however busy this machine is: pictures only go forward, and each that is missing or there twice stands
 * in the program's own account of late ticks and of that source. On an idle machine that account is empty.
 */
function expectAccounted(
  readings: Parameters<typeof judgeCounters>[0],
  summary: MixSummaryLine,
  n = 0,
): void {
  const judged = judgeCounters(readings);
  const { frames = 0, shown = 0, starved = 0 } = summary.decoders[n] ?? {};
  const ticks = summary.late + summary.repeated;
  expect(judged.backward).toEqual([]);
  expect(judged.missed.length).toBeLessThanOrEqual(frames - shown + ticks);
  // The last picture stays until its sound has ended, too.
  const repeated = judged.repeated.filter((number) => number !== judged.last);
  expect(repeated.length).toBeLessThanOrEqual(starved + ticks);
  // A machine this slow proves nothing.
  expect(ticks + starved).toBeLessThan(0.5 * summary.frames);
}

requirePeer("ffmpeg")("live clock: files, HTTP and HLS", () => {
  test("three files in real time", async () => {
    using folder = new Folder();
    const file = folder.file("a.mp4");
    const made = await Promise.all(upTo(3).map((source) => counterVideo({ seconds: 6, source, tone: 440 })));
    const { summary } = await mixWell([...inputs(...made), ...SMALL, ...outputs(file)], LIVE);
    expect(summary.wallSeconds).toBeGreaterThan(5.9);
    expect(summary.durationS).toBeCloseTo(6, 1);
    for (const [n, { readings }] of (await readSources(file, [{ ...SIZE, count: 3 }])).entries()) {
      expect(readings).toHaveLength(summary.frames);
      expectAccounted(readings, summary, n);
    }
    // However busy the machine was: no number of the output's own grid has two pictures.
    const pts = await picturePts(file);
    for (const { stepS } of gaps(pts, 1 / 30)) expect(stepS).toBeGreaterThan(1 / 30);
  });

  test("an HTTP pull beside a file", async () => {
    using folder = new Folder();
    const file = folder.file("a.mkv");
    const [pulled, local] = [
      await counterVideo({ seconds: 5, source: 0, container: "ts", tone: 1000 }),
      await counterVideo({ seconds: 5, source: 1 }),
    ];
    await using server = await serveFolder(join(pulled, ".."));
    const url = `${server.url}/${pulled.split("/").at(-1)}`;
    const { summary } = await mixWell([...inputs(url, local), ...SMALL, ...outputs(file)], LIVE);
    const [remote, own] = await readSources(file, [
      { ...SIZE, count: 2 },
      { ...SIZE, count: 1 },
    ]);
    expectAccounted(remote?.readings ?? [], summary, 0);
    expectAccounted(own?.readings ?? [], summary, 1);
    expect(new Set(remote?.numbers).size).toBeGreaterThan(0.8 * 150);
    const { samples } = await decodePcm(file);
    expect(toneLevelDb(samples.subarray(96_000, 144_000), 1000)).toBeGreaterThan(-20);
  });

  test("a picture that decodes too slowly is seen less often, and its sound does not wait for it", async () => {
    using folder = new Folder();
    const file = folder.file("a.mkv");
    // One core decodes about 20 of these in a second, of 50.
    const noise = "testsrc2=s=854x480:r=50:d=1,noise=alls=20:allf=t,format=yuv420p";
    const second = await makeMedia(["-f", "lavfi", "-i", noise, "-c:v", "jpeg2000", "-q:v", "4"], "mkv");
    const tone = ["-f", "lavfi", "-i", "sine=frequency=1000:duration=6:sample_rate=48000"];
    const copied = ["-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac", "-t", "6"];
    const slow = await makeMedia(["-stream_loop", "5", "-i", second, ...tone, ...copied], "mkv");
    const { summary } = await mixWell([...inputs(slow), ...SMALL, ...outputs(file)], LIVE);
    const [decoder] = summary.decoders;
    expect(decoder?.frames).toBeLessThan(290);
    expect(decoder?.shown).toBeGreaterThan(15);
    const { samples } = await decodePcm(file);
    const from = 0.5 * 48_000;
    const silent = upTo(250).filter((tick) => {
      const at = from + tick * 960;
      return toneLevelDb(samples.subarray(at, at + 960), 1000) < -25;
    });
    // Both cores are full, so a tick or two may be lost to them: waiting for pictures would cost more than half.
    expect(silent.length, `silent: ${silent}`).toBeLessThanOrEqual(10);
  });

  test("HLS, in step", async () => {
    using folder = new Folder();
    const file = folder.file("a.mp4");
    const flashing = await flashBeep({ seconds: 7 });
    const hls = ["-c", "copy", "-f", "hls", "-hls_time", "2", "-hls_list_size", "0"];
    await runToEnd("ffmpeg", ["-v", "error", "-i", flashing, ...hls, folder.file("index.m3u8")]);
    await using server = await serveFolder(folder.path);
    await mixWell([...inputs(`${server.url}/index.m3u8`), ...SMALL, ...outputs(file)], LIVE);
    const judged = await judgeSync(file);
    expect(judged.offsetsMs.length).toBeGreaterThanOrEqual(4);
    expect(Math.abs(judged.meanMs)).toBeLessThanOrEqual(20);
  });
});

requirePeer("ffmpeg")("live clock: an RTMP publisher", () => {
  test("rtmp-listen takes ffmpeg, in order and in step, and ends with it", async () => {
    using folder = new Folder();
    const [counted, flashed] = [folder.file("counted.mp4"), folder.file("flashed.mp4")];
    const cases = [
      { file: counted, media: await counterVideo({ seconds: 5, tone: 440 }) },
      { file: flashed, media: await flashBeep({ seconds: 7 }) },
    ];
    for (const { file, media } of cases) {
      const port = await freePort();
      const listen = ["--rtmp", `127.0.0.1:${port}`, "--token", "secret"];
      await using run = await MixRun.start(
        [...inputs("rtmp-listen:cam"), ...listen, ...SMALL, ...outputs(file)],
        LIVE,
      );
      await until("the door is open", () => canConnect(port));
      const url = `rtmp://127.0.0.1:${port}/live/cam?token=secret`;
      const args = ["-v", "error", "-nostdin", "-re", "-i", media, "-c", "copy", "-f", "flv", url];
      await runToEnd("ffmpeg", args);
      const { code, summary } = await run.finish();
      expect(code).toBe(0);
      expect(summary?.decoders).toMatchObject([{ source: "cam", codec: "h264" }]);
    }
    const [source] = await readSources(counted, [{ ...SIZE, count: 1 }]);
    expect(judgeCounters(source?.readings ?? []).backward).toEqual([]);
    expect(new Set(source?.numbers).size).toBeGreaterThan(0.8 * 150);
    expect(source?.numbers.at(-1)).toBe(149);
    const sync = await judgeSync(flashed);
    expect(sync.offsetsMs.length).toBeGreaterThanOrEqual(4);
    expect(Math.abs(sync.meanMs)).toBeLessThanOrEqual(20);
  });

  test("a wrong token and an unknown key are turned away, and the input stays offline", async () => {
    using folder = new Folder();
    const port = await freePort();
    const listen = ["--rtmp", `127.0.0.1:${port}`, "--token", "secret"];
    const out = outputs(folder.file("a.mp4"));
    await using run = await MixRun.start([...inputs("rtmp-listen:cam"), ...listen, ...SMALL, ...out], LIVE);
    await run.waitFor("output.live");
    const media = await counterVideo({ seconds: 1 });
    for (const path of ["cam?token=wrong", "cam", "other?token=secret"]) {
      await using publisher = await publish(media, `rtmp://127.0.0.1:${port}/live/${path}`, 5);
      expect((await publisher.exited).code).not.toBe(0);
    }
    expect(run.hasExited).toBe(false);
    const { code, events } = await run.stop();
    expect(code).toBe(0);
    expect(events.filter(({ type }) => type === "source.online")).toEqual([]);
  });
});

requirePeer("ffmpeg", "nginx-rtmp")("live clock: nginx", () => {
  test("pulls RTMP from nginx and pushes RTMP into it", async () => {
    using folder = new Folder();
    await using nginx = await Nginx.open({ record: true });
    await using _camera = await publish(
      await counterVideo({ seconds: 20, tone: 1000 }),
      `${nginx.url}/camera`,
    );
    await until("nginx has the camera", async () => (await nginx.stream("camera"))?.video !== undefined);
    const local = folder.file("a.mkv");
    const { summary } = await mixWell(
      [
        ...inputs(`${nginx.url}/camera`),
        ...SMALL,
        ...["--duration", "6"],
        ...outputs(local, `${nginx.url}/mixed`),
      ],
      LIVE,
    );
    expect(summary.encoders).toHaveLength(1);
    const recording = await until("nginx has closed its file", async () => {
      const file = nginx.recordings().find((name) => name.includes("mixed"));
      return file !== undefined && (await nginx.stream("mixed"))?.isPublishing !== true ? file : undefined;
    });
    for (const file of [local, recording]) {
      const [source] = await readSources(file, [{ ...SIZE, count: 1 }]);
      expect(judgeCounters(source?.readings ?? []).backward).toEqual([]);
      expect(new Set(source?.numbers).size).toBeGreaterThan(90);
      const { samples } = await decodePcm(file);
      // A quarter of a second: drift control bends the pitch by a thousandth, which a longer look takes for silence.
      expect(toneLevelDb(samples.subarray(-72_000, -60_000), 1000), file).toBeGreaterThan(-20);
    }
    // What nginx got begins with a picture and with sound, and holds all that the file holds but its first moments.
    const { video, audio } = await probe(recording);
    expect(video).toMatchObject({ codec_name: "h264", width: 640, height: 360 });
    expect(audio).toMatchObject({ codec_name: "aac", sample_rate: 48_000 });
    const packets = await probePackets(recording);
    expect(packets[0]).toMatchObject({ isKey: true });
    expect(packets.length).toBeGreaterThan(0.8 * 180);
    const keys = packets.filter(({ isKey }) => isKey).map(({ ptsS }) => ptsS);
    for (const [index, keyS] of keys.slice(1).entries())
      expect(keyS - (keys[index] ?? 0)).toBeLessThanOrEqual(2.01);
  });

  test("a pull that begins with what the server had kept is in step after a moment", async () => {
    using folder = new Folder();
    await using nginx = await Nginx.open();
    await using _camera = await publish(await flashBeep({ seconds: 20 }), `${nginx.url}/camera`);
    await until("nginx has the camera", async () => (await nginx.stream("camera"))?.video !== undefined);
    const file = folder.file("a.mkv");
    const timed = ["--duration", "8", ...outputs(file)];
    await mixWell([...inputs(`${nginx.url}/camera`), ...SMALL, ...timed], LIVE);
    const { offsetsMs } = await judgeSync(file);
    expect(offsetsMs.length).toBeGreaterThanOrEqual(6);
    for (const offsetMs of offsetsMs.slice(1)) expect(Math.abs(offsetMs)).toBeLessThanOrEqual(20);
  });

  test("a push has picture and sound from the first second with no source online", async () => {
    await using nginx = await Nginx.open({ record: true });
    const port = await freePort();
    const nobody = [...inputs("rtmp-listen:nobody"), "--rtmp", `127.0.0.1:${port}`];
    await mixWell([...nobody, ...SMALL, "--duration", "4", ...outputs(`${nginx.url}/empty`)], LIVE);
    const [recording = ""] = nginx.recordings();
    const [video, audio] = [await probePackets(recording, "v:0"), await probePackets(recording, "a:0")];
    expect(video[0]?.ptsS).toBeLessThan(1);
    expect(audio[0]?.ptsS).toBeLessThan(1);
    expect((video.at(-1)?.ptsS ?? 0) - (video[0]?.ptsS ?? 0)).toBeGreaterThan(2.5);
    expect((audio.at(-1)?.ptsS ?? 0) - (audio[0]?.ptsS ?? 0)).toBeGreaterThan(2.5);
  });
});
