import { openRecording } from "../../src/egress/file.ts";
import { LiveClock, wallTimeMs } from "../../src/media/clock.ts";
import { encodeMedia } from "./recording-media.ts";

/** Records at real speed until it is killed; says on each line of stdout how much of the mix it has been given. */
const [path = ""] = process.argv.slice(2);
const { streams, packets } = encodeMedia({ frames: 300 });
const clock = new LiveClock();
const recording = openRecording({ path, streams, clock, startWallMs: wallTimeMs(), mix: "m", output: "o" });
for (const packet of packets) {
  await clock.sleepUntil(packet.ptsUs);
  recording.push(packet);
  if (packet.kind === "video") process.stdout.write(`${packet.ptsUs + packet.durationUs}\n`);
}
await recording.close();
