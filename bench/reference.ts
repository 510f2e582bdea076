import { defaultBitrateBps } from "../src/encode/bitrate.ts";
import type { Rect } from "../test/kit/counter.ts";

/** A program with its arguments. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
}

/** What all contenders agree on: our defaults for 720p30. */
export const ENCODER = {
  preset: "veryfast",
  bitrateBps: 2_000_000,
  bufferBits: 4_000_000,
  gopFrames: 60,
  threads: 1,
  audioBitrateBps: 128_000,
} as const;

export interface MixTask {
  readonly inputs: readonly string[];
  readonly tiles: readonly Rect[];
  readonly width: number;
  readonly height: number;
  readonly seconds: number;
}

/** Rectangles of an even grid with edges at even pixels, as INTERFACE has them: neighbours share an edge. */
export function gridTiles(count: number, width: number, height: number): Rect[] {
  const columns = Math.ceil(Math.sqrt(count));
  const rows = Math.ceil(count / columns);
  const edge = (index: number, parts: number, sidePx: number): number =>
    2 * Math.round((sidePx * index) / parts / 2);
  return Array.from({ length: count }, (_, index) => {
    const [row, column] = [Math.floor(index / columns), index % columns];
    const [x, y] = [edge(column, columns, width), edge(row, rows, height)];
    return { x, y, width: edge(column + 1, columns, width) - x, height: edge(row + 1, rows, height) - y };
  });
}

/** Debian's ffmpeg: one decoder thread per input, `scale`, `xstack`, `amix`, the same encoder settings. */
export function ffmpegMix(task: MixTask, output: string): Command {
  const maps = ["-map", "[picture]", "-map", "[sound]", "-t", `${task.seconds}`];
  return ffmpeg([
    ...inputsOf(task.inputs),
    "-filter_complex",
    graphOf(task),
    ...maps,
    ...x264(),
    ...aac(),
    output,
  ]);
}

/** The same mix without loss: what both contenders' pictures are compared with. */
export function ffmpegLossless(task: MixTask, output: string): Command {
  const maps = ["-map", "[picture]", "-map", "[sound]", "-t", `${task.seconds}`];
  const codec = ["-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", ...aac()];
  return ffmpeg([...inputsOf(task.inputs), "-filter_complex", graphOf(task), ...maps, ...codec, output]);
}

/** Decoding every input and nothing else. */
export function ffmpegDecode(inputs: readonly string[], seconds: number): Command {
  const maps = inputs.flatMap((_, index) => ["-map", `${index}`]);
  return ffmpeg([...inputsOf(inputs), ...maps, "-t", `${seconds}`, "-f", "null", "-"]);
}

/** Encoding a mix that is already composed; its own decoding is measured by {@link ffmpegDecode} and taken off. */
export function ffmpegEncode(mix: string, seconds: number, output: string): Command {
  return ffmpeg([...inputsOf([mix]), "-t", `${seconds}`, ...x264(), ...aac(), output]);
}

/** One decode and scale per size, one encode each: what several views cost in ffmpeg. */
export function ffmpegViews(tasks: readonly MixTask[], outputs: readonly string[]): Command {
  const [first] = tasks;
  if (!first) throw new Error("no view");
  const views = tasks.map((_, index) => index);
  const splits = first.inputs.map(
    (_, input) => `[${input}:v]split=${tasks.length}${views.map((v) => `[i${v}_${input}]`).join("")}`,
  );
  const stacks = tasks.map((task, v) => stackOf(task, (input) => `i${v}_${input}`, `v${v}_`, `picture${v}`));
  const sound = `${soundOf(first)};[sound]asplit=${tasks.length}${views.map((v) => `[sound${v}]`).join("")}`;
  const sinks = outputs.flatMap((output, v) => {
    const maps = ["-map", `[picture${v}]`, "-map", `[sound${v}]`, "-t", `${first.seconds}`];
    return [...maps, ...x264(bitrateFor(tasks[v] ?? first)), ...aac(), output];
  });
  return ffmpeg([
    ...inputsOf(first.inputs),
    "-filter_complex",
    [...splits, ...stacks, sound].join(";"),
    ...sinks,
  ]);
}

/** The bitrate in bit/s that our defaults give a size at 30/s. */
export const bitrateFor = ({ width, height }: { readonly width: number; readonly height: number }): number =>
  defaultBitrateBps("h264", width, height, 30);

/** Without bounds: demuxers that feed one mixer of pictures and one of sound lock each other up at 1 s, and at 4 s too. Its memory is not comparable for that. */
const QUEUE = ["queue", "max-size-time=0", "max-size-buffers=0", "max-size-bytes=0"] as const;

