import { spawn } from "node:child_process";
import { once } from "node:events";
import { COUNTER_COLUMNS, COUNTER_ROWS, type Counted, type Rect, readCounter } from "./counter.ts";

/** Decoded small grey pictures of one stream, by Debian's ffmpeg: a decoder that is not ours. */
export interface GrayPictures {
  readonly width: number;
  readonly height: number;
  /** Each is fresh memory; leaving the loop early ends ffmpeg. */
  readonly pictures: AsyncIterable<Uint8Array>;
  /** The stamp of each picture in seconds as the container has it; complete when the loop has ended. */
  readonly ptsS: readonly number[];
}

export interface DecodeOptions {
  /** ffmpeg input options, e.g. `["-rw_timeout", "5000000"]`. */
  readonly input?: readonly string[];
  /** Ends after this many seconds of media. */
  readonly seconds?: number;
}

/** Sound, all samples of it, with the time at which each decoded block starts. */
export interface Pcm {
  readonly sampleRate: number;
  readonly channels: number;
  /** Interleaved, full scale is 1. */
  readonly samples: Float32Array;
  /** Start of each decoded block: its stamp in seconds as the container has it, and its first sample. */
  readonly blocks: readonly { readonly ptsS: number; readonly atSample: number }[];
}

/**
 * Decodes the first video stream to grey.
 *
 * @param filter ffmpeg filters on a grey picture that end at `width` x `height`.
 */
export function decodeGray(
  input: string,
  size: { readonly width: number; readonly height: number },
  filter: string,
  options: DecodeOptions = {},
): GrayPictures {
  const ptsS: number[] = [];
  const args = ["-map", "0:v:0", "-vf", `${filter},showinfo=checksum=0`, "-fps_mode", "passthrough"];
  const pictures = readPictures(input, args, size.width * size.height, ptsS, options);
  return { ...size, pictures, ptsS };
}

async function* readPictures(
  input: string,
  args: readonly string[],
  pictureBytes: number,
  ptsS: number[],
  options: DecodeOptions,
): AsyncGenerator<Uint8Array> {
  const ffmpeg = startDecoder(input, [...args, "-f", "rawvideo", "-pix_fmt", "gray"], options, (line) => {
    const stamp = /\bn: *\d+ pts: *\S+ pts_time:(\S+)/.exec(line)?.[1];
    if (stamp !== undefined) ptsS.push(Number(stamp));
  });
  try {
    let held: Buffer = Buffer.alloc(0);
    for await (const bytes of ffmpeg.stdout) {
      held = held.length === 0 ? (bytes as Buffer) : Buffer.concat([held, bytes as Buffer]);
      let at = 0;
      for (; at + pictureBytes <= held.length; at += pictureBytes) {
        yield new Uint8Array(held.subarray(at, at + pictureBytes));
      }
      held = held.subarray(at);
    }
    await ffmpeg.ended;
  } finally {
    ffmpeg.kill();
  }
}

/**
 * Reads the counters of every picture of a file or stream, at each of several placements.
 *
 * @returns for each placement the reading of each picture, and the stamp of each picture in seconds.
 */
export async function readCounters(
  input: string,
  placements: readonly Rect[],
  options: DecodeOptions = {},
): Promise<{ readonly readings: readonly (Counted | null)[][]; readonly ptsS: readonly number[] }> {
  const cell = 6;
  const width = COUNTER_COLUMNS * cell;
  const height = COUNTER_ROWS * cell;
  const decoded = decodeGray(
    input,
    { width, height: height * placements.length },
    stackPlacements(placements, width, height),
    options,
  );
  const readings = placements.map((): (Counted | null)[] => []);
  for await (const data of decoded.pictures) {
    for (const [index, list] of readings.entries()) {
      list.push(
        readCounter({ data, width, height: decoded.height }, { x: 0, y: index * height, width, height }),
      );
    }
  }
  return { readings, ptsS: decoded.ptsS };
}

/** Cuts each placement out, brings it to one size and stacks them, so that little comes through the pipe. */
function stackPlacements(placements: readonly Rect[], width: number, height: number): string {
  const cut = ({ x, y, width: w, height: h }: Rect): string => {
    const left = Math.max(0, -Math.floor(x));
    const top = Math.max(0, -Math.floor(y));
    // A placement may reach beyond the picture (cropped tiles): pad what is not there.
    const pad = `pad=w=max(iw+${left}\\,${left + Math.ceil(x + w)}):h=max(ih+${top}\\,${top + Math.ceil(y + h)}):x=${left}:y=${top}`;
    const crop = `crop=${Math.round(w)}:${Math.round(h)}:${Math.round(x) + left}:${Math.round(y) + top}:exact=1`;
    return `${pad},${crop},scale=${width}:${height}:flags=area`;
  };
  const [only] = placements;
  if (placements.length === 1 && only) return `format=gray,${cut(only)}`;
  const names = placements.map((_, index) => `[p${index}]`);
  const cuts = placements.map((placement, index) => `${names[index]}${cut(placement)}[c${index}]`);
  const stack = `${placements.map((_, index) => `[c${index}]`).join("")}vstack=inputs=${placements.length}`;
  return `format=gray,split=${placements.length}${names.join("")};${cuts.join(";")};${stack}`;
}

/** Decodes the first audio stream whole, at its own rate. */
export async function decodePcm(
  input: string,
  {
    channels = 1,
    sampleRate = 48_000,
    ...options
  }: DecodeOptions & { channels?: number; sampleRate?: number } = {},
): Promise<Pcm> {
  const blocks: { ptsS: number; atSample: number }[] = [];
  const parts: Buffer[] = [];
  let atSample = 0;
  const filter = `aformat=sample_fmts=flt:sample_rates=${sampleRate},ashowinfo`;
  const args = ["-map", "0:a:0", "-af", filter, "-ac", `${channels}`, "-f", "f32le"];
  const ffmpeg = startDecoder(input, args, options, (line) => {
    const [, ptsS, count] = /pts_time:(\S+).* nb_samples:(\d+)/.exec(line) ?? [];
    if (ptsS === undefined) return;
    blocks.push({ ptsS: Number(ptsS), atSample });
    atSample += Number(count);
  });
  for await (const bytes of ffmpeg.stdout) parts.push(bytes as Buffer);
  await ffmpeg.ended;
  const bytes = Buffer.concat(parts);
  const samples = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  return { sampleRate, channels, samples, blocks };
}

interface Decoder {
  readonly stdout: AsyncIterable<unknown>;
  /** Rejects with what ffmpeg said if it failed. */
  readonly ended: Promise<void>;
  kill(): void;
}

function startDecoder(
  input: string,
  output: readonly string[],
  { input: inputOptions = [], seconds }: DecodeOptions,
  onLine: (line: string) => void,
): Decoder {
  // -copyts: sound and picture keep the stamps they have, relative to each other and to zero.
  const args = ["-hide_banner", "-nostats", "-nostdin", "-copyts", ...inputOptions, "-i", input];
  const limit = seconds === undefined ? [] : ["-t", `${seconds}`];
  const child = spawn("ffmpeg", [...args, ...limit, ...output, "pipe:1"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let rest = "";
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line.includes("showinfo")) onLine(line);
      else said = `${said}\n${line}`.slice(-3000);
    }
  });
  const ended = once(child, "close").then(([code, signal]) => {
    if (code !== 0 && signal !== "SIGKILL") throw new Error(`ffmpeg could not decode ${input}: ${said}`);
  });
  ended.catch(() => {}); // Whoever awaits it hears of it; whoever left early does not care.
  return { stdout: child.stdout, ended, kill: () => void child.kill("SIGKILL") };
}
