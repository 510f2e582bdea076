import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { Frozen } from "../kit/faults.ts";
import { picturePts, probePackets } from "../kit/judge.ts";
import { counterVideo } from "../kit/media.ts";
import { Nginx } from "../kit/nginx.ts";
import { requirePeer } from "../kit/peers.ts";
import { until } from "../kit/process.ts";
import { confessed, expectEveryPicture, framesOf } from "./frames.ts";
import { manifestOf, publish } from "./media.ts";
import { backward, Receiver } from "./receiver.ts";
import { commandOf, Served } from "./served.ts";

const VIEW = { id: "main", width: 640, height: 360 };
const WHOLE = { x: 0, y: 0, width: 640, height: 360 };
const counter = { kind: "test", id: "count", pattern: "counter" };
const recorded = (id: string, path: string) => ({
  id,
  views: [VIEW],
  sources: [counter],
  outputs: [{ kind: "file", id: "rec", path }],
});

/** A mix that is recorded, pushed and published to, and a second one on another worker that must not notice. */
async function staffed(node: Served, nginx: Nginx, receiver: Receiver): Promise<void> {
  const hit = recorded("m", "hit.mp4");
  await node.call("mix.create", {
    ...hit,
    sources: [counter, { kind: "rtmp", id: "cam" }],
    outputs: [
      ...hit.outputs,
      { kind: "rtmp", id: "push", url: `${nginx.url}/hit` },
      { kind: "rtmp", id: "own", url: `rtmp://127.0.0.1:${receiver.port}/live/own` },
    ],
  });
  await node.call("mix.create", recorded("calm", "calm.mkv"));
  await node.sent("calm", "rec", 30);
  for (const output of ["push", "own"]) await node.happened("m", "output.live", output);
  await node.sent("m", "rec", 60);
}

requirePeer("ffmpeg", "nginx-rtmp")("a worker that dies in the middle of everything", () => {
  const faults: { name: string; why: RegExp; strike: (pid: number) => Disposable | undefined }[] = [
    {
      name: "killed",
      why: /SIGKILL/,
      strike: (pid) => {
        process.kill(pid, "SIGKILL");
        return undefined;
      },
    },
    { name: "stopped", why: /said nothing/, strike: (pid) => new Frozen(pid) },
  ];
  test.each(faults)(
    "$name: it comes back, and only its own mix notices",
    async ({ why, strike }) => {
      await using nginx = await Nginx.open({ record: true });
      await using receiver = await Receiver.open();
      await using node = await Served.start();
      await staffed(node, nginx, receiver);
      const camera = await counterVideo({ seconds: 30, source: 5, tone: 900 });
      await using publisher = await publish(camera, `rtmp://127.0.0.1:${node.rtmpPort}/live/m?source=cam`);
      await node.happened("m", "source.online", "cam");
      const { atUs, restarts } = await node.mix("m");
      expect(restarts).toBe(0);
      const pid = await node.workerWriting("hit.mp4");
      const calmPid = await node.workerWriting("calm.mkv");
      await sleep(500);

      const struckUs = (await node.mix("m")).atUs;
      using _held = strike(pid);
      const restarted = await node.happened("m", "mix.restarted");
      expect(restarted.why).toMatch(why);
      expect(commandOf(pid)).toBe("");
      await node.happened("m", "source.online", "cam", { nth: 2 });
      for (const output of ["push", "own"]) await node.happened("m", "output.live", output, { nth: 2 });
      for (const output of ["rec", "push", "own"]) await node.sent("m", output, 45);
      expect(publisher.hasExited).toBe(false);
      expect((await node.mix("m")).atUs).toBeGreaterThan(atUs);
      expect(await node.workerWriting("calm.mkv")).toBe(calmPid);
      const calmAfter = await node.stats("calm");
      for (const mix of ["m", "calm"]) await node.call("mix.close", { mix });

      const { parts, gaps } = manifestOf(node.recording("hit.json"));
      expect(parts.map(({ file }) => file)).toEqual(["hit.mp4", "hit.2.mp4"]);
      expect(gaps).toHaveLength(1);
      const first = await framesOf(node.recording("hit.mp4"), [WHOLE, leftHalf()]);
      const second = await picturePts(node.recording("hit.2.mp4"));
      expect(first.pictures).toBeGreaterThan(30);
      expect(second.length).toBeGreaterThan(30);
      const lostUs = struckUs - ((parts[0]?.startPtsUs ?? 0) + (first.ptsS.at(-1) ?? 0) * 1e6);
      expect(lostUs, "lost at the end of the part that broke off").toBeLessThan(2e6);
      expect(parts[1]?.startPtsUs).toBeGreaterThan(struckUs);

      await expectForwardPushes(nginx, "hit");
      expect(receiver.connections).toHaveLength(2);
      for (const kind of ["video", "audio"] as const) {
        const stamps = receiver.connections.map((one) => one[kind]);
        for (const list of stamps) expect(list.length).toBeGreaterThan(20);
        expect(backward(stamps.flat()), kind).toEqual([]);
      }
      const calm = await framesOf(node.recording("calm.mkv"), [WHOLE], calmAfter);
      expectEveryPicture(calm, confessed(undefined, calmAfter));
      expect(node.eventsOf("calm", "mix.restarted")).toEqual([]);
      expect(node.eventsOf("m", "source.quarantined")).toEqual([]);
    },
    90_000,
  );
});

