import { statSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RtmpDoor } from "../../src/door/rtmp.ts";
import type { PublishRequest, RtmpPublish } from "../../src/door/rtmp-publish.ts";
import type { PublishDecision } from "../../src/door/rtmp-session.ts";
import { LiveClock } from "../../src/media/clock.ts";
import type { Packet } from "../../src/media/packet.ts";
import { splitLengthPrefixed } from "../../src/protocol/annexb.ts";
import { makeMedia } from "../kit/media.ts";
import { makeCertificate } from "../kit/nginx.ts";
import { requirePeer } from "../kit/peers.ts";
import { NODE, Program, runToEnd, until } from "../kit/process.ts";

interface Taken {
  readonly publish: RtmpPublish;
  readonly packets: Packet[];
  /** Settles when its last packet is in {@link packets}, with why it ended. */
  readonly ended: Promise<unknown>;
}

/** Takes everything that a door gets, as fast as it comes or one packet in so many milliseconds. */
async function openDoor({
  tls,
  readEveryMs = 0,
}: {
  tls?: { key: Buffer; cert: Buffer };
  readEveryMs?: number;
} = {}): Promise<{ door: RtmpDoor; url: string; taken: Taken[] }> {
  const authorize = ({ name }: PublishRequest): Promise<PublishDecision> =>
    Promise.resolve(
      name === "denied"
        ? { allow: false, code: "Unauthorized", description: "that token is not ours" }
        : { allow: true },
    );
  const common = { host: "127.0.0.1", port: 0, clock: new LiveClock(), authorize };
  const door = await RtmpDoor.listen({ ...common, ...(tls === undefined ? {} : { tls }) });
  const taken: Taken[] = [];
  void (async () => {
    for await (const publish of door) {
      const packets: Packet[] = [];
      const read = async (): Promise<unknown> => {
        for await (const packet of publish.packets) {
          packets.push(packet);
          if (readEveryMs > 0) await sleep(readEveryMs);
        }
        return publish.closed;
      };
      taken.push({ publish, packets, ended: read() });
    }
  })();
  return {
    door,
    url: `${tls === undefined ? "rtmp" : "rtmps"}://127.0.0.1:${door.address.port}/live`,
    taken,
  };
}

const SECONDS = 2;
const picture = ["-f", "lavfi", "-i", "testsrc=size=160x120:rate=30"];
const sound = ["-f", "lavfi", "-i", "sine=440:sample_rate=48000"];
const x264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "30"];
const publishArgs = (url: string): string[] => [
  ...["-loglevel", "error", "-re", ...picture, ...sound, "-t", String(SECONDS), ...x264],
  ...["-c:a", "aac", "-b:a", "64k", "-f", "flv", url],
];

const ofKind = (taken: Taken | undefined, kind: string): Packet[] =>
  (taken?.packets ?? []).filter((packet) => packet.kind === kind);

/** Every stamp in order, in milliseconds steps that fit the rate. */
function expectEvenStamps(packets: readonly Packet[], stepMs: number): void {
  const stamps = packets.map(({ dtsUs }) => dtsUs / 1000);
  for (let index = 1; index < stamps.length; index++) {
    const step = (stamps[index] ?? 0) - (stamps[index - 1] ?? 0);
    expect(Math.abs(step - stepMs)).toBeLessThanOrEqual(1);
  }
}

