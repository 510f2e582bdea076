import { readFileSync } from "node:fs";
import type { RequestListener } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { LoopbackServer } from "../ingest/loopback.ts";
import { makeMedia } from "../kit/media.ts";
import { requirePeer } from "../kit/peers.ts";
import { until } from "../kit/process.ts";
import { Stage, sourceSpec } from "./stage.ts";

const PICTURE = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25"];
const media = async (container: string, seconds = 2): Promise<Buffer> => {
  const args = ["-f", "lavfi", "-i", `testsrc2=size=160x96:rate=25:duration=${seconds}`, ...PICTURE];
  return readFileSync(await makeMedia(args, container));
};

/** A mix with one pull, and what its events tell. */
class Pulling implements AsyncDisposable {
  readonly #stage: Stage;

  constructor(url: string, settings: ConstructorParameters<typeof Stage>[1] = {}) {
    this.#stage = new Stage({ views: [{ width: 160, height: 96, fps: 25 }] }, settings);
    this.#stage.mix.addSource(sourceSpec({ id: "s", kind: "pull", url }));
  }

  /** `online`, `ended`, or the code of why it is offline. */
  get told(): string[] {
    return this.#stage.events.flatMap((event) => {
      if (event.type === "source.online") return ["online"];
      if (event.type !== "source.offline") return [];
      return [event.ended === true ? "ended" : (event.error?.code ?? "")];
    });
  }

  get isOver(): boolean {
    return this.#stage.mix.sources.get("s")?.isOver === true;
  }

  waitFor(count: number): Promise<unknown> {
    return until(`${count} events after ${this.told}`, () => this.told.length >= count || undefined, 15_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stage[Symbol.asyncDispose]();
  }
}

/** Sends everything, in chunks of no told length. */
const endless =
  (bytes: Buffer): RequestListener =>
  (_, response) => {
    response.write(bytes);
    response.end();
  };
const whole =
  (bytes: Buffer): RequestListener =>
  (_, response) =>
    response.end(bytes);

requirePeer("ffmpeg")("a pull by HTTP whose connection ends", () => {
  test("is lost and pulled again if it told no end", async () => {
    const bytes = await media("ts");
    await using server = await LoopbackServer.http(endless(bytes));
    await using pulling = new Pulling(`http://${server.address}/radio.ts`);
    await pulling.waitFor(4);
    expect(pulling.told.slice(0, 4)).toEqual(["online", "ERR_PEER_LOST", "online", "ERR_PEER_LOST"]);
  });

  test("is not waited for where the mix ends with its inputs", async () => {
    const bytes = await media("ts");
    await using server = await LoopbackServer.http(endless(bytes));
    await using pulling = new Pulling(`http://${server.address}/radio.ts`, {
      until: { inputsEnd: true },
    });
    await pulling.waitFor(2);
    expect(pulling.told).toEqual(["online", "ERR_PEER_LOST"]);
    expect(pulling.isOver).toBe(true);
  });

  const finite = [
    { name: "a length", container: "ts", answer: whole },
    { name: "a duration, in Matroska", container: "mkv", answer: endless },
    { name: "a duration, in FLV", container: "flv", answer: endless },
  ];
  test.each(finite)("has ended if it told $name", async ({ container, answer }) => {
    const bytes = await media(container);
    await using server = await LoopbackServer.http(answer(bytes));
    await using pulling = new Pulling(`http://${server.address}/file.${container}`);
    await pulling.waitFor(2);
    const { connections } = server;
    await sleep(1500);
    expect(pulling.told).toEqual(["online", "ended"]);
    expect(server.connections).toBe(connections);
  });
});

requirePeer("ffmpeg")("HLS", () => {
  const line = (name: string): string => `#EXTINF:2.000,\n${name}.ts\n`;
  const playlist = (first: number, names: readonly string[], end = ""): string =>
    `#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:${first}\n${names.map(line).join("")}${end}`;

  test("that was live and ended is not played again as a recording, and is back with the next broadcast", async () => {
    const segment = await media("ts");
    const now = { playlist: playlist(0, ["a0"]), asked: 0 };
    await using server = await LoopbackServer.http((request, response) => {
      const isPlaylist = request.url === "/live.m3u8";
      if (isPlaylist) now.asked += 1;
      response.end(isPlaylist ? now.playlist : segment);
    });
    await using pulling = new Pulling(`http://${server.address}/live.m3u8`);
    await pulling.waitFor(1);
    now.playlist = playlist(0, ["a0"], "#EXT-X-ENDLIST\n");
    await pulling.waitFor(2);
    const { asked } = now;
    await until("it is asked for twice more", () => now.asked >= asked + 2 || undefined, 15_000);
    await sleep(500);
    expect(pulling.told).toEqual(["online", "ERR_PEER_LOST"]);
    now.playlist = playlist(0, ["b0"]);
    await pulling.waitFor(3);
    expect(pulling.told).toEqual(["online", "ERR_PEER_LOST", "online"]);
  });

  test("of a recording has ended with it", async () => {
    const segment = await media("ts");
    await using server = await LoopbackServer.http((request, response) => {
      response.end(request.url === "/vod.m3u8" ? playlist(0, ["a0", "a1"], "#EXT-X-ENDLIST\n") : segment);
    });
    await using pulling = new Pulling(`http://${server.address}/vod.m3u8`);
    await pulling.waitFor(2);
    expect(pulling.told).toEqual(["online", "ended"]);
  });
});
