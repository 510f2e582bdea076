import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { us } from "../../src/core/time.ts";
import type { EgressStreams } from "../../src/egress/egress.ts";
import { openRtp } from "../../src/egress/rtp.ts";
import { LiveClock } from "../../src/media/clock.ts";
import type { Packet } from "../../src/media/packet.ts";
import { decodePcm } from "../kit/decode.ts";
import { requirePeer } from "../kit/peers.ts";
import { freeUdpPort, Program, runToEnd } from "../kit/process.ts";
import { toneLevelDb } from "../kit/spectrum.ts";
import { paced } from "./rtmp-media.ts";

/** RFC 3533: the packets of an Ogg file's pages, header packets first. */
function oggPackets(file: Buffer): Buffer[] {
  const packets: Buffer[] = [];
  let partial: Buffer[] = [];
  for (let at = 0; at + 27 <= file.length; ) {
    const count = file[at + 26] ?? 0;
    let body = at + 27 + count;
    for (const lacing of file.subarray(at + 27, at + 27 + count)) {
      partial.push(file.subarray(body, body + lacing));
      body += lacing;
      if (lacing === 255) continue;
      packets.push(Buffer.concat(partial));
      partial = [];
    }
    at = body;
  }
  return packets;
}

requirePeer("ffmpeg")("ffmpeg receives by our description", () => {
  test("and hears the tone that was sent", async () => {
    const folder = await mkdtemp(join(tmpdir(), "tessera-rtp-"));
    try {
      const [ogg, sdp, wav] = [join(folder, "a.ogg"), join(folder, "a.sdp"), join(folder, "a.wav")];
      const tone = ["-f", "lavfi", "-i", "sine=1000:sample_rate=48000", "-t", "4", "-ac", "2"];
      await runToEnd("ffmpeg", ["-loglevel", "error", ...tone, "-c:a", "libopus", "-b:a", "64k", ogg]);
      const blocks = oggPackets(await readFile(ogg)).slice(2);
      const clock = new LiveClock();
      const streams: EgressStreams = {
        audio: { kind: "audio", codec: "opus", sampleRate: 48_000, channels: 2, bitrateBps: 64_000 },
      };
      await using egress = openRtp({ host: "127.0.0.1", audioPort: await freeUdpPort(), streams, clock });
      await writeFile(sdp, egress.sdp());
      const args = [
        "-y",
        "-loglevel",
        "error",
        "-protocol_whitelist",
        "file,rtp,udp",
        "-i",
        sdp,
        "-t",
        "2",
        wav,
      ];
      const listener = await Program.start("ffmpeg", args);
      const packets = blocks.map((data, index): Packet => {
        const at = us(index * 20_000);
        return {
          kind: "audio",
          data,
          ptsUs: at,
          dtsUs: at,
          durationUs: us(20_000),
          keyFrame: true,
          arrivalUs: us(0),
        };
      });
      await paced(packets, clock, (packet) => egress.push(packet));
      await listener.exited;
      const { samples } = await decodePcm(wav, { channels: 1 });
      expect(samples.length).toBeGreaterThan(48_000);
      const middle = samples.subarray(12_000, 36_000);
      expect(toneLevelDb(middle, 1000)).toBeGreaterThan(toneLevelDb(middle, 3000) + 40);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
