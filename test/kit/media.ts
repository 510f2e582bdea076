import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { COUNTER_COLUMNS, COUNTER_ROWS, drawCounter } from "./counter.ts";
import { runToEnd } from "./process.ts";

/** Generated media lies here between runs, by the hash of what made it; delete it at any time. */
export const MEDIA_CACHE: string = join(tmpdir(), "tessera-test-media");

/** ffmpeg's output options that say of a picture: BT.709, limited range. They convert nothing. */
export const TAG709: readonly string[] = [
  ...["-colorspace", "bt709", "-color_primaries", "bt709"],
  ...["-color_trc", "bt709", "-color_range", "tv"],
];

/** Pictures fed to ffmpeg as they are: 8-bit grey, a few pixels large, scaled up without smoothing. */
interface DrawnPictures {
  readonly width: number;
  readonly height: number;
  readonly count: number;
  /** Draws picture `index` from 0. */
  readonly draw: (index: number) => Uint8Array;
}

export interface MediaOptions {
  /** The file's extension chooses the container: `mp4`, `mkv`, `webm`, `ts`, `flv`, `mov`, `wav`, `flac`... Default `mp4`. */
  readonly container?: string;
  /** ffmpeg's output options, e.g. `["-c:v", "libx264", "-bf", "2"]`; they come last and so win. */
  readonly codec?: readonly string[];
}

export interface VideoOptions extends MediaOptions {
  readonly width?: number;
  readonly height?: number;
  /** A rate as ffmpeg reads it: `30`, `30000/1001`. Default 30. */
  readonly fps?: number | string;
  readonly seconds?: number;
}

/**
 * Makes a media file with Debian's ffmpeg, or returns the one that the same arguments made before.
 *
 * @param args everything between `ffmpeg -y` and the output file.
 * @returns the file's path; it is shared, so nobody writes to it.
 */
export async function makeMedia(
  args: readonly string[],
  container = "mp4",
  drawn?: DrawnPictures,
): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify([args, drawn?.count]));
  // The drawing itself is part of what makes the file: its first pictures stand for it.
  for (let index = 0; drawn && index < Math.min(drawn.count, 64); index++) hash.update(drawn.draw(index));
  const file = join(MEDIA_CACHE, `${hash.digest("hex").slice(0, 20)}.${container}`);
  if (existsSync(file)) return file;
  mkdirSync(MEDIA_CACHE, { recursive: true });
  const unfinished = join(MEDIA_CACHE, `unfinished-${process.pid}-${performance.now()}.${container}`);
  try {
    const stdin = drawn ? { stdin: Readable.from(drawAll(drawn)) } : {};
    const quiet = ["-hide_banner", "-nostats", "-loglevel", "error", "-y"];
    await runToEnd("ffmpeg", [...quiet, ...args, unfinished], { maxMs: 600_000, ...stdin });
    // Two tests may make the same file at once: each its own, and the last one stays.
    renameSync(unfinished, file);
  } finally {
    rmSync(unfinished, { force: true });
  }
  return file;
}

/**
 * A video whose every picture carries its number; see `counter.ts`.
 *
 * @param options `source` (0-63) tells several apart; `tone` adds a sine of that many Hz; `first` is the number
 * of the first picture.
 */
export function counterVideo(
  options: VideoOptions & { readonly source?: number; readonly tone?: number; readonly first?: number } = {},
): Promise<string> {
  const {
    width = 640,
    height = 360,
    fps = 30,
    seconds = 5,
    source = 0,
    tone,
    first = 0,
    container = "mp4",
  } = options;
  const drawn: DrawnPictures = {
    width: COUNTER_COLUMNS,
    height: COUNTER_ROWS,
    count: pictureCount(fps, seconds),
    draw: (index) => drawCounter({ source, number: first + index }),
  };
  const sound = tone === undefined ? [] : sineInput(tone, seconds);
  return makeMedia(
    [
      ...drawnInput(drawn, fps),
      ...sound,
      ...scaleUp(width, height),
      ...defaultVideoCodec(container),
      ...(options.codec ?? []),
    ],
    container,
    drawn,
  );
}

/** When flash-and-beep media flashes and beeps: at every whole period, for `lengthMs`. */
export const FLASH = { periodMs: 1000, lengthMs: 100, beepHz: 1000 } as const;

/**
 * A black picture that turns white and beeps at the same instant, once a second from 0 s on (the first is at 0 s,
 * so judges leave it out).
 *
 * @param options `soundLateMs` shifts the beeps against the flashes, to prove that the judge notices.
 */
