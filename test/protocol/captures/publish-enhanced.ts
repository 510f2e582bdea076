/**
 * Publishes a file to an RTMP URL as it is, at the pace of its stamps, with FFmpeg 8.1: the Enhanced RTMP peer,
 * which Debian's ffmpeg 5.1 is too old to be.
 *
 * node test/protocol/captures/publish-enhanced.ts FILE URL
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Demuxer, Muxer } from "node-av";

const [, , input = "", url = ""] = process.argv;
await using demuxer = await Demuxer.open(input);
const muxer = await Muxer.open(url, {
  format: "flv",
  input: demuxer,
  useAsyncWrite: false,
  options: { flvflags: "no_duration_filesize" },
});
const outputs = new Map(demuxer.streams.map((stream) => [stream.index, muxer.addStream(stream)]));
// The source container's tags are not FLV's.
for (const stream of muxer.streams) stream.codecpar.codecTag = 0;
const startMs = performance.now();
for await (using packet of demuxer.packets()) {
  if (packet === null) break;
  const stream = demuxer.streams[packet.streamIndex];
  const output = outputs.get(packet.streamIndex);
  if (stream === undefined || output === undefined) continue;
  const { num, den } = stream.timeBase;
  const dueMs = (Number(packet.dts) * num * 1000) / den;
  await sleep(Math.max(0, startMs + dueMs - performance.now()));
  await muxer.writePacket(packet, output);
}
await muxer.close();
