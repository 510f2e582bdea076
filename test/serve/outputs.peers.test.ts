import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { judgeCounters, type Rect } from "../kit/counter.ts";
import { FaultyPeer } from "../kit/faults.ts";
import { Folder } from "../kit/folder.ts";
import { picturePts, probePackets } from "../kit/judge.ts";
import { makeMedia } from "../kit/media.ts";
import { Nginx } from "../kit/nginx.ts";
import { requirePeer } from "../kit/peers.ts";
import { until } from "../kit/process.ts";
import { confessed, expectEveryPicture, framesOf } from "./frames.ts";
import { manifestOf } from "./media.ts";
import { Served } from "./served.ts";

const VIEW = { id: "main", width: 640, height: 360 };
const WHOLE: Rect = { x: 0, y: 0, width: 640, height: 360 };
const COUNT_ALONE = {
  tessera: 1,
  name: "count-alone",
  arrangements: [{ slots: [{ id: "one", x: 0, y: 0, width: 1, height: 1, take: { source: "count" } }] }],
};
const NOISE = ["-f", "lavfi", "-i", "nullsrc=size=320x180:rate=30:duration=3,geq=random(1)*255:128:128"];
const mixOf = (outputs: object[]) => ({
  id: "m",
  views: [VIEW],
  sources: [{ kind: "test", id: "count", pattern: "counter", tone: 440 }],
  outputs: [{ kind: "file", id: "rec", path: "rec.mp4" }, ...outputs],
});

/** Closes the mix: its recording has every picture, whatever happened to the other outputs. */
async function expectUnharmed(node: Served): Promise<void> {
  const stats = await node.stats("m");
  expect(stats.outputs.find(({ id }) => id === "rec")).toMatchObject({ state: "live", dropped: 0 });
  await node.call("mix.close", { mix: "m" });
  const frames = await framesOf(node.recording("rec.mp4"), [WHOLE], stats);
  expect(frames.pictures).toBeGreaterThan(60);
  // A mix begins while its source still draws the first pictures.
  const begun = judgeCounters(frames.readings.slice(15));
  expectEveryPicture({ ...frames, ...begun }, confessed(undefined, stats));
  expect(node.eventsOf("m", "mix.restarted")).toEqual([]);
}

