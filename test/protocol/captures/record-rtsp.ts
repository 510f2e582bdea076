/**
 * Records what a real RTSP server sends to FFmpeg over TCP: login, description, and a second of picture and sound. A
 * seed of the fuzz tests. Media is generated.
 *
 * node test/protocol/captures/record-rtsp.ts
 */
import { writeFileSync } from "node:fs";
import { makeMedia } from "../../kit/media.ts";
import { freePort, runToEnd } from "../../kit/process.ts";
import { RtspServer } from "../../kit/rtsp-server.ts";
import { recordThrough } from "./recording-proxy.ts";

const picture = ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=10"];
const sound = ["-f", "lavfi", "-i", "sine=440:sample_rate=48000"];
const codecs = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-b:v", "30k", "-c:a", "aac", "-b:a", "16k"];
const file = await makeMedia([...picture, ...sound, "-t", "1", ...codecs], "mp4");
await using server = await RtspServer.open(file, await freePort());
const read = ["-loglevel", "error", "-rtsp_transport", "tcp", "-i"];
const bytes = await recordThrough(server.port, "server", (port) =>
  runToEnd("ffmpeg", [...read, server.url.replace(`:${server.port}/`, `:${port}/`), "-f", "null", "-"]),
);
writeFileSync(new URL("gst-rtsp-server.rtsp", import.meta.url), bytes);
console.log(bytes.length);
