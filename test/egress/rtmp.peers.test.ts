import { readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, expect, test } from "vitest";
import type { Egress, EgressEvent } from "../../src/egress/egress.ts";
import { openRtmpPush, type RtmpPushOptions } from "../../src/egress/rtmp.ts";
import { LiveClock } from "../../src/media/clock.ts";
import { RTMP_LIMITS } from "../../src/transport/rtmp-connection.ts";
import { FaultyPeer } from "../kit/faults.ts";
import { probe, probePackets } from "../kit/judge.ts";
import { Nginx, Stunnel } from "../kit/nginx.ts";
import { requirePeer } from "../kit/peers.ts";
import { freePort, Program, until } from "../kit/process.ts";
import { FPS, type GeneratedMedia, generateMedia, paced } from "./rtmp-media.ts";
import { collect } from "./rtmp-stream.ts";

const SECONDS = 3;
const clock = new LiveClock();
const opened: Egress[] = [];
let media: GeneratedMedia;
beforeAll(async () => {
  media = await generateMedia(SECONDS);
});
afterEach(async () => {
  for (const egress of opened.splice(0)) await egress.close();
});

function push(
  url: string,
  options: Partial<RtmpPushOptions> = {},
): { egress: Egress; events: EgressEvent[] } {
  const limits = { firstRetryMs: 50, maxRetryMs: 100, stallMs: 1000, ...options.limits };
  const egress = openRtmpPush({ url, streams: media.streams, clock, ...options, limits });
  opened.push(egress);
  return { egress, events: collect(egress.events) };
}

/** The media again and again, at its pace, until stopped. */
function feed(egress: Egress, speed = 1): { stop(): Promise<void> } {
  let on = true;
  const run = async (): Promise<void> => {
    for (let round = 0; on; round++) {
      const packets = media.packets(round * SECONDS * 1e6);
      await paced(packets, clock, (packet) => (on ? egress.push(packet) : undefined), speed);
    }
  };
  const running = run();
  return {
    stop: async () => {
      on = false;
      await running;
    },
  };
}

const retries = (events: readonly EgressEvent[]): EgressEvent[] =>
  events.filter(({ type }) => type === "retrying");

requirePeer("ffmpeg", "nginx-rtmp")("nginx with its RTMP module", () => {
  test("records every picture and every block of sound, and knows codec and size", async () => {
    await using nginx = await Nginx.open({ record: true });
    const { egress, events } = push(`${nginx.url}/whole`);
    await until("live", () => events.some(({ type }) => type === "live"));
    const packets = media.packets(9_000_000);
    const running = paced(packets, clock, (packet) => egress.push(packet));
    const stream = await until("nginx knows the stream", async () =>
      (await nginx.streams()).find(({ name, video, audio }) => name === "whole" && video && audio),
    );
    expect(stream).toMatchObject({ isPublishing: true, video: { codec: "H264", width: 320, height: 240 } });
    expect(stream.audio).toMatchObject({ codec: "AAC", sampleRate: 48_000, channels: 2 });
    await running;
    await egress.close();
    expect(events.map(({ type }) => type)).toEqual(["connecting", "live", "ended"]);
    const file = await until("the recording", async () => {
      const gone = (await nginx.streams()).every(({ name }) => name !== "whole");
      return gone ? nginx.recordings()[0] : undefined;
    });
    const video = await probePackets(file, "v:0");
    expect(video.length).toBe(SECONDS * FPS);
    expect((await probePackets(file, "a:0")).length).toBe(
      packets.filter(({ kind }) => kind === "audio").length,
    );
    const found = await probe(file);
    expect(found.streams.map(({ codec_name }) => codec_name).sort()).toEqual(["aac", "h264"]);
  });

  test("one connection carries it for longer than any of our deadlines, and nothing is dropped", async () => {
    await using nginx = await Nginx.open();
    const egress = openRtmpPush({ url: `${nginx.url}/long`, streams: media.streams, clock });
    opened.push(egress);
    const events = collect(egress.events);
    const feeding = feed(egress);
    const longestMs = RTMP_LIMITS.idleMs + 2000;
    await until("it lasts", async () => ((await nginx.stream("long"))?.timeMs ?? 0) > longestMs, 60_000);
    expect(events.map(({ type }) => type)).toEqual(["connecting", "live"]);
    expect(egress.stats()).toMatchObject({ dropped: 0, retries: 0 });
    await feeding.stop();
  });

  test("its publisher's connection is dropped: live again on the same key, from a key frame", async () => {
    await using nginx = await Nginx.open();
    await using peer = await FaultyPeer.open(nginx.rtmpPort);
    const { egress, events } = push(`rtmp://127.0.0.1:${peer.port}/live/drop`);
    const feeding = feed(egress);
    await until("nginx gets bytes", async () =>
      (await nginx.streams()).some(({ bytesIn }) => bytesIn > 10_000),
    );
    const before = peer.bytesFromClients;
    peer.drop("reset");
    await until("it is live again", () => events.filter(({ type }) => type === "live").length === 2);
    await until("nginx gets bytes again", () => peer.bytesFromClients > before + 10_000);
    expect(retries(events)[0]).toMatchObject({ error: { code: "ERR_PEER_LOST" } });
    await feeding.stop();
  });

  test("it stops reading in the middle: lost after the stall time, then live again", async () => {
    await using nginx = await Nginx.open();
    await using peer = await FaultyPeer.open(nginx.rtmpPort);
    const { egress, events } = push(`rtmp://127.0.0.1:${peer.port}/live/stall`);
    const feeding = feed(egress, 60);
    await until("nginx gets bytes", async () =>
      (await nginx.streams()).some(({ bytesIn }) => bytesIn > 10_000),
    );
    peer.behave("stall");
    await until("it is lost", () => retries(events).length > 0, 60_000);
    expect(retries(events)[0]).toMatchObject({ error: { code: "ERR_PEER_LOST" } });
    peer.behave("pass");
    peer.drop();
    await until("it is live again", () => events.filter(({ type }) => type === "live").length >= 2);
    expect(egress.stats().dropped).toBeGreaterThan(0);
    await feeding.stop();
  });

  test("HEVC, which it does not say it takes, fails for good with a typed error", async () => {
    await using nginx = await Nginx.open();
    const hevc = await generateMedia(1, "hevc");
    const { events } = push(`${nginx.url}/hevc`, { streams: hevc.streams });
    await until("the end", () => events.some(({ type }) => type === "failed"));
    expect(events.at(-1)).toMatchObject({ type: "failed", error: { code: "ERR_NOT_SUPPORTED" } });
  });
});

