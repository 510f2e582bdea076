import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { ms, us } from "../../src/core/time.ts";
import type { EgressStreams } from "../../src/egress/egress.ts";
import type { Clock } from "../../src/media/clock.ts";
import type { Packet } from "../../src/media/packet.ts";
import { buildAudioSpecificConfig } from "../../src/protocol/aac.ts";
import { splitAnnexB } from "../../src/protocol/annexb.ts";

const run = promisify(execFile);

/** Coded media made by Debian's ffmpeg, cut into packets by us. */
export interface GeneratedMedia {
  readonly streams: EgressStreams;
  /** In decode order, stamps from `startUs` on. */
  packets(startUs?: number): Packet[];
}

export const FPS = 30;
const GOP = 30;

/** H.264 as Annex B at 30 fps and stereo AAC, of so many seconds. */
export async function generateMedia(
  seconds: number,
  codec: "h264" | "hevc" = "h264",
): Promise<GeneratedMedia> {
  const folder = await mkdtemp(join(tmpdir(), "tessera-media-"));
  try {
    const [video, audio] = [join(folder, `v.${codec}`), join(folder, "a.aac")];
    const common = ["-nostdin", "-hide_banner", "-loglevel", "error", "-t", String(seconds)];
    const x264 = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-x264-params", "aud=1"];
    const x265 = [
      "-c:v",
      "libx265",
      "-preset",
      "ultrafast",
      "-x265-params",
      "aud=1:bframes=0:log-level=error",
    ];
    const picture = ["-f", "lavfi", "-i", `testsrc=size=320x240:rate=${FPS}`, "-t", String(seconds)];
    const encode = [...(codec === "h264" ? x264 : x265), "-pix_fmt", "yuv420p", "-g", String(GOP)];
    await run("ffmpeg", [...common, ...picture, ...encode, "-f", codec, video]);
    const sound = ["-f", "lavfi", "-i", "sine=440:sample_rate=48000", "-t", String(seconds), "-ac", "2"];
    await run("ffmpeg", [...common, ...sound, "-c:a", "aac", "-b:a", "96k", "-f", "adts", audio]);
    return assemble(accessUnits(await readFile(video), codec), adtsFrames(await readFile(audio)), codec);
  } finally {
    await rm(folder, { recursive: true });
  }
}

function assemble(pictures: readonly Buffer[], blocks: readonly Buffer[], codec: string): GeneratedMedia {
  const streams: EgressStreams = {
    video: {
      kind: "video",
      codec,
      widthPx: 320,
      heightPx: 240,
      frameRate: { num: FPS, den: 1 },
      bitrateBps: 500_000,
    },
    audio: {
      kind: "audio",
      codec: "aac",
      extradata: buildAudioSpecificConfig(48_000, 2),
      sampleRate: 48_000,
      channels: 2,
      bitrateBps: 96_000,
    },
  };
  const packets = (startUs = 0): Packet[] => {
    const common = { durationUs: us(0), arrivalUs: us(0) };
    const video = pictures.map((data, index): Packet => {
      const at = us(startUs + (index * 1e6) / FPS);
      return { ...common, kind: "video", data, ptsUs: at, dtsUs: at, keyFrame: index % GOP === 0 };
    });
    const audio = blocks.map((data, index): Packet => {
      const at = us(startUs + (index * 1024 * 1e6) / 48_000);
      return { ...common, kind: "audio", data, ptsUs: at, dtsUs: at, keyFrame: true };
    });
    return [...video, ...audio].sort((a, b) => a.dtsUs - b.dtsUs);
  };
  return { streams, packets };
}

/** Gives packets at the pace of their stamps. */
export async function paced(
  packets: readonly Packet[],
  clock: Clock,
  push: (packet: Packet) => void,
  speed = 1,
): Promise<void> {
  const [first] = packets;
  const startUs = clock.now();
  for (const packet of packets) {
    await clock.sleepUntil(us(startUs + (packet.dtsUs - (first?.dtsUs ?? 0)) / speed));
    push(packet);
  }
}

/** The stream cut in front of each access unit delimiter. */
function accessUnits(stream: Buffer, codec: string): Buffer[] {
  const units: Buffer[] = [];
  let start = -1;
  for (const unit of splitAnnexB(stream)) {
    const first = unit[0] ?? 0;
    const isDelimiter = codec === "h264" ? (first & 31) === 9 : first >> 1 === 35;
    if (!isDelimiter) continue;
    const at = unit.byteOffset - stream.byteOffset - 4;
    if (start >= 0) units.push(stream.subarray(start, at));
    start = at;
  }
  return [...units, stream.subarray(start)];
}

/** ISO/IEC 14496-3 §1.A.3.2: frames of a seven-byte header and raw AAC. */
function adtsFrames(stream: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at + 7 <= stream.length; ) {
    const length = (stream.readUIntBE(at + 3, 3) >> 5) & 0x1fff;
    frames.push(stream.subarray(at + 7, at + length));
    at += length;
  }
  return frames;
}

/** So long that a slow machine finishes, and a hung test does not hang the run. */
export const PATIENCE = ms(20_000);
