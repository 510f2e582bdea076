/**
 * Records what real encoders send when they publish: the seeds of the fuzz tests. Media is generated.
 *
 * node test/protocol/captures/record.ts
 */
import { writeFileSync } from "node:fs";
import { RtmpDoor } from "../../../src/door/rtmp.ts";
import { LiveClock } from "../../../src/media/clock.ts";
import { makeMedia } from "../../kit/media.ts";
import { NODE, runToEnd } from "../../kit/process.ts";
import { recordThrough } from "./recording-proxy.ts";

const folder = new URL(".", import.meta.url);
await using door = await RtmpDoor.listen({
  host: "127.0.0.1",
  port: 0,
  clock: new LiveClock(),
  authorize: () => Promise.resolve({ allow: true }),
});
void takeAll();

async function takeAll(): Promise<void> {
  for await (const publish of door) void readAll(publish.packets);
}

async function readAll(packets: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of packets);
}

/** Records what an encoder sends to the door. */
async function record(name: string, publish: (url: string) => Promise<unknown>): Promise<void> {
  const bytes = await recordThrough(door.address.port, "client", (port) =>
    publish(`rtmp://127.0.0.1:${port}/live/capture?token=secret`),
  );
  writeFileSync(new URL(`${name}.bin`, folder), bytes);
  console.log(name, bytes.length);
}

const picture = ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=10"];
const sound = ["-f", "lavfi", "-i", "sine=440:sample_rate=48000"];
const x264 = [
  "-c:v",
  "libx264",
  "-preset",
  "ultrafast",
  "-pix_fmt",
  "yuv420p",
  "-g",
  "5",
  "-b:v",
  "30k",
  "-bf",
  "2",
];

await record("ffmpeg", (url) =>
  runToEnd("ffmpeg", [
    "-loglevel",
    "error",
    "-re",
    ...picture,
    ...sound,
    "-t",
    "1.5",
    ...x264,
    "-c:a",
    "aac",
    "-b:a",
    "16k",
    "-f",
    "flv",
    url,
  ]),
);
await record("gstreamer", (url) =>
  runToEnd("gst-launch-1.0", [
    "-q",
    ..."videotestsrc is-live=true num-buffers=15 ! video/x-raw,width=64,height=64,framerate=10/1".split(" "),
    ..."! x264enc tune=zerolatency key-int-max=5 bitrate=30 speed-preset=ultrafast ! h264parse".split(" "),
    ..."! flvmux name=m streamable=true ! rtmp2sink".split(" "),
    `location=${url}`,
    ..."audiotestsrc is-live=true num-buffers=70 ! avenc_aac bitrate=16000 ! aacparse ! m.".split(" "),
  ]),
);
const codecs = {
  "enhanced-hevc-opus": ["-c:v", "libx265", "-x265-params", "log-level=error", "-c:a", "libopus"],
  "enhanced-av1-flac": [
    "-c:v",
    "libsvtav1",
    "-preset",
    "12",
    "-c:a",
    "flac",
    "-ar",
    "16000",
    "-strict",
    "-2",
  ],
  "enhanced-vp9-opus": ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-b:v", "30k", "-c:a", "libopus"],
};
for (const [name, codec] of Object.entries(codecs)) {
  const file = await makeMedia(
    [...picture, ...sound, "-t", "1", "-pix_fmt", "yuv420p", "-g", "5", ...codec],
    "mkv",
  );
  const script = new URL("publish-enhanced.ts", folder).pathname;
  await record(name, (url) => runToEnd(NODE, [script, file, url]));
}