requirePeer(
  "ffmpeg",
  "nginx-rtmp",
  "stunnel",
  "openssl",
)("RTMPS through stunnel into nginx", () => {
  test("arrives when the certificate is trusted", async () => {
    await using nginx = await Nginx.open();
    await using stunnel = await Stunnel.open(nginx.rtmpPort);
    const tls = { ca: await readFile(stunnel.certificate) };
    const { egress, events } = push(`rtmps://localhost:${stunnel.port}/live/tls`, { tls });
    const feeding = feed(egress);
    await until("nginx gets it", async () => (await nginx.streams()).some(({ bytesIn }) => bytesIn > 10_000));
    expect(events.map(({ type }) => type)).toEqual(["connecting", "live"]);
    await feeding.stop();
  });

  test("is refused when it is not, and not a byte of media goes out", async () => {
    await using nginx = await Nginx.open();
    await using stunnel = await Stunnel.open(nginx.rtmpPort);
    const { egress, events } = push(`rtmps://localhost:${stunnel.port}/live/tls`);
    for (const packet of media.packets().slice(0, 30)) egress.push(packet);
    await until("a retry", () => retries(events).length > 0);
    const message = expect.stringMatching(/certificate/i);
    expect(retries(events)[0]).toMatchObject({ error: { code: "ERR_PEER_UNREACHABLE", message } });
    expect(egress.stats()).toMatchObject({ bytes: 0, frames: 0 });
  });
});

requirePeer("ffmpeg")("ffmpeg listens", () => {
  test("and copies every packet to a file", async () => {
    const port = await freePort();
    const file = join(tmpdir(), `tessera-push-${process.pid}.mkv`);
    const url = `rtmp://127.0.0.1:${port}/live/k`;
    const args = ["-y", "-loglevel", "error", "-listen", "1", "-i", url, "-c", "copy", file];
    const listener = await Program.start("ffmpeg", args);
    const { egress, events } = push(url);
    await until("live", () => events.some(({ type }) => type === "live"));
    await paced(media.packets(), clock, (packet) => egress.push(packet));
    await egress.close();
    await listener.exited;
    expect((await probePackets(file, "v:0")).length).toBe(SECONDS * FPS);
    await rm(file);
  });
});
