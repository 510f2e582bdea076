import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { expect, test } from "vitest";
import type { SourceStatus } from "../../src/contract/status.ts";
import { RTMP } from "../../src/protocol/rtmp-message.ts";
import { RawPublisher } from "../door/raw-publisher.ts";
import { Folder } from "../kit/folder.ts";
import { counterVideo } from "../kit/media.ts";
import { makeCertificate } from "../kit/nginx.ts";
import { requirePeer } from "../kit/peers.ts";
import { freePort, Program, until } from "../kit/process.ts";
import { confessed, expectEveryPicture, framesOf } from "./frames.ts";
import { flvTags, manifestOf, publish, randomFrom } from "./media.ts";
import { Served } from "./served.ts";

const VIEW = { id: "main", width: 640, height: 360 };
const WHOLE = { x: 0, y: 0, width: 640, height: 360 };
const counter = { kind: "test", id: "count", pattern: "counter" };

/** GStreamer's encoder and RTMP client. */
const publishWithGStreamer = (url: string): Promise<Program> => {
  const picture = "videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=30/1 !";
  const coded = "x264enc tune=zerolatency key-int-max=30 speed-preset=ultrafast ! h264parse !";
  const sound = "audiotestsrc is-live=true ! avenc_aac ! aacparse ! m.";
  const line = `${picture} ${coded} flvmux name=m streamable=true ! rtmp2sink location=${url} ${sound}`;
  return Program.start("gst-launch-1.0", ["-q", ...line.split(" ")]);
};

requirePeer("ffmpeg", "gstreamer")("publishers at the RTMP door", () => {
  test("come, go and come back, declared or not, and only with a token", async () => {
    const token = "the-token-of-this-node";
    await using node = await Served.start({ token });
    const sources = [{ kind: "rtmp", id: "cam" }];
    const outputs = [{ kind: "file", id: "main", path: "main.mp4" }];
    await node.call("mix.create", { id: "m", views: [VIEW], sources, outputs });
    const issued = await node.call("token.issue", { mix: "m", actions: ["publish"], ttlS: 120 });
    const door = (source: string, key: string): string =>
      `rtmp://127.0.0.1:${node.rtmpPort}/live/m?source=${source}&token=${key}`;
    const media = await counterVideo({ seconds: 30, source: 5, tone: 900 });

    for (const refused of [
      door("cam", "wrong"),
      door("guest", ""),
      `rtmp://127.0.0.1:${node.rtmpPort}/live/m`,
    ]) {
      await using program = await publish(media, refused, 5);
      expect((await program.exited).code, refused).not.toBe(0);
    }
    expect(node.eventsOf("m", "source.online")).toEqual([]);

    await using camera = await publish(media, door("cam", issued.token));
    await using guest = await publishWithGStreamer(door("guest", issued.token));
    await node.happened("m", "source.online", "cam");
    await node.happened("m", "source.added", "guest");
    await node.happened("m", "source.online", "guest");
    for (const source of ["cam", "guest"]) {
      await using intruder = await publish(media, door(source, issued.token), 5);
      expect((await intruder.exited).code, source).not.toBe(0);
    }
    const seen = await until("pictures of both", async () => {
      const { sources: all } = await node.stats("m");
      return all.every(({ decoded }) => decoded > 15) ? all : undefined;
    });
    expect(seen.map(({ id, codec }) => [id, codec])).toEqual([
      ["cam", { video: "h264", audio: "aac" }],
      ["guest", { video: "h264", audio: "aac" }],
    ]);

    await camera.stop("SIGINT");
    await guest.stop("SIGKILL");
    await node.happened("m", "source.offline", "cam");
    await node.happened("m", "source.offline", "guest");
    const { sources: left } = await node.mix("m");
    expect(left.map(({ id, state }) => [id, state])).toEqual([
      ["cam", "offline"],
      ["guest", "offline"],
    ]);
    await using _back = await publish(media, door("cam", issued.token));
    await using _again = await publishWithGStreamer(door("guest", issued.token));
    await node.happened("m", "source.online", "cam", { nth: 2 });
    await node.happened("m", "source.online", "guest", { nth: 2 });
    expect(node.eventsOf("m", "source.added", "guest")).toHaveLength(1);
    expect(node.eventsOf("m", "source.removed")).toEqual([]);
  }, 90_000);

  test("whose encoder sends B-frames are played no later for it: those are out of order, not late", async () => {
    await using node = await Served.start();
    const outputs = [{ kind: "file", id: "main", path: "main.mp4" }];
    await node.call("mix.create", { id: "m", views: [VIEW], outputs });
    // Always two of them: in the order of sending, stamps are out of step by three pictures, which is 100 ms.
    const codec = ["-bf", "2", "-b_strategy", "0"];
    const media = await counterVideo({ seconds: 30, width: 320, height: 180, codec });
    await using _camera = await publish(media, `rtmp://127.0.0.1:${node.rtmpPort}/live/m?source=cam`);
    await node.happened("m", "source.online", "cam");
    const isPrompt = ({ decoded, jitterMs, delayMs }: SourceStatus): boolean =>
      decoded > 60 && jitterMs < 90 && delayMs < 130;
    // What joining cost, or a busy machine, is remembered for ten seconds; their order would be there for ever.
    await until(
      "no delay but the network's",
      async () => isPrompt(await node.sourceStats("m", "cam")),
      60_000,
    );
  }, 90_000);

  test("mean harm and do none: mutated packets, one byte a second, chunks of 16 MB", async () => {
    await using node = await Served.start();
    const media = await counterVideo({ seconds: 10, source: 5, tone: 900, container: "flv" });
    await node.call("mix.create", {
      id: "m",
      views: [VIEW],
      sources: [counter],
      outputs: [
        { kind: "file", id: "main", path: "main.mp4" },
        { kind: "file", id: "rec", path: "rec.mkv", source: "count", video: VIEW_SIZE },
      ],
    });
    await node.sent("m", "rec", 30);
    const { atUs: fromUs } = await node.mix("m");
    const rssBefore = (await node.stats("m")).process.rssBytes;

    const tags = flvTags(readFileSync(media));
    const random = randomFrom(1);
    const open = (): Promise<RawPublisher> => RawPublisher.open(node.rtmpPort);
    await using mutated = await open();
    await using torn = await open();
    await using slow = await open();
    await using huge = await open();
    expect(await mutated.publish("m?source=mutated")).toBe("NetStream.Publish.Start");
    expect(await torn.publish("m?source=torn")).toBe("NetStream.Publish.Start");
    expect(await huge.publish("m?source=huge")).toBe("NetStream.Publish.Start");
    // The 16 MB that it announces never come: a chunk size of 0xffffff and a message of as many bytes.
    huge.send(RTMP.setChunkSize, Uint8Array.of(0, 0xff, 0xff, 0xff), 0, 0, 2);
    huge.socket.write(Buffer.from("06000000ffffff0901000000", "hex"));
    for (let second = 0; second < 5; second++) {
      slow.socket.write(Uint8Array.of(3));
      for (const { type, timestampMs, body } of tags.slice(second * 70, (second + 1) * 70)) {
        const bad = body.map((byte) => (random() < 0.01 ? Math.floor(random() * 256) : byte));
        mutated.send(type, timestampMs < 200 ? body : bad, 1, timestampMs);
        if (second < 3) torn.send(type, body, 1, timestampMs);
        if (!huge.isClosed) huge.socket.write(Buffer.alloc(20_000, second));
      }
      // From inside a message on: garbage where a chunk header should be.
      if (second === 3) torn.socket.write(Buffer.from(tags.slice(0, 20).flatMap(({ body }) => [...body])));
      await sleep(900);
    }
    const { sources, process } = await node.stats("m");
    expect(
      sources.find(({ id }) => id === "mutated")?.decoded,
      "it got through to the decoder",
    ).toBeGreaterThan(5);
    await until("the torn one is closed", () => torn.isClosed);
    expect(process.rssBytes - rssBefore).toBeLessThan(150e6);
    const { atUs: toUs } = await node.mix("m");
    await sleep(400);
    const after = await node.stats("m");
    await node.call("mix.close", { mix: "m" });

    const { parts } = manifestOf(node.recording("rec.json"));
    expect(parts).toHaveLength(1);
    const start = parts[0]?.startPtsUs ?? 0;
    const frames = await framesOf(node.recording("rec.mkv"), [WHOLE], after);
    expect((frames.ptsS.at(-1) ?? 0) * 1e6 + start).toBeGreaterThan(toUs - 100_000);
    expect(fromUs).toBeGreaterThan(start);
    expectEveryPicture(frames, confessed(undefined, after, after.views[1]?.id));
    expect(node.eventsOf("m", "mix.restarted")).toEqual([]);
  }, 90_000);
});