requirePeer("ffmpeg", "nginx-rtmp")("outputs in trouble", () => {
  test("a push to a port that refuses is retried ever more slowly, and goes live when the peer is there", async () => {
    await using nginx = await Nginx.open();
    await using peer = await FaultyPeer.open(nginx.rtmpPort);
    await using node = await Served.start();
    await peer.refuse(); // Not before: its port would be free for the node.
    await node.call(
      "mix.create",
      mixOf([{ kind: "rtmp", id: "push", url: `rtmp://127.0.0.1:${peer.port}/live/late` }]),
    );
    await node.happened("m", "output.retrying", "push", { nth: 3 });
    const waits = node.eventsOf("m", "output.retrying", "push").map(({ inMs }) => inMs);
    expect(waits[2]).toBeGreaterThan(waits[0] ?? 0);
    expect(node.eventsOf("m", "output.retrying", "push")[0]?.error).toMatchObject({
      code: "ERR_PEER_UNREACHABLE",
    });
    expect(node.eventsOf("m", "output.live", "push")).toEqual([]);
    await peer.accept();
    await node.happened("m", "output.live", "push");
    await until("nginx has it", async () => (await nginx.stream("late"))?.video);
    expect((await node.outputStats("m", "push")).state).toBe("live");
    await expectUnharmed(node);
  }, 60_000);

  test("a peer that stops reading costs its own output only, which drops, counts, and comes back", async () => {
    await using nginx = await Nginx.open();
    await using peer = await FaultyPeer.open(nginx.rtmpPort);
    // Noise: nothing else fills the kernel's buffers soon. Seen on the outputs of its own only.
    const url = await makeMedia([...NOISE, "-c:v", "libx264", "-preset", "ultrafast", "-crf", "20"]);
    await using node = await Served.start({ args: ["--files", dirname(url)] });
    const video = { bitrateBps: 8_000_000, preset: "ultrafast", width: 320, height: 180 };
    const noise = { source: "noise", kind: "rtmp", video };
    const deaf = { ...noise, id: "deaf", url: `rtmp://127.0.0.1:${peer.port}/live/deaf` };
    const well = { ...noise, id: "well", url: `${nginx.url}/well` };
    const mix = mixOf([deaf, well]);
    await node.call("mix.create", {
      ...mix,
      views: [{ ...VIEW, layout: COUNT_ALONE }],
      sources: [...mix.sources, { kind: "pull", id: "noise", url, loop: true }],
    });
    for (const output of ["deaf", "well"]) await node.happened("m", "output.live", output);
    await until("bytes at the peer", () => peer.bytesFromClients > 20_000);
    const { dropped } = await node.outputStats("m", "well");
    peer.behave("deaf");
    const heard = peer.bytesFromClients;
    await until("it drops", async () => (await node.outputStats("m", "deaf")).dropped > 0, 30_000);
    expect(peer.bytesFromClients - heard).toBeLessThan(200_000);
    const { error } = await node.happened("m", "output.retrying", "deaf", { withinMs: 30_000 });
    expect(error.fault).toBe("peer");
    expect(node.eventsOf("m", "output.retrying", "well")).toEqual([]);
    expect((await node.outputStats("m", "well")).dropped).toBe(dropped);
    peer.behave("pass");
    await node.happened("m", "output.live", "deaf", { nth: 2, withinMs: 30_000 });
    await expectUnharmed(node);
  }, 90_000);

  test("a recording that starts and stops, splits, pauses and gets another bitrate while others go on", async () => {
    await using node = await Served.start();
    await node.call("mix.create", mixOf([]));
    await node.sent("m", "rec", 15);
    const output = { kind: "file", id: "second", path: "second.mkv", video: { bitrateBps: 400_000 } };
    const added = await node.call("output.add", { mix: "m", output });
    expect(added).toMatchObject({ id: "second", state: "connecting" });
    expect(await node.call("output.add", { mix: "m", output })).toMatchObject({ id: "second" });
    const other = { ...output, path: "other.mkv" };
    expect((await node.send("output.add", { mix: "m", output: other })).error?.data?.code).toBe("ERR_EXISTS");
    await node.sent("m", "second", 15);
    expect((await node.stats("m")).encoders.filter(({ kind }) => kind === "video")).toHaveLength(2);
    await node.call("output.update", { mix: "m", output: "second", video: { bitrateBps: 300_000 } });
    await node.call("output.split", { mix: "m", output: "second" });
    await node.happened("m", "recording.part", "second", { nth: 2 });
    await sleep(700);
    await node.call("output.pause", { mix: "m", output: "second" });
    expect((await node.outputStats("m", "second")).state).toBe("paused");
    await sleep(700);
    await node.call("output.resume", { mix: "m", output: "second" });
    const { frames } = await node.outputStats("m", "second");
    await node.sent("m", "second", frames + 15);
    await node.call("output.remove", { mix: "m", output: "second" });
    await node.happened("m", "recording.finished", "second");
    expect(node.eventsOf("m", "output.failed")).toEqual([]);
    const { parts, gaps } = manifestOf(node.recording("second.json"));
    expect(parts.length).toBeGreaterThanOrEqual(3);
    for (const { file } of parts)
      expect((await picturePts(node.recording(file))).length, file).toBeGreaterThan(5);
    expect(gaps).toHaveLength(1);
    expect(gaps[0]?.durationUs, "as long as it paused").toBeGreaterThan(600_000);
    await expectUnharmed(node);
  }, 60_000);

  test.skipIf(process.getuid?.() !== 0)(
    "a disk that fills ends that recording alone, and leaves it playable",
    async () => {
      using folder = new Folder();
      const small = `${folder.path}/recordings/small`;
      mkdirSync(small, { recursive: true });
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=160k", "tmpfs", small]);
      try {
        await using node = await Served.start({ data: folder.path });
        const video = { bitrateBps: 4_000_000, rateControl: "cbr" };
        await node.call("mix.create", mixOf([{ kind: "file", id: "full", path: "small/full.mp4", video }]));
        await node.happened("m", "output.live", "full");
        const { error } = await node.happened("m", "recording.failed", "full", { withinMs: 30_000 });
        expect(error).toMatchObject({ code: "ERR_STORAGE", fault: "device" });
        expect((await node.outputStats("m", "full")).state).toBe("failed");
        const packets = await probePackets(`${small}/full.mp4`);
        expect(packets.length).toBeGreaterThan(5);
        expect(await picturePts(`${small}/full.mp4`)).toHaveLength(packets.length);
        await node.sent("m", "rec", 60);
        await expectUnharmed(node);
      } finally {
        execFileSync("umount", ["-l", small]);
      }
    },
    60_000,
  );
});
