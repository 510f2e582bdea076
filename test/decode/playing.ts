import { createHash } from "node:crypto";
import { AudioDecoder, type AudioDecoderStats } from "../../src/decode/audio.ts";
import { VideoDecoder, type VideoDecoderOptions, type VideoDecoderStats } from "../../src/decode/video.ts";
import { openFile } from "../../src/ingest/file.ts";
import { VirtualClock } from "../../src/media/clock.ts";
import type { AudioBlock } from "../../src/media/frame.ts";
import type { Packet } from "../../src/media/packet.ts";
import type { AudioStreamInfo, Orientation, VideoStreamInfo } from "../../src/media/stream-info.ts";
import type { NativeFrame } from "../../src/native/frame.ts";
import { runToEnd } from "../kit/process.ts";

/** A decoded picture without its memory. */
export interface Shown {
  readonly ptsUs: number;
  readonly durationUs: number;
  readonly widthPx: number;
  readonly heightPx: number;
  readonly pixelAspect: number;
  readonly orientation: Orientation;
  /** MD5 of the picture's planes without padding, as ffmpeg's `framemd5` computes it. */
  readonly md5: string;
  /** Mean of the first plane. */
  readonly luma: number;
}

/** All that came out of a file. */
export interface Played {
  readonly packets: readonly Packet[];
  readonly pictures: readonly Shown[];
  readonly blocks: readonly AudioBlock[];
  readonly video: VideoDecoderStats | undefined;
  readonly audio: AudioDecoderStats | undefined;
}

export interface PlayOptions extends VideoDecoderOptions {
  readonly loop?: boolean;
  readonly sync?: boolean;
  /** Stop once a packet of this decode stamp was read. */
  readonly untilUs?: number;
}

/** Reads and decodes a file whole, as a session does. */
export async function playFile(path: string, options: PlayOptions = {}): Promise<Played> {
  const { loop = false, sync = true, untilUs = Number.POSITIVE_INFINITY } = options;
  await using file = openFile({ path, clock: new VirtualClock(), loop, sync });
  const packets: Packet[] = [];
  for await (const packet of file) {
    packets.push(packet);
    if (packet.dtsUs >= untilUs) break;
  }
  return decodeAll(packets, options);
}

/** Decodes packets of up to one picture and one sound. */
export function decodeAll(packets: readonly Packet[], options: VideoDecoderOptions = {}): Played {
  const [videoInfo, audioInfo] = [infoOf(packets, "video"), infoOf(packets, "audio")];
  using video =
    videoInfo === undefined ? undefined : VideoDecoder.open(videoInfo as VideoStreamInfo, options);
  using audio = audioInfo === undefined ? undefined : AudioDecoder.open(audioInfo as AudioStreamInfo);
  const pictures: Shown[] = [];
  const blocks: AudioBlock[] = [];
  for (const packet of packets) {
    for (const frame of video?.decode(packet) ?? []) pictures.push(shown(frame as NativeFrame));
    blocks.push(...(audio?.decode(packet) ?? []));
  }
  for (const frame of video?.flush() ?? []) pictures.push(shown(frame as NativeFrame));
  blocks.push(...(audio?.flush() ?? []));
  return { packets, pictures, blocks, video: video?.stats, audio: audio?.stats };
}

const infoOf = (packets: readonly Packet[], kind: Packet["kind"]): Packet["info"] =>
  packets.find((packet) => packet.kind === kind && packet.info !== undefined)?.info;

function shown(frame: NativeFrame): Shown {
  using taken = frame;
  const { ptsUs, durationUs, widthPx, heightPx, pixelAspect, orientation, raw } = taken;
  const plane = raw.data?.[0] ?? Buffer.alloc(0);
  const stride = raw.linesize[0] ?? 0;
  let sum = 0;
  for (let y = 0; y < heightPx; y++) for (let x = 0; x < widthPx; x++) sum += plane[y * stride + x] ?? 0;
  const md5 = createHash("md5").update(raw.toBuffer()).digest("hex");
  const luma = sum / (widthPx * heightPx);
  return { ptsUs, durationUs, widthPx, heightPx, pixelAspect, orientation, md5, luma };
}

/** What Debian's ffmpeg decodes: MD5 and stamp in seconds of each picture. */
export async function framesByFfmpeg(
  path: string,
  options: { readonly input?: readonly string[]; readonly filter?: string } = {},
): Promise<readonly { readonly md5: string; readonly ptsS: number }[]> {
  const filter = options.filter === undefined ? [] : ["-vf", options.filter];
  const args = ["-v", "error", "-noautorotate", ...(options.input ?? []), "-i", path, "-map", "0:V:0"];
  const passed = [
    "-fps_mode",
    "passthrough",
    "-enc_time_base",
    "1:1000000",
    ...filter,
    "-f",
    "framemd5",
    "-",
  ];
  const { stdout } = await runToEnd("ffmpeg", [...args, ...passed]);
  return stdout
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(",").map((cell) => cell.trim()))
    .map((cells) => ({ md5: cells[5] ?? "", ptsS: Number(cells[2]) / 1e6 }));
}

/** One side of the sound on the stream's time line at 48 kHz: index is the sample's place from stamp 0. */
export function timeline(blocks: readonly AudioBlock[], side: 0 | 1 = 0): Float32Array {
  const end = Math.max(
    0,
    ...blocks.map((block) => Math.round(block.ptsUs * 0.048) + block.samples.length / 2),
  );
  const line = new Float32Array(end);
  for (const { ptsUs, samples } of blocks) {
    const at = Math.round(ptsUs * 0.048);
    for (let index = 0; index < samples.length / 2; index++) {
      if (at + index >= 0) line[at + index] = samples[2 * index + side] ?? 0;
    }
  }
  return line;
}