requirePeer("ffmpeg")("ffmpeg publishes", () => {
  test("every picture and every block of sound arrives, with its stamp and arrival", async () => {
    const { door, url, taken } = await openDoor();
    await using _door = door;
    await runToEnd("ffmpeg", publishArgs(`${url}/one?source=cam`));
    expect(await taken[0]?.ended).toBeUndefined();
    const [video, audio] = [ofKind(taken[0], "video"), ofKind(taken[0], "audio")];
    expect(video.length).toBe(SECONDS * 30);
    expect(audio.length).toBeGreaterThanOrEqual(Math.floor((SECONDS * 48_000) / 1024));
    expectEvenStamps(video, 1000 / 30);
    expectEvenStamps(audio, 1024 / 48);
    expect(video[0]?.info).toMatchObject({
      codec: "h264",
      widthPx: 160,
      heightPx: 120,
      frameRate: { num: 30, den: 1 },
    });
    expect(audio[0]?.info).toMatchObject({ codec: "aac", sampleRate: 48_000, channels: 1 });
    expect(video.filter(({ keyFrame }) => keyFrame).length).toBe(SECONDS);
    expect(taken[0]?.publish.stats()).toMatchObject({
      bad: 0,
      ignored: 0,
      metadata: { encoder: expect.stringMatching(/Lavf/) },
    });
    const arrivals = video.map(({ arrivalUs }) => arrivalUs);
    expect(arrivals.at(-1) ?? 0).toBeGreaterThan((arrivals[0] ?? 0) + (SECONDS - 1) * 1e6);
  });

  test("ten publish at once, each whole", async () => {
    const { door, url, taken } = await openDoor();
    await using _door = door;
    const file = await makeMedia(
      [...picture, ...sound, "-t", String(SECONDS), ...x264, "-c:a", "aac"],
      "mp4",
    );
    const copy = (name: number): Promise<unknown> =>
      runToEnd("ffmpeg", [
        "-loglevel",
        "error",
        "-re",
        "-i",
        file,
        "-c",
        "copy",
        "-f",
        "flv",
        `${url}/${name}`,
      ]);
    await Promise.all(Array.from({ length: 10 }, (_, name) => copy(name)));
    expect(taken.length).toBe(10);
    await Promise.all(taken.map(({ ended }) => ended));
    for (const one of taken) expect(ofKind(one, "video").length).toBe(SECONDS * 30);
  });

  test("who sends faster than is read, and hangs up, loses nothing of what was sent", async () => {
    const seconds = 20;
    const noise = `color=gray:s=640x360:r=30:d=${seconds},noise=alls=90:allf=t,format=yuv420p`;
    const rate = ["-b:v", "8M", "-maxrate", "8M", "-bufsize", "8M"];
    const file = await makeMedia(["-f", "lavfi", "-i", noise, ...x264, ...rate], "flv");
    const { door, url, taken } = await openDoor({ readEveryMs: 5 });
    await using _door = door;
    await runToEnd("ffmpeg", ["-loglevel", "error", "-i", file, "-c", "copy", "-f", "flv", `${url}/fast`]);
    // It bit: more than what a window of acknowledgements is for was still to be read when it was gone.
    const left =
      statSync(file).size - ofKind(taken[0], "video").reduce((sum, { data }) => sum + data.length, 0);
    expect(left).toBeGreaterThan(2_500_000);
    expect(await taken[0]?.ended, "it ended its publish, and that was read").toBeUndefined();
    expect(ofKind(taken[0], "video").length).toBe(seconds * 30);
  });

  test("a refusal reads in ffmpeg's own words, and it exits with an error", async () => {
    const { door, url } = await openDoor();
    await using _door = door;
    const program = await Program.start("ffmpeg", publishArgs(`${url}/denied`));
    const { code, stderr } = await program.exited;
    expect(code).not.toBe(0);
    expect(stderr).toContain("that token is not ours");
  });

  test("a key in use is refused to the second, and the first goes on", async () => {
    const { door, url, taken } = await openDoor();
    await using _door = door;
    const first = runToEnd("ffmpeg", publishArgs(`${url}/key`));
    await until("the first publishes", () => taken.length === 1 && taken[0]?.packets.length);
    const second = await Program.start("ffmpeg", publishArgs(`${url}/key`));
    const { code, stderr } = await second.exited;
    expect(code).not.toBe(0);
    expect(stderr).toContain("publishing under this name");
    await first;
    await taken[0]?.ended;
    expect(ofKind(taken[0], "video").length).toBe(SECONDS * 30);
  });

  test("an encoder that is killed leaves a typed reason, and its key is free at once", async () => {
    const { door, url, taken } = await openDoor();
    await using _door = door;
    const program = await Program.start("ffmpeg", publishArgs(`${url}/killed`));
    await until("it publishes", () => (taken[0]?.packets.length ?? 0) > 10);
    process.kill(program.pid, "SIGKILL");
    expect(await taken[0]?.ended).toMatchObject({ code: "ERR_PEER_LOST" });
    await runToEnd("ffmpeg", publishArgs(`${url}/killed`));
    expect(taken.length).toBe(2);
  });

  test("what only keeps up a bit rate is left out", async () => {
    const { door, url, taken } = await openDoor();
    await using _door = door;
    const rate = ["-b:v", "2M", "-maxrate", "2M", "-bufsize", "2M"];
    const codec = ["-c:v", "libx264", "-pix_fmt", "yuv420p", ...rate, "-x264-params", "nal-hrd=cbr"];
    const still = ["-f", "lavfi", "-i", "color=gray:size=160x120:rate=30:duration=2", ...codec];
    const file = await makeMedia(still, "flv");
    await runToEnd("ffmpeg", ["-loglevel", "error", "-i", file, "-c", "copy", "-f", "flv", `${url}/cbr`]);
    await taken[0]?.ended;
    const video = ofKind(taken[0], "video");
    const units = video.flatMap(({ data }) =>
      splitLengthPrefixed(data, 4).map((unit) => (unit[0] ?? 0) & 31),
    );
    expect(statSync(file).size, "it was there").toBeGreaterThan(200_000);
    expect(video.reduce((sum, { data }) => sum + data.length, 0)).toBeLessThan(100_000);
    expect(video.length).toBe(60);
    expect(units).not.toContain(12);
  });

  test("B-frames keep composition times, and audio may be MP3 or G.711", async () => {
    const { door, url, taken } = await openDoor();
    await using _door = door;
    const video = [...x264, "-x264-params", "bframes=2:b-adapt=0"];
    await runToEnd("ffmpeg", [
      "-loglevel",
      "error",
      "-re",
      ...picture,
      "-t",
      "1",
      ...video,
      "-f",
      "flv",
      `${url}/b`,
    ]);
    await taken[0]?.ended;
    const shown = ofKind(taken[0], "video").map(({ ptsUs }) => ptsUs);
    expect(shown.some((pts, index) => index > 0 && pts < (shown[index - 1] ?? 0))).toBe(true);
    expectEvenStamps(
      ofKind(taken[0], "video")
        .map((packet) => packet)
        .sort((a, b) => a.ptsUs - b.ptsUs)
        .map((packet) => ({ ...packet, dtsUs: packet.ptsUs })),
      1000 / 30,
    );
    const codecs = {
      mp3: ["libmp3lame", "44100"],
      pcm_mulaw: ["pcm_mulaw", "8000"],
      pcm_alaw: ["pcm_alaw", "8000"],
    };
    for (const [codec, [encoder = "", rate = ""]] of Object.entries(codecs)) {
      const audio = ["-c:a", encoder, "-ar", rate, "-ac", "1"];
      await runToEnd("ffmpeg", [
        "-loglevel",
        "error",
        "-re",
        ...sound,
        "-t",
        "0.5",
        ...audio,
        "-f",
        "flv",
        `${url}/${codec}`,
      ]);
      await taken.at(-1)?.ended;
      const first = taken.at(-1)?.packets[0];
      expect(first?.info).toMatchObject({ kind: "audio", codec, sampleRate: Number(rate), channels: 1 });
    }
  });
});

