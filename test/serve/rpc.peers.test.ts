import { createSocket } from "node:dgram";
import { writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Manifest } from "../../src/egress/manifest.ts";
import { decodePcm } from "../kit/decode.ts";
import { probe } from "../kit/judge.ts";
import { counterVideo } from "../kit/media.ts";
import { Nginx } from "../kit/nginx.ts";
import { requirePeer } from "../kit/peers.ts";
import { freeUdpPort, runToEnd, until } from "../kit/process.ts";
import { levelDb, toneLevelDb } from "../kit/spectrum.ts";
import { framesOf } from "./frames.ts";
import { manifestOf, near, numbersAt, pixel, publish } from "./media.ts";
import { type Answer, Served } from "./served.ts";

const VIEW = { id: "main", width: 640, height: 360 };
const WHOLE = { x: 0, y: 0, width: 640, height: 360 };
/** What a source alone is recorded at, unless the output says otherwise. */
const BIG = { x: 0, y: 0, width: 1280, height: 720 };
const NOWHERE = { x: 0, y: 0, width: 0, height: 0 };
const counter = { kind: "test", id: "count", pattern: "counter" };

/** Where in a recording a moment of the mix clock is, in seconds. */
const inFile = ({ parts }: Manifest, atUs: number): number => (atUs - (parts[0]?.startPtsUs ?? 0)) / 1e6;

/** Runs one request and says between which two moments of the mix clock it took effect. */
async function timed(
  node: Served,
  method: string,
  params: object,
): Promise<{ fromUs: number; toUs: number }> {
  const { atUs: fromUs } = await node.mix("m");
  await node.call(method, { mix: "m", ...params });
  return { fromUs, toUs: (await node.mix("m")).atUs };
}

async function snapshot(node: Served, mix: string, file: string, view = "main"): Promise<string> {
  const { data, width, height, ptsUs } = await node.call("snapshot.take", { mix, view, format: "png" });
  const frame = (ptsUs * 30) / 1e6;
  expect(frame - Math.round(frame), "the time of a picture, at 30 a second").toBeCloseTo(0, 3);
  const path = join(process.env.SERVE_PICTURES ?? node.data, file);
  writeFileSync(path, Buffer.from(data, "base64"));
  expect((await probe(path)).video).toMatchObject({ codec_name: "png", width, height });
  return path;
}

const square = async (folder: string, color: string): Promise<string> => {
  const args = ["-v", "error", "-y", "-f", "lavfi", "-i", `color=${color}:s=320x180`, "-frames:v", "1"];
  const file = join(folder, `${color}.png`);
  await runToEnd("ffmpeg", [...args, file]);
  return (await runToEnd("base64", ["-w0", file])).stdout;
};