requirePeer("ffmpeg", "openssl")("publishers at the RTMPS door", () => {
  test("come in over TLS, and whoever speaks something else there is cut off and harms nobody", async () => {
    using folder = new Folder();
    const { cert, key } = await makeCertificate(folder.path);
    const port = await freePort();
    const args = ["--rtmps", `127.0.0.1:${port}`, "--tls-cert", cert, "--tls-key", key];
    await using node = await Served.start({ args });
    const outputs = [{ kind: "file", id: "main", path: "main.mp4" }];
    const sources = [{ kind: "rtmp", id: "cam" }];
    await node.call("mix.create", { id: "m", views: [VIEW], sources, outputs });
    const media = await counterVideo({ seconds: 40, source: 5, tone: 900 });
    await using _camera = await publish(media, `rtmps://127.0.0.1:${port}/live/m?source=cam`);
    await until("its pictures", async () => (await node.sourceStats("m", "cam")).decoded > 60);
    await node.call("output.add", { mix: "m", output: { kind: "file", id: "rec", path: "rec.mkv" } });
    await node.sent("m", "rec", 30);
    const before = await node.stats("m");

    await using plain = await RawPublisher.open(port);
    await using mute = await RawPublisher.open(port);
    expect(await plain.publish("m?source=other"), "plain RTMP where TLS is spoken").toBeUndefined();
    const secure = connectTls({ port: node.rtmpPort, host: "127.0.0.1", rejectUnauthorized: false });
    secure.on("error", () => {}); // What it is told when it is cut off does not matter.
    await until("TLS where plain RTMP is spoken is cut off", () => secure.destroyed);
    await until("who says nothing is cut off", () => mute.isClosed);
    await using intruder = await publish(media, `rtmps://127.0.0.1:${port}/live/m?source=cam`, 5);
    expect((await intruder.exited).code, "the key is in use at either door").not.toBe(0);
    await using other = await publish(media, `rtmp://127.0.0.1:${node.rtmpPort}/live/m?source=cam`, 5);
    expect((await other.exited).code, "the key is in use at either door").not.toBe(0);

    const after = await node.stats("m");
    await node.call("mix.close", { mix: "m" });
    expect(node.eventsOf("m", "source.online")).toHaveLength(1);
    expect(node.eventsOf("m", "source.added", "other")).toEqual([]);
    const frames = await framesOf(node.recording("rec.mkv"), [WHOLE], after);
    expect(frames.pictures).toBeGreaterThan(150);
    expectEveryPicture(frames, confessed(before, after));
  }, 90_000);
});

const VIEW_SIZE = { width: VIEW.width, height: VIEW.height };