requirePeer("ffmpeg", "openssl")("RTMPS", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "tessera-rtmps-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("ffmpeg publishes over TLS", async () => {
    const made = await makeCertificate(folder);
    const tls = { key: await readFile(made.key), cert: await readFile(made.cert) };
    const { door, url, taken } = await openDoor({ tls });
    await using _door = door;
    await runToEnd("ffmpeg", publishArgs(`${url}/secure`));
    await taken[0]?.ended;
    expect(ofKind(taken[0], "video").length).toBe(SECONDS * 30);
  });
});

requirePeer("gstreamer")("GStreamer publishes", () => {
  test("rtmp2sink with H.264 and AAC", async () => {
    const { door, url, taken } = await openDoor();
    await using _door = door;
    await runToEnd("gst-launch-1.0", [
      "-q",
      ..."videotestsrc is-live=true num-buffers=60 ! video/x-raw,width=160,height=120,framerate=30/1".split(
        " ",
      ),
      ..."! x264enc tune=zerolatency key-int-max=30 speed-preset=ultrafast ! h264parse".split(" "),
      ..."! flvmux name=m streamable=true ! rtmp2sink".split(" "),
      `location=${url}/gst`,
      ..."audiotestsrc is-live=true num-buffers=90 ! avenc_aac ! aacparse ! m.".split(" "),
    ]);
    expect(await taken[0]?.ended).toBeUndefined();
    expect(ofKind(taken[0], "video").length).toBe(60);
    expect(ofKind(taken[0], "audio")[0]?.info).toMatchObject({ codec: "aac", sampleRate: 44_100 });
    expect(taken[0]?.publish.stats().bad).toBe(0);
  });
});

requirePeer("ffmpeg")("Enhanced RTMP from FFmpeg 8.1", () => {
  const script = fileURLToPath(new URL("../protocol/captures/publish-enhanced.ts", import.meta.url));
  const cases = [
    {
      video: "hevc",
      audio: "opus",
      codec: [
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-x265-params",
        "log-level=error",
        "-c:a",
        "libopus",
      ],
    },
    {
      video: "av1",
      audio: "flac",
      codec: ["-c:v", "libsvtav1", "-preset", "12", "-c:a", "flac", "-strict", "-2"],
    },
    {
      video: "vp9",
      audio: "opus",
      codec: ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-c:a", "libopus"],
    },
  ];
  for (const { video, audio, codec } of cases) {
    test(`${video} with ${audio}`, async () => {
      const { door, url, taken } = await openDoor();
      await using _door = door;
      const args = [...picture, ...sound, "-t", "1", "-pix_fmt", "yuv420p", "-g", "15", ...codec];
      await runToEnd(NODE, [script, await makeMedia(args, "mkv"), `${url}/e`]);
      await taken[0]?.ended;
      expect(ofKind(taken[0], "video")[0]?.info?.codec).toBe(video);
      expect(ofKind(taken[0], "audio")[0]?.info?.codec).toBe(audio);
      expect(ofKind(taken[0], "video").length).toBe(30);
      expect(taken[0]?.publish.stats()).toMatchObject({ bad: 0, ignored: 0 });
    });
  }
});