requirePeer("ffmpeg", "nginx-rtmp")("a mix from its creation to its end", () => {
  test("sources of every kind into outputs of every kind", async () => {
    const file = await counterVideo({ seconds: 60, source: 2, tone: 600 });
    await using nginx = await Nginx.open({ record: true });
    await using camera = await publish(await counterVideo({ seconds: 60, source: 1 }), `${nginx.url}/camera`);
    await until("the camera", async () => (await nginx.stream("camera"))?.video);
    await using node = await Served.start({ args: ["--files", dirname(file)] });
    const audioPort = await freeUdpPort();
    const rtp = createSocket("udp4").bind(audioPort, "127.0.0.1");
    let rtpPackets = 0;
    rtp.on("message", () => (rtpPackets += 1));
    const spec = {
      id: "m",
      views: [VIEW],
      sources: [
        { kind: "test", id: "test", pattern: "counter", tone: 400 },
        { kind: "pull", id: "camera", url: `${nginx.url}/camera` },
        { kind: "pull", id: "file", url: basename(file), loop: true },
        { kind: "rtmp", id: "pushed" },
      ],
      outputs: [
        { kind: "file", id: "rec", path: "rec.mp4" },
        { kind: "rtmp", id: "push", url: `${nginx.url}/mixed` },
        { kind: "rtp", id: "rtp", view: null, host: "127.0.0.1", audioPort },
        { kind: "file", id: "solo", source: "camera", path: "sub/solo.mkv" },
      ],
    };
    const created = await node.call("mix.create", spec);
    expect(created.sources[3].publishUrl).toBe(`rtmp://127.0.0.1:${node.rtmpPort}/live/m?source=pushed`);
    expect(await node.call("mix.create", spec)).toMatchObject({ id: "m" });
    expect((await node.send("mix.create", { id: "m" })).error?.data?.code).toBe("ERR_EXISTS");
    await using _guest = await publish(
      await counterVideo({ seconds: 60, source: 3, tone: 800 }),
      created.sources[3].publishUrl,
    );
    for (const source of ["test", "camera", "file", "pushed"])
      await node.happened("m", "source.online", source);
    for (const output of ["rec", "push", "rtp", "solo"]) await node.happened("m", "output.live", output);
    for (const output of ["rec", "push", "solo"])
      await node.sent("m", output, (await node.outputStats("m", output)).frames + 75);
    await until("sound by RTP", () => rtpPackets > 100);
    await snapshot(node, "m", "kinds.png");
    const { outputs } = await node.stats("m");
    const { placements } = await node.layout("m");
    await node.call("mix.close", { mix: "m" });
    expect((await node.send("mix.get", { mix: "m" })).error?.data?.code).toBe("ERR_NOT_FOUND");
    rtp.close();

    expect(outputs.map(({ id, state }) => [id, state])).toEqual(
      ["rec", "push", "rtp", "solo"].map((id) => [id, "live"]),
    );
    const joined = ["test", "camera", "file", "pushed"];
    for (const [index, source] of joined.entries()) {
      const place = placements.find((one) => one.source === source) ?? NOWHERE;
      const numbers = await numbersAt(node.recording("rec.mp4"), place, index);
      expect(numbers.size, source).toBeGreaterThan(45);
    }
    const { samples } = await decodePcm(node.recording("rec.mp4"));
    for (const hz of [400, 600, 800])
      expect(toneLevelDb(samples.subarray(-48_000), hz), `${hz} Hz`).toBeGreaterThan(-25);
    expect((await numbersAt(node.recording("sub/solo.mkv"), BIG, 1)).size).toBeGreaterThan(45);
    const [mixed = ""] = nginx.recordings().filter((name) => name.includes("mixed"));
    expect((await probe(mixed)).video).toMatchObject({ codec_name: "h264", width: 640, height: 360 });
    const finished = node.eventsOf("m", "recording.finished").map(({ path }) => path);
    expect(finished.sort()).toEqual(["rec.mp4", "sub/solo.mkv"]);
    expect(camera.hasExited).toBe(false);
    const seqs = node.events.filter(({ mix }) => mix === "m").map(({ seq }) => seq);
    expect(seqs).toEqual(seqs.map((_, index) => index + 1));
  }, 90_000);

  test("mute and gain take effect when they are asked for", async () => {
    await using node = await Served.start();
    const sources = [{ ...counter, tone: 1000 }];
    const outputs = [{ kind: "file", id: "rec", path: "rec.mp4" }];
    await node.call("mix.create", { id: "m", views: [VIEW], sources, outputs });
    await node.sent("m", "rec", 45);
    const update = (change: object) => timed(node, "source.update", { source: "count", ...change });
    const quieter = await update({ audio: { gain: 0.25 } });
    await sleep(800);
    const silent = await update({ audio: { muted: true } });
    await sleep(800);
    const hidden = await update({ video: { muted: true } });
    await sleep(800);
    const shown = await update({ video: { muted: false }, audio: { muted: false, gain: 1 } });
    await sleep(800);
    await node.call("mix.close", { mix: "m" });
    const manifest = manifestOf(node.recording("rec.json"));
    const file = node.recording("rec.mp4");

    const { readings, ptsS } = await framesOf(file, [WHOLE]);
    const gone = ptsS.filter((_, n) => readings[n] === null && (ptsS[n] ?? 0) > 0.7);
    const slackS = 0.15;
    expect(gone[0]).toBeGreaterThanOrEqual(inFile(manifest, hidden.fromUs) - 0.034);
    expect(gone[0]).toBeLessThanOrEqual(inFile(manifest, hidden.toUs) + slackS);
    expect(gone.at(-1)).toBeLessThanOrEqual(inFile(manifest, shown.toUs) + slackS);
    expect(gone.length).toBeGreaterThan(15);

    const { samples } = await decodePcm(file);
    const level = (fromUs: number, toUs: number): number => {
      const [from, to] = [inFile(manifest, fromUs) + 0.25, inFile(manifest, toUs) - 0.05];
      return usualLevelDb(samples.subarray(Math.round(from * 48_000), Math.round(to * 48_000)));
    };
    const loud = level(quieter.fromUs - 700_000, quieter.fromUs);
    expect(loud - level(quieter.toUs, silent.fromUs)).toBeCloseTo(12, 0);
    expect(level(silent.toUs, shown.fromUs)).toBeLessThan(-80);
    expect(level(shown.toUs, shown.toUs + 700_000)).toBeCloseTo(loud, 0);
  }, 60_000);

  test("a layout is applied at its receipt's frame, and a broken one changes nothing", async () => {
    await using node = await Served.start();
    const sources = [counter, { kind: "test", id: "other", pattern: "bars" }];
    const outputs = [{ kind: "file", id: "rec", path: "rec.mkv" }];
    await node.call("mix.create", { id: "m", views: [VIEW], sources, outputs });
    await node.sent("m", "rec", 30);
    const before = await node.layout("m");
    const wanted = { mix: "m", view: "main", layout: "speaker", assign: { main: "count" } };
    const dry = await node.call("layout.set", { ...wanted, dryRun: true });
    expect(dry.placements).toMatchObject([{ slot: "main", source: "count", ...WHOLE }]);
    expect((await node.layout("m")).placements).toEqual(before.placements);
    expect(node.eventsOf("m", "layout.applied")).toEqual([]);

    const slots = [{ id: "a", x: 0, y: 0, width: 1, height: 1 }];
    const broken = [
      {
        layout: { tessera: 1, name: "x", arrangements: [{ slots: [{ ...slots[0], width: "2/0" }] }] },
        at: "/layout/arrangements/0/slots/0/width",
      },
      {
        layout: { tessera: 1, name: "x", arrangements: [{ slots, extra: 1 }] },
        at: "/layout/arrangements/0",
      },
      { layout: "grit", at: "/layout" },
      { assign: { main: "nobody" }, at: "/assign/main" },
    ];
    for (const { at, ...params } of broken) {
      const { error } = await node.send("layout.set", { mix: "m", view: "main", ...params });
      expect(error?.data, JSON.stringify(params)).toMatchObject({ fault: "caller" });
      expect(error?.data?.pointer?.startsWith(at), `${error?.data?.pointer} ${error?.message}`).toBe(true);
    }
    expect(await node.layout("m")).toMatchObject({ revision: 1, placements: before.placements });

    const receipt = await node.call("layout.set", { ...wanted, expect: 1 });
    const { placements, frame, revision, appliedPtsUs } = await node.happened("m", "layout.applied");
    expect({ placements, frame, revision, appliedPtsUs }).toEqual({ ...receipt, late: undefined });
    expect(appliedPtsUs).toBe(Math.round((frame * 1e6) / 30));
    expect((await node.send("layout.set", { ...wanted, expect: 1 })).error?.data?.code).toBe("ERR_REVISION");

    const { atUs } = await node.mix("m");
    const later = await node.call("layout.set", {
      mix: "m",
      view: "main",
      layout: "grid",
      at: atUs + 700_000,
    });
    expect(later.appliedPtsUs).toBeGreaterThanOrEqual(atUs + 700_000);
    await sleep(500);
    await node.call("mix.close", { mix: "m" });
    const { parts } = manifestOf(node.recording("rec.json"));
    const { readings, ptsS } = await framesOf(node.recording("rec.mkv"), [WHOLE]);
    const whole = ptsS.filter((_, n) => readings[n] !== null && (ptsS[n] ?? 0) > 0.9);
    const first = Math.round(inFile({ parts } as Manifest, appliedPtsUs) * 30);
    const last = Math.round(inFile({ parts } as Manifest, later.appliedPtsUs) * 30);
    expect(Math.round((whole[0] ?? 0) * 30)).toBe(first);
    expect(Math.round((whole.at(-1) ?? 0) * 30)).toBe(last - 1);
  }, 60_000);

  test("assets: a slate while nobody is there, an avatar for who has no picture", async () => {
    await using node = await Served.start();
    await node.call("asset.put", { name: "slate", data: await square(node.data, "red") });
    await node.call("asset.put", { name: "face", data: await square(node.data, "lime") });
    await node.call("mix.create", { id: "m", views: [VIEW] });
    const corner = async (file: string): Promise<number[]> =>
      await pixel(await snapshot(node, "m", file), 4, 4);
    expect(near(await corner("none.png"), [0x10, 0x14, 0x18])).toBe(true);
    await node.call("view.update", { mix: "m", view: "main", slate: "slate" });
    await until("the slate", async () => near(await corner("slate.png"), [255, 0, 0]));
    await node.call("asset.remove", { name: "slate" });
    expect(near(await corner("removed.png"), [255, 0, 0])).toBe(true);
    await node.call("asset.put", { name: "slate", data: await square(node.data, "blue") });
    const slate = await snapshot(node, "m", "slate.png");
    for (const [x, y] of [
      [4, 4],
      [320, 180],
      [636, 356],
    ] as const)
      expect(await pixel(slate, x, y)).toSatisfy((colour: number[]) => near(colour, [0, 0, 255]));
    await node.call("source.add", {
      mix: "m",
      source: { ...counter, avatar: "face", video: { muted: true } },
    });
    await node.call("source.add", { mix: "m", source: { kind: "test", id: "bars", pattern: "bars" } });
    await node.happened("m", "source.onAir", "bars");
    const { placements } = await node.layout("m");
    expect(placements.map(({ source }) => source)).toEqual(["count", "bars"]);
    const [left] = placements;
    const face = async (): Promise<number[]> =>
      await pixel(await snapshot(node, "m", "avatar.png"), (left?.x ?? 0) + 40, (left?.y ?? 0) + 40);
    await until(`the avatar; ${JSON.stringify((await node.stats("m")).views)}`, async () =>
      near(await face(), [0, 255, 0]),
    );
    await node.call("source.update", { mix: "m", source: "count", avatar: null });
    await until("a card in place of the avatar", async () => !near(await face(), [0, 255, 0]));
    await node.call("source.remove", { mix: "m", source: "count" });
    await node.call("source.remove", { mix: "m", source: "bars" });
    await node.call("view.update", { mix: "m", view: "main", slate: null });
    const middle = async (): Promise<number[]> =>
      await pixel(await snapshot(node, "m", "empty.png"), 320, 180);
    await until("nothing but the background", async () => near(await middle(), [0x10, 0x14, 0x18]));
    const jpeg = await fetch(`${node.url}/snapshot/m/main.jpg`);
    expect(jpeg.headers.get("content-type")).toBe("image/jpeg");
    expect((await node.send("asset.put", { name: "bad", data: "AAAA" })).error?.data?.fault).toBe("caller");
  }, 60_000);

  test("mix.apply changes what differs, and a mix of sound alone", async () => {
    await using node = await Served.start();
    const spec = {
      views: [VIEW],
      sources: [{ ...counter, tone: 500 }],
      outputs: [{ kind: "file", id: "rec", path: "rec.mp4" }],
    };
    await node.call("mix.create", { id: "m", ...spec });
    await node.sent("m", "rec", 30);
    const { revision } = await node.mix("m");
    const more = {
      ...spec,
      audio: { maxSpeakers: 2 },
      views: [VIEW, { id: "small", width: 320, height: 180 }],
      sources: [...spec.sources, { kind: "test", id: "late", pattern: "bars" }],
      outputs: [...spec.outputs, { kind: "file", id: "small", view: "small", path: "small.mp4" }],
    };
    const bad = await node.send("mix.apply", {
      mix: "m",
      spec: { ...more, outputs: [{ kind: "file", path: "../x.mp4" }] },
    });
    expect(bad.error?.data?.fault).toBe("caller");
    expect((await node.mix("m")).revision).toBe(revision);
    await node.call("mix.apply", { mix: "m", spec: more, expect: revision });
    await node.sent("m", "small", 15);
    expect(node.eventsOf("m", "recording.finished")).toEqual([]);
    const [rec, small] = more.outputs;
    const moved = { ...more, outputs: [{ ...rec, path: "moved.mp4" }, small] };
    await node.call("mix.apply", { mix: "m", spec: moved });
    await node.happened("m", "output.live", "rec", { nth: 2 });
    const told = node.events.filter((event) => "output" in event && event.output === "rec");
    const states = told.map(({ type }) => type.split(".")).filter(([what]) => what === "output");
    expect(states.map(([, state]) => state).join()).toBe("connecting,live,ended,connecting,live");
    await node.call("mix.apply", { mix: "m", spec: { ...spec, outputs: [] } });
    await node.happened("m", "recording.finished", "small");
    await node.happened("m", "recording.finished", "rec");
    expect((await framesOf(node.recording("rec.mp4"), [WHOLE])).pictures).toBeGreaterThan(40);

    const speaker = (id: string, tone: number): object => ({
      kind: "test",
      id,
      tone,
      audio: { policy: "speaker" },
    });
    const two = { views: [VIEW], sources: [speaker("a", 300), speaker("b", 900)] };
    const talkers = async (): Promise<number> => (await node.stats("m")).audio.talkers;
    await node.call("mix.apply", { mix: "m", spec: two });
    await until("both to be heard", async () => (await talkers()) === 2);
    await node.call("mix.apply", { mix: "m", spec: { ...two, audio: { maxSpeakers: 1 } } });
    await until("one of them to be heard", async () => (await talkers()) < 2);

    const sound = { kind: "file", id: "sound", view: null, path: "sound.mp4" };
    const tone = { kind: "test", id: "tone", tone: 700 };
    await node.call("mix.create", { id: "audio", views: [], sources: [tone], outputs: [sound] });
    await node.happened("audio", "output.live", "sound");
    await sleep(3000);
    await node.call("mix.close", { mix: "audio" });
    const { video, audio, format } = await probe(node.recording("sound.mp4"));
    expect(video).toBeUndefined();
    expect(audio).toMatchObject({ codec_name: "aac", channels: 2 });
    expect(format.durationS).toBeGreaterThan(1);
    const { samples } = await decodePcm(node.recording("sound.mp4"));
    expect(toneLevelDb(samples.subarray(-24_000), 700)).toBeGreaterThan(-20);
  }, 60_000);

  test("a token opens what it says and nothing else", async () => {
    await using node = await Served.start({ token: "the-token-of-this-node" });
    await node.call("mix.create", { id: "m", views: [VIEW], sources: [counter] });
    await node.call("mix.create", { id: "other" });
    const issue = async (actions: string[], ttlS = 60): Promise<string> =>
      (await node.call("token.issue", { mix: "m", actions, ttlS })).token;
    const [play, control] = [await issue(["play"]), await issue(["control"])];
    const code = async (method: string, params: object, token: string | undefined): Promise<string> =>
      codeOf((await node.send(method, params, token)).error);
    const get = { mix: "m" };
    expect(await code("mix.get", get, control)).toBe("fine");
    expect(await code("mix.get", get, play)).toBe("ERR_UNAUTHORIZED");
    expect(await code("mix.get", { mix: "other" }, control)).toBe("ERR_UNAUTHORIZED");
    expect(await code("mix.create", { id: "mine" }, control)).toBe("ERR_UNAUTHORIZED");
    expect(await code("mix.get", get, "wrong")).toBe("ERR_UNAUTHORIZED");
    expect(await code("snapshot.take", { mix: "m" }, play)).toBe("fine");
    const brief = await issue(["control"], 1);
    expect(await code("mix.get", get, brief)).toBe("fine");
    await until("it has run out", async () => (await code("mix.get", get, brief)) === "ERR_UNAUTHORIZED");
    expect(
      (
        await fetch(`${node.url}/rpc`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: "{}",
        })
      ).status,
    ).toBe(401);
  }, 60_000);
});

/** The level that half of all stretches of 20 ms reach: one click of a busy machine does not count. */
function usualLevelDb(samples: Float32Array): number {
  const blocks = Array.from({ length: Math.floor(samples.length / 960) }, (_, n) =>
    levelDb(samples.subarray(n * 960, (n + 1) * 960)),
  );
  return blocks.sort((a, b) => a - b)[Math.floor(blocks.length / 2)] ?? Number.NaN;
}

/** HTTP refuses a token before JSON-RPC is looked at, with the error itself. */
const codeOf = (error: Answer["error"]): string =>
  error === undefined ? "fine" : String(error.data?.code ?? error.code);
