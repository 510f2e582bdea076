import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { RawPublisher } from "../door/raw-publisher.ts";
import { counterVideo } from "../kit/media.ts";
import { requirePeer } from "../kit/peers.ts";
import { flvTags, publish } from "./media.ts";
import { Served } from "./served.ts";

/** How long a source that a publish created outlives its publisher. */
const LINGER_MS = 30_000;
/** Seats are looked at about once a second, and a busy machine is late. */
const SLACK_MS = 4000;

requirePeer("ffmpeg")("publishers of sources that nobody declared", () => {
  test("are removed 30 s after they left, unless they come back; so is one that was cut off for trickling", async () => {
    await using node = await Served.start();
    await node.call("mix.create", { id: "m", sources: [{ kind: "rtmp", id: "cam" }] });
    const door = (source: string): string => `rtmp://127.0.0.1:${node.rtmpPort}/live/m?source=${source}`;
    const media = await counterVideo({ seconds: 10, source: 5, tone: 900, container: "flv" });
    const names = ["gone", "back", "cam"];
    const publishers = await Promise.all(names.map((name) => publish(media, door(name))));
    await using slow = await RawPublisher.open(node.rtmpPort);
    expect(await slow.publish("m?source=slow")).toBe("NetStream.Publish.Start");
    for (const { type, timestampMs, body } of flvTags(readFileSync(media)).slice(0, 60))
      slow.send(type, body, 1, timestampMs);
    for (const name of [...names, "slow"]) await node.happened("m", "source.online", name);
    const sources = async (): Promise<string[]> => (await node.mix("m")).sources.map(({ id }) => id).sort();
    expect(await sources()).toEqual(["back", "cam", "gone", "slow"]);

    const trickle = setInterval(() => slow.socket.write(Uint8Array.of(4)), 1000);
    for (const publisher of publishers) await publisher.stop("SIGINT");
    const left = await node.happened("m", "source.offline", "gone");
    await sleep(LINGER_MS / 2);
    await using _back = await publish(media, door("back"));
    await node.happened("m", "source.online", "back", { nth: 2 });
    const removed: { atUs: number } = await node.happened("m", "source.removed", "gone", {
      withinMs: LINGER_MS,
    });
    const afterMs = (removed.atUs - left.atUs) / 1000;
    expect(afterMs).toBeGreaterThan(LINGER_MS - 500);
    expect(afterMs).toBeLessThan(LINGER_MS + SLACK_MS);

    const cut = await node.happened("m", "source.offline", "slow");
    clearInterval(trickle);
    expect(cut.error).toMatchObject({ code: "ERR_LIMIT", fault: "peer" });
    expect(slow.isClosed).toBe(true);
    // Who came back has outlived its own 30 s, and what was declared stays whatever its publisher does.
    await sleep(SLACK_MS);
    expect(await sources()).toEqual(["back", "cam", "slow"]);
    expect(node.eventsOf("m", "source.added", "back")).toHaveLength(1);
    expect((await node.sourceStats("m", "back")).state).toBe("online");
  }, 120_000);

  test("who sends a second at once and ends at once is seen all the same", async () => {
    await using node = await Served.start();
    const outputs = [{ kind: "file", id: "main", path: "main.mp4" }];
    await node.call("mix.create", { id: "m", outputs });
    await node.sent("m", "main", 10);
    const media = await counterVideo({ seconds: 10, source: 5, tone: 900, container: "flv" });
    const tags = flvTags(readFileSync(media)).filter(({ timestampMs }) => timestampMs < 1000);
    for (const name of ["first", "second", "third"]) {
      await using hasty = await RawPublisher.open(node.rtmpPort);
      expect(await hasty.publish(`m?source=${name}`)).toBe("NetStream.Publish.Start");
      hasty.socket.cork();
      for (const { type, timestampMs, body } of tags) hasty.send(type, body, 1, timestampMs);
      hasty.command(0, "deleteStream", 4, null, 1);
      hasty.socket.uncork();
      hasty.socket.end();
      await node.happened("m", "source.online", name, { withinMs: 5000 });
      await node.happened("m", "source.offline", name);
    }
  }, 60_000);
});