/** GStreamer: `compositor`, which scales and places in one element, and `audiomixer`; the same encoder settings. */
export function gstreamerMix(task: MixTask, output: string): Command {
  const { width, height, tiles } = task;
  const pads = tiles.flatMap(({ x, y, width: w, height: h }, index) =>
    Object.entries({ xpos: x, ypos: y, width: w, height: h }).map(
      ([name, value]) => `sink_${index}::${name}=${value}`,
    ),
  );
  const kilobits = ENCODER.bitrateBps / 1000;
  const bufferMs = (ENCODER.bufferBits / ENCODER.bitrateBps) * 1000;
  const x264enc = [
    ...["x264enc", `speed-preset=${ENCODER.preset}`, "tune=zerolatency", `bitrate=${kilobits}`],
    ...[`vbv-buf-capacity=${bufferMs}`, `key-int-max=${ENCODER.gopFrames}`, `threads=${ENCODER.threads}`],
    "option-string=scenecut=0:repeat-headers=1",
  ];
  const inputs = task.inputs.flatMap((input, index) => [
    ...["filesrc", `location=${input}`, "!", "qtdemux", `name=d${index}`],
    ...[
      `d${index}.video_0`,
      "!",
      ...QUEUE,
      "!",
      "h264parse",
      "!",
      "avdec_h264",
      "max-threads=1",
      "!",
      `c.sink_${index}`,
    ],
    ...[
      `d${index}.audio_0`,
      "!",
      ...QUEUE,
      "!",
      "aacparse",
      "!",
      "avdec_aac",
      "!",
      "audioconvert",
      "!",
      `a.sink_${index}`,
    ],
  ]);
  return {
    program: "gst-launch-1.0",
    args: [
      ...["-q", "-e", "compositor", "name=c", "background=black", ...pads, "!"],
      ...[
        `video/x-raw,format=I420,width=${width},height=${height},framerate=30/1,pixel-aspect-ratio=1/1`,
        "!",
      ],
      ...[...x264enc, "!", "video/x-h264,profile=high", "!", "h264parse", "!", ...QUEUE, "!", "m.video_0"],
      ...["audiomixer", "name=a", "!", "audio/x-raw,rate=48000,channels=2", "!", "audioconvert", "!"],
      ...[
        "avenc_aac",
        `bitrate=${ENCODER.audioBitrateBps}`,
        "!",
        "aacparse",
        "!",
        ...QUEUE,
        "!",
        "m.audio_0",
      ],
      ...["mp4mux", "name=m", "!", "filesink", `location=${output}`],
      ...inputs,
    ],
  };
}

const ffmpeg = (args: readonly string[]): Command => ({
  program: "ffmpeg",
  args: ["-v", "error", "-nostdin", "-y", ...args],
});

const inputsOf = (inputs: readonly string[]): string[] =>
  inputs.flatMap((input) => ["-threads", "1", "-i", input]);

const graphOf = (task: MixTask): string =>
  `${stackOf(task, (input) => `${input}:v`, "v", "picture")};${soundOf(task)}`;

function stackOf(task: MixTask, padOf: (input: number) => string, prefix: string, name: string): string {
  const scaled = task.tiles.map(
    (tile, n) => `[${padOf(n)}]scale=${tile.width}:${tile.height}[${prefix}${n}]`,
  );
  const layout = task.tiles.map(({ x, y }) => `${x}_${y}`).join("|");
  const pads = task.tiles.map((_, n) => `[${prefix}${n}]`).join("");
  return `${scaled.join(";")};${pads}xstack=inputs=${task.tiles.length}:layout=${layout}[${name}]`;
}

const soundOf = ({ inputs }: MixTask): string =>
  `${inputs.map((_, n) => `[${n}:a]`).join("")}amix=inputs=${inputs.length}:normalize=0[sound]`;

function x264(bitrateBps: number = ENCODER.bitrateBps): string[] {
  const rate = ["-b:v", `${bitrateBps}`, "-maxrate", `${bitrateBps}`, "-bufsize", `${bitrateBps * 2}`];
  const shape = [
    "-g",
    `${ENCODER.gopFrames}`,
    "-profile:v",
    "high",
    "-threads",
    `${ENCODER.threads}`,
    "-r",
    "30",
  ];
  const options = ["-x264-params", "scenecut=0:repeat-headers=1"];
  return [
    "-c:v",
    "libx264",
    "-preset",
    ENCODER.preset,
    "-tune",
    "zerolatency",
    ...rate,
    ...shape,
    ...options,
  ];
}

const aac = (): string[] => ["-c:a", "aac", "-b:a", `${ENCODER.audioBitrateBps}`, "-ar", "48000", "-ac", "2"];