export function flashBeep(options: VideoOptions & { readonly soundLateMs?: number } = {}): Promise<string> {
  const { width = 640, height = 360, fps = 30, seconds = 10, soundLateMs = 0, container = "mp4" } = options;
  const rate = rateOf(fps);
  const drawn: DrawnPictures = {
    width: 2,
    height: 2,
    count: pictureCount(fps, seconds),
    draw: (index) => {
      // A picture flashes if its own time lies in the flash; the small term takes rounding out of 1001 rates.
      const isFlash = ((index / rate) * 1000 + 0.001) % FLASH.periodMs < FLASH.lengthMs;
      return new Uint8Array(4).fill(isFlash ? 235 : 16);
    },
  };
  const phase = `mod(t-${soundLateMs / 1000}+10\\,${FLASH.periodMs / 1000})`;
  const beep = `0.5*sin(2*PI*${FLASH.beepHz}*${phase})*lt(${phase}\\,${FLASH.lengthMs / 1000})`;
  return makeMedia(
    [
      ...drawnInput(drawn, fps),
      ...["-f", "lavfi", "-t", `${seconds}`, "-i", `aevalsrc=${beep}|${beep}:s=48000:c=stereo`],
      ...scaleUp(width, height),
      ...defaultVideoCodec(container),
      ...(options.codec ?? []),
    ],
    container,
    drawn,
  );
}

/** A sine of one frequency at -12 dBFS, sound only. `channels` is an ffmpeg layout name. */
export function tone(
  hz: number,
  options: MediaOptions & {
    readonly seconds?: number;
    readonly sampleRate?: number;
    readonly channels?: string;
  } = {},
): Promise<string> {
  const { seconds = 5, sampleRate = 48_000, channels = "stereo", container = "wav" } = options;
  const pan = ["-af", `aformat=channel_layouts=${channels}`];
  return makeMedia(
    [...sineInput(hz, seconds, sampleRate), ...(channels === "mono" ? [] : pan), ...(options.codec ?? [])],
    container,
  );
}

/** Moving colours with detail, from ffmpeg's `testsrc2`; with a sine of `tone` Hz if given. */
export function movingVideo(options: VideoOptions & { readonly tone?: number } = {}): Promise<string> {
  const { width = 640, height = 360, fps = 30, seconds = 5, container = "mp4" } = options;
  const sound = options.tone === undefined ? [] : sineInput(options.tone, seconds);
  const picture = `testsrc2=size=${width}x${height}:rate=${fps}:duration=${seconds}`;
  const codec = [...defaultVideoCodec(container), ...(options.codec ?? [])];
  return makeMedia(["-f", "lavfi", "-i", picture, ...sound, "-pix_fmt", "yuv420p", ...codec], container);
}

/** A rate as a number, from `30` or `30000/1001`. */
export function rateOf(fps: number | string): number {
  const [numerator = Number.NaN, denominator = 1] = String(fps).split("/").map(Number);
  return numerator / denominator;
}

const pictureCount = (fps: number | string, seconds: number): number => Math.round(rateOf(fps) * seconds);

const drawnInput = ({ width, height }: DrawnPictures, fps: number | string): string[] => [
  "-f",
  "rawvideo",
  "-pix_fmt",
  "gray",
  "-video_size",
  `${width}x${height}`,
  "-framerate",
  `${fps}`,
  "-i",
  "pipe:0",
];

/** -12 dBFS: ffmpeg's sine has an amplitude of 1/8. */
const sineInput = (hz: number, seconds: number, sampleRate = 48_000): string[] => [
  "-f",
  "lavfi",
  "-i",
  `sine=frequency=${hz}:sample_rate=${sampleRate}:duration=${seconds},volume=2`,
];

const scaleUp = (width: number, height: number): string[] => [
  "-vf",
  `scale=${width}:${height}:flags=neighbor,format=yuv420p`,
  "-color_range",
  "tv",
];

const WEBM_CODECS = ["-c:v", "libvpx", "-deadline", "realtime", "-b:v", "2M", "-c:a", "libopus"];
const H264_CODECS = ["-c:v", "libx264", "-preset", "veryfast", "-g", "60", "-c:a", "aac", "-b:a", "128k"];
const defaultVideoCodec = (container: string): readonly string[] =>
  container === "webm" ? WEBM_CODECS : H264_CODECS;

function* drawAll({ count, draw }: DrawnPictures): Generator<Uint8Array> {
  for (let index = 0; index < count; index++) yield draw(index);
}
