import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { Folder } from "../kit/folder.ts";
import { probe } from "../kit/judge.ts";
import { counterVideo } from "../kit/media.ts";
import { requirePeer } from "../kit/peers.ts";
import { freePort, until } from "../kit/process.ts";
import { framesOf } from "./frames.ts";
import { manifestOf, publish } from "./media.ts";
import { backward, Receiver } from "./receiver.ts";
import { commandOf, Served } from "./served.ts";

const VIEW = { id: "main", width: 640, height: 360 };
const WHOLE = { x: 0, y: 0, width: 640, height: 360 };

requirePeer("ffmpeg")("a service that is killed", () => {
  const kills = [
    { name: "alone: its workers close their files and go", whole: false, lostUs: 1_000_000 },
    { name: "with all its workers: what they wrote is there", whole: true, lostUs: 2_000_000 },
  ];
  test.each(kills)(
    "$name, and the next start goes on",
    async ({ whole, lostUs }) => {
      using folder = new Folder();
      await using receiver = await Receiver.open();
      const options = { data: folder.path, httpPort: await freePort(), rtmpPort: await freePort() };
      await using first = await Served.start(options);
      await first.call("mix.create", {
        id: "m",
        views: [VIEW],
        sources: [
          { kind: "test", id: "count", pattern: "counter" },
          { kind: "rtmp", id: "cam" },
        ],
        outputs: [
          { kind: "file", id: "rec", path: "rec.mp4" },
          { kind: "rtmp", id: "push", url: `rtmp://127.0.0.1:${receiver.port}/live/own` },
        ],
      });
      await first.call("layout.set", {
        mix: "m",
        view: "main",
        layout: "speaker",
        assign: { main: "count" },
      });
      await first.happened("m", "output.live", "push");
      await first.sent("m", "rec", 75);
      const workers = first.workers();
      const { atUs, revision } = await first.mix("m");
      for (const pid of whole ? [...workers, first.program.pid] : [first.program.pid])
        process.kill(pid, "SIGKILL");
      await until("no worker is left", () => workers.every((pid) => commandOf(pid) === ""), 2500);
      const before = await framesOf(first.recording("rec.mp4"), [WHOLE]);
      expect((await probe(first.recording("rec.mp4"))).audio).toBeDefined();
      expect(before.pictures).toBeGreaterThan(40);

      await using second = await Served.start(options);
      await until("the mix to run", async () => (await second.mix("m")).state === "running");
      const now = await second.mix("m");
      expect(now.atUs).toBeGreaterThan(atUs);
      expect(now.revision).toBeGreaterThanOrEqual(revision);
      const { placements } = await second.layout("m");
      expect(placements).toMatchObject([{ slot: "main", source: "count", ...WHOLE }]);
      const media = await counterVideo({ seconds: 30, source: 5, tone: 900 });
      await using _back = await publish(media, `rtmp://127.0.0.1:${options.rtmpPort}/live/m?source=cam`);
      await second.happened("m", "source.online", "cam");
      await second.sent("m", "rec", 45);
      await until("the push to go on", () => (receiver.connections[1]?.video.length ?? 0) > 20);
      await sleep(300);
      await second.call("mix.close", { mix: "m" });
      expect((await second.call("mix.list")).length).toBe(0);

      const { parts, gaps } = manifestOf(second.recording("rec.json"));
      expect(parts.map(({ file }) => file)).toEqual(["rec.mp4", "rec.2.mp4"]);
      expect(gaps).toHaveLength(1);
      const endUs = (parts[0]?.startPtsUs ?? 0) + (before.ptsS.at(-1) ?? 0) * 1e6;
      expect(atUs - endUs, "lost at the end of the first part").toBeLessThan(lostUs);
      expect(parts[1]?.startPtsUs).toBeGreaterThan(atUs);
      const after = await framesOf(second.recording("rec.2.mp4"), [WHOLE]);
      expect(after.pictures).toBeGreaterThan(40);
      expect(after.backward).toEqual([]);
      for (const kind of ["video", "audio"] as const)
        expect(backward(receiver.connections.flatMap((one) => one[kind])), kind).toEqual([]);
    },
    90_000,
  );
});
