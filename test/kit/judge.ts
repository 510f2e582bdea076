import ffmpeg from "fluent-ffmpeg";
import { type DecodeOptions, decodeGray, type Pcm } from "./decode.ts";
import { runToEnd } from "./process.ts";

/** What ffprobe says about a file or stream; units are ffprobe's (seconds as numbers, rates as fractions). */
export interface Probed {
  readonly format: Readonly<Record<string, unknown>> & {
    readonly formatName: string;
    readonly durationS: number;
    readonly bitrateBps: number;
  };
  readonly video: ProbedStream | undefined;
  readonly audio: ProbedStream | undefined;
  readonly streams: readonly ProbedStream[];
}

/** One stream with ffprobe's own names (`width`, `pix_fmt`, `color_space`, `r_frame_rate`, `profile`, ...). */
export type ProbedStream = ffmpeg.FfprobeStream;

/** Asks ffprobe about a file or URL. @throws if it cannot be opened. */
export function probe(input: string): Promise<Probed> {
  return new Promise((resolve, reject) => {
    ffmpeg.ffprobe(input, (error: unknown, data) => {
      if (error) return reject(error instanceof Error ? error : new Error(String(error)));
      const { streams, format } = data;
      const ofType = (type: string): ProbedStream | undefined =>
        streams.find((one) => one.codec_type === type);
      const formatName = format.format_name ?? "";
      // ffprobe writes "N/A" where it does not know: that becomes NaN, which no assertion mistakes for a figure.
      const known = { formatName, durationS: Number(format.duration), bitrateBps: Number(format.bit_rate) };
      resolve({ format: { ...format, ...known }, video: ofType("video"), audio: ofType("audio"), streams });
    });
  });
}

/** One packet as the container holds it. */
export interface ProbedPacket {
  readonly ptsS: number;
  readonly dtsS: number;
  readonly durationS: number;
  readonly bytes: number;
  readonly isKey: boolean;
}

/** All packets of one stream in file order. @param stream ffprobe's selector: `v:0`, `a:0`. */
export async function probePackets(input: string, stream = "v:0"): Promise<ProbedPacket[]> {
  const entries = "packet=pts_time,dts_time,duration_time,size,flags";
  const rows = await probeRows(["-select_streams", stream, "-show_entries", entries, input]);
  return rows.map((row) => ({
    ptsS: Number(row.pts_time),
    dtsS: Number(row.dts_time),
    durationS: Number(row.duration_time),
    bytes: Number(row.size),
    isKey: row.flags?.startsWith("K") ?? false,
  }));
}

/** Stamps in seconds of all pictures that decode, in order of presentation. */
export async function picturePts(input: string): Promise<number[]> {
  const rows = await probeRows(["-select_streams", "v:0", "-show_entries", "frame=pts_time", input]);
  return rows.map((row) => Number(row.pts_time));
}

/** Steps between neighbouring stamps that differ from `stepS` by more than `toleranceS`. */
export function gaps(
  ptsS: readonly number[],
  stepS: number,
  toleranceS = 0.0011,
): { readonly index: number; readonly stepS: number }[] {
  return ptsS.slice(1).flatMap((pts, index) => {
    const step = pts - (ptsS[index] ?? Number.NaN);
    return Math.abs(step - stepS) <= toleranceS ? [] : [{ index: index + 1, stepS: step }];
  });
}

/** Stretches of at least `minMs` in which no sample reaches `belowDb`, in milliseconds from the first sample. */
export function silences(
  { samples, sampleRate, channels }: Pcm,
  { belowDb = -60, minMs = 100 } = {},
): { readonly fromMs: number; readonly toMs: number }[] {
  const limit = 10 ** (belowDb / 20);
  const toMs = (index: number): number => (index / channels / sampleRate) * 1000;
  const found: { fromMs: number; toMs: number }[] = [];
  let from = 0;
  for (let index = 0; index <= samples.length; index++) {
    const isQuiet = index < samples.length && Math.abs(samples[index] ?? 0) < limit;
    if (isQuiet) continue;
    if (toMs(index) - toMs(from) >= minMs) found.push({ fromMs: toMs(from), toMs: toMs(index) });
    from = index + 1;
  }
  return found;
}

/** How alike two videos of the same size are, picture by picture in order, ignoring stamps: mean SSIM of luma and chroma. */
export async function ssim(input: string, reference: string, maxMs = 600_000): Promise<number> {
  const restamp = "setpts=N,format=yuv420p";
  const graph = `[0:v]${restamp}[a];[1:v]${restamp}[b];[a][b]ssim`;
  const inputs = ["-nostdin", "-hide_banner", "-i", input, "-i", reference];
  const { stderr } = await runToEnd("ffmpeg", [...inputs, "-lavfi", graph, "-f", "null", "-"], { maxMs });
  const all = /SSIM .*All:([\d.]+)/.exec(stderr)?.[1];
  if (all === undefined) throw new Error(`ffmpeg said no SSIM: ${stderr.slice(-1000)}`);
  return Number(all);
}

/**
 * Counts the pictures that differ from the one before. A repeated picture is coded as a skip, and its decoded
 * luma moves by less than `threshold` levels in every block of a 1/8 picture.
 */
export async function distinctPictures(
  input: string,
  { threshold = 1.5, ...options }: DecodeOptions & { threshold?: number } = {},
): Promise<{ readonly pictures: number; readonly distinct: number }> {
  const size = { width: 160, height: 90 };
  const filter = `format=gray,scale=${size.width}:${size.height}:flags=area`;
  let before: Uint8Array | undefined;
  let pictures = 0;
  let distinct = 0;
  for await (const picture of decodeGray(input, size, filter, options).pictures) {
    pictures += 1;
    if (!before || largestDifference(before, picture) > threshold) distinct += 1;
    before = picture;
  }
  return { pictures, distinct };
}

function largestDifference(a: Uint8Array, b: Uint8Array): number {
  let most = 0;
  for (let index = 0; index < a.length; index++)
    most = Math.max(most, Math.abs((a[index] ?? 0) - (b[index] ?? 0)));
  return most;
}

/** ffprobe's compact rows as objects of text. */
async function probeRows(args: readonly string[]): Promise<Record<string, string>[]> {
  const { stdout } = await runToEnd("ffprobe", ["-v", "error", "-of", "json", ...args], { maxMs: 600_000 });
  const data = JSON.parse(stdout) as {
    packets?: Record<string, string>[];
    frames?: Record<string, string>[];
  };
  return data.packets ?? data.frames ?? [];
}
