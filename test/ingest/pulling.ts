import { TesseraError } from "../../src/core/error.ts";
import { VideoDecoder } from "../../src/decode/video.ts";
import type { Ingest } from "../../src/ingest/ingest.ts";
import { openPull, type PullOptions } from "../../src/ingest/pull.ts";
import { LiveClock } from "../../src/media/clock.ts";
import type { Packet } from "../../src/media/packet.ts";
import type { VideoStreamInfo } from "../../src/media/stream-info.ts";
import type { NativeFrame } from "../../src/native/frame.ts";
import { decodeAll, timeline } from "../decode/playing.ts";
import { type CountJudgement, judgeCounters, readCounter } from "../kit/counter.ts";
import { toneLevelDb } from "../kit/spectrum.ts";

/** A pull by a node that may reach loopback. */
export const pull = (url: string, options: Partial<PullOptions> = {}): Ingest =>
  openPull({ url, clock: new LiveClock(), destinations: { allow: [], loopback: true }, ...options });

/** Reads to the end, or until `count` pictures came. */
export async function readAll(
  url: string,
  { count = Number.POSITIVE_INFINITY, ...options }: Partial<PullOptions> & { readonly count?: number } = {},
): Promise<Packet[]> {
  const packets: Packet[] = [];
  let pictures = 0;
  for await (const packet of pull(url, options)) {
    packets.push(packet);
    if (packet.kind === "video") pictures += 1;
    if (pictures >= count) break;
  }
  return packets;
}

/** The code and words that `reading` fails with. */
export async function failure(
  reading: Promise<unknown>,
): Promise<{ readonly code: string; readonly message: string }> {
  try {
    await reading;
  } catch (error) {
    if (error instanceof TesseraError) return { code: error.code, message: error.message };
    throw error;
  }
  return { code: "none", message: "" };
}

/** What the counters in the pictures say. */
export function judgePackets(packets: readonly Packet[]): CountJudgement {
  const pictures = packets.filter(({ kind }) => kind === "video");
  const info = pictures.find((packet) => packet.info !== undefined)?.info as VideoStreamInfo;
  using decoder = VideoDecoder.open(info, {});
  const frames = [...pictures.flatMap((packet) => [...decoder.decode(packet)]), ...decoder.flush()];
  return judgeCounters(frames.map((frame) => readFrame(frame as NativeFrame)));
}

function readFrame(frame: NativeFrame): ReturnType<typeof readCounter> {
  using taken = frame;
  const { raw, widthPx: width, heightPx: height } = taken;
  const data = new Uint8Array(raw.data?.[0] ?? Buffer.alloc(0));
  return readCounter({ data, width, height, stride: raw.linesize[0] ?? 0 }, { x: 0, y: 0, width, height });
}

/** Level of a tone in dBFS, half a second from the first second of sound on. */
export function toneOf(packets: readonly Packet[], hz: number): number {
  const { blocks } = decodeAll(packets.filter(({ kind }) => kind === "audio"));
  const first = Math.max(0, Math.round((blocks[0]?.ptsUs ?? 0) * 0.048));
  return toneLevelDb(timeline(blocks).subarray(first + 24_000, first + 48_000), hz);
}
