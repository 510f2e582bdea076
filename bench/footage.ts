import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { TAG709 } from "../test/kit/media.ts";
import { runToEnd } from "../test/kit/process.ts";

/** What benchmarks mix: people at webcams with speech, as 1280x720 at 30/s, H.264 and AAC. */
export interface Footage {
  /** Distinct files, each `seconds` long and a little more. */
  readonly files: readonly string[];
  /** `real`: recordings of people; `generated`: ffmpeg's test pictures, where the recordings are absent. */
  readonly kind: "real" | "generated";
  readonly seconds: number;
}

/** ffmpeg's input arguments, picture first, and filters for the sound. */
interface Inputs {
  readonly inputs: readonly string[];
  readonly sound: string;
}

const MEDIA = fileURLToPath(new URL("../../shared/media/", import.meta.url));
const CACHE = join(tmpdir(), "tessera-bench");
const SPEECH = join(MEDIA, "speech-jfk.flac");

/** Converted once, then kept in the system's temporary folder; never in the repository. */
export async function footage(count: number, seconds: number): Promise<Footage> {
  const clips = existsSync(MEDIA)
    ? readdirSync(MEDIA)
        .filter((name) => /\.(mkv|mp4)$/.test(name))
        .sort()
    : [];
  const kind = clips.length > 0 && existsSync(SPEECH) ? "real" : "generated";
  if (kind === "generated")
    console.warn(`No recordings at ${MEDIA}: the benchmark runs on generated pictures.`);
  mkdirSync(CACHE, { recursive: true });
  const files: string[] = [];
  for (let index = 0; index < count; index++) {
    const args = conversion(kind === "real" ? realInputs(clips, index) : testInputs(index), seconds);
    const hash = createHash("sha256").update(args.join(" ")).digest("hex").slice(0, 8);
    const file = join(CACHE, `${kind}-${seconds}s-${index}-${hash}.mp4`);
    if (!existsSync(file)) await convert(args, file);
    files.push(file);
  }
  return { files, kind, seconds };
}

/** The beginning of a file, for programs that cannot be told to stop early. */
export async function beginning(file: string, seconds: number): Promise<string> {
  const short = file.replace(/\.mp4$/, `-first-${seconds}s.mp4`);
  if (!existsSync(short)) {
    await runToEnd("ffmpeg", ["-v", "error", "-y", "-i", file, "-t", `${seconds}`, "-c", "copy", short]);
  }
  return short;
}

/** Different participants: another clip each, and after the last one the same clips from another moment. */
function realInputs(clips: readonly string[], index: number): Inputs {
  const clip = join(MEDIA, clips[index % clips.length] ?? "");
  const seek = index < clips.length ? [] : ["-ss", `${Math.floor(index / clips.length) * 0.9}`];
  // The speech is 11 s long; looped as samples, so that no stamp ever jumps.
  const loop = `aresample=48000,aloop=loop=-1:size=528000,atrim=start=${(index % 9) * 1.1},asetpts=N/SR/TB`;
  return { inputs: [...seek, "-stream_loop", "-1", "-i", clip, "-i", SPEECH], sound: loop };
}

function testInputs(index: number): Inputs {
  const picture = `testsrc2=size=1280x720:rate=30,hue=h=${index * 37}`;
  const sound = `sine=frequency=${200 + index * 60}:sample_rate=48000`;
  return { inputs: ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound], sound: "anull" };
}

/** ffmpeg's arguments up to the output file; the file is named by them. */
function conversion({ inputs, sound }: Inputs, seconds: number): string[] {
  const picture =
    "scale=1280:720:force_original_aspect_ratio=increase,crop=1280:720,setsar=1,fps=30,format=yuv420p";
  const rate = ["-b:v", "2500k", "-maxrate", "3M", "-bufsize", "5M", "-g", "60"];
  const h264 = ["-vf", picture, "-c:v", "libx264", "-preset", "veryfast", ...rate, ...TAG709];
  const aac = ["-c:a", "aac", "-b:a", "96k", "-ar", "48000", "-ac", "2", "-af", `${sound},volume=0.5`];
  return [...inputs, "-map", "0:v:0", "-map", "1:a:0", "-t", `${seconds}`, ...h264, ...aac];
}

async function convert(args: readonly string[], file: string): Promise<void> {
  const unfinished = file.replace(/\.mp4$/, `-${process.pid}.unfinished.mp4`);
  console.warn(`Preparing ${file}, once.`);
  try {
    await runToEnd("ffmpeg", ["-v", "error", "-y", ...args, unfinished], { maxMs: 1_800_000 });
    renameSync(unfinished, file);
  } finally {
    rmSync(unfinished, { force: true });
  }
}