/** Where the counter is once the publisher has joined. */
const leftHalf = () => ({ x: 0, y: 90, width: 320, height: 180 });

/** What nginx got, connection by connection: within each no stamp goes back, and none is empty. */
async function expectForwardPushes(nginx: Nginx, name: string): Promise<void> {
  await until("nginx has closed its files", async () => (await nginx.stream(name))?.isPublishing !== true);
  const files = nginx.recordings().filter((file) => file.includes(name));
  expect(files.length).toBeGreaterThanOrEqual(2);
  for (const file of files) {
    for (const stream of ["v:0", "a:0"]) {
      const packets = await probePackets(file, stream);
      expect(packets.length, `${stream} of ${file}`).toBeGreaterThan(20);
      const back = packets.filter(({ dtsS }, n) => n > 0 && dtsS < (packets[n - 1]?.dtsS ?? 0));
      expect(back, `${stream} of ${file}`).toEqual([]);
    }
    expect((await probePackets(file))[0]?.isKey).toBe(true);
  }
}

describe("a mix whose workers die again and again", () => {
  test("a source that crashes the decoder is quarantined, and the rest goes on", async () => {
    const media = await counterVideo({ seconds: 30, source: 7, tone: 300 });
    await using node = await Served.start({ args: ["--files", media.replace(/[^/]*$/, "")] });
    await node.call("mix.create", recorded("m", "rec.mp4"));
    await node.sent("m", "rec", 15);
    await node.call("source.add", { mix: "m", source: { kind: "pull", id: "bad", url: media, loop: true } });
    await node.happened("m", "source.online", "bad");
    await crashWhileDecoding(node, "bad");
    await node.happened("m", "mix.restarted");
    await node.happened("m", "source.online", "bad", { nth: 2 });
    await crashWhileDecoding(node, "bad");
    const { error } = await node.happened("m", "source.quarantined", "bad");
    expect(error).toMatchObject({ code: "ERR_MEDIA_INVALID", fault: "peer" });
    await node.happened("m", "mix.restarted", undefined, { nth: 2 });
    await until("its recording to go on", async () => (await node.outputStats("m", "rec")).frames > 15);
    const { sources } = await node.stats("m");
    expect(sources.map(({ id, state }) => [id, state]).sort()).toEqual([
      ["bad", "quarantined"],
      ["count", "online"],
    ]);
    expect(node.eventsOf("m", "source.online", "bad")).toHaveLength(2);
  }, 90_000);

  test("after the sixth death in ten minutes it has failed, and others live", async () => {
    await using node = await Served.start();
    await node.call("mix.create", recorded("m", "rec.mp4"));
    await node.call("mix.create", recorded("calm", "calm.mp4"));
    for (let death = 1; death <= 6; death++) {
      const name = death === 1 ? "rec.mp4" : `rec.${death}.mp4`;
      process.kill(await node.workerWriting(name), "SIGKILL");
      if (death < 6) await node.happened("m", "mix.restarted", undefined, { nth: death });
    }
    const { error } = await node.happened("m", "mix.failed");
    expect(error.message).toMatch(/died too often/);
    expect((await node.mix("m")).state).toBe("failed");
    await node.sent("calm", "rec", ((await node.outputStats("calm", "rec")).frames ?? 0) + 15);
    expect(node.eventsOf("calm", "mix.restarted")).toEqual([]);
    await node.call("mix.close", { mix: "m" });
  }, 120_000);
});

/** Kills the worker as a fault in a decoder would, at a moment at which it is inside the decoder of that source. */
async function crashWhileDecoding(node: Served, source: string): Promise<void> {
  const pid = await until("a worker in that decoder", () =>
    node.workers().find((one) => node.isDecoding(one, source)),
  );
  process.kill(pid, "SIGSEGV");
}
