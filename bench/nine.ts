import { beginning, footage } from "./footage.ts";
import {
  type Command,
  ENCODER,
  ffmpegDecode,
  ffmpegEncode,
  ffmpegLossless,
  ffmpegMix,
  gridTiles,
  gstreamerMix,
  type MixTask,
} from "./reference.ts";
import type { Figure, Report, Row } from "./report.ts";
import { type Contender, race, run } from "./rounds.ts";
import { tesseraMix } from "./tessera.ts";
import { type Check, compare, type Quality, qualityOf } from "./validity.ts";
import { type Effort, Scratch, type Workload } from "./workload.ts";

/** (a) Nine 720p30 inputs in a grid, one 720p30 output: the plain main job. */
export const nine: Workload = {
  name: "nine",
  title: "(a) nine 720p30 in, grid, one 720p30 out",
  seconds: 60,
  rounds: 3,
  run: runNine,
};

const SIZE = { width: 1280, height: 720 };
/** What starting costs is measured on this much media. */
const MOMENT_S = 0.1;

async function runNine({ seconds, rounds, referencesOnly }: Effort): Promise<Report> {
  using scratch = new Scratch();
  const { files, kind } = await footage(9, 60);
  const moments = await Promise.all(files.map((file) => beginning(file, MOMENT_S)));
  const cut = seconds < 60 ? await Promise.all(files.map((file) => beginning(file, seconds))) : files;
  const task: MixTask = { inputs: files, tiles: gridTiles(9, SIZE.width, SIZE.height), ...SIZE, seconds };
  const moment: MixTask = { ...task, seconds: MOMENT_S };
  const [ours, theirs, gst] = ["tessera.mp4", "ffmpeg.mp4", "gstreamer.mp4"].map((name) =>
    scratch.file(name),
  ) as [string, string, string];
  const lossless = scratch.file("lossless.mkv");
  await run(ffmpegLossless(task, lossless));

  const contenders: Contender[] = [
    contender("ffmpeg xstack", (t) => ffmpegMix(t, theirs), task, moment),
    {
      name: "GStreamer compositor",
      whole: gstreamerMix({ ...task, inputs: cut }, gst),
      start: gstreamerMix({ ...moment, inputs: moments }, scratch.file("moment.mp4")),
    },
    contender("ffmpeg decode alone", (t) => ffmpegDecode(t.inputs, t.seconds), task, moment),
    contender(
      "ffmpeg encode from lossless",
      (t) => ffmpegEncode(lossless, t.seconds, scratch.file("encode.mp4")),
      task,
      moment,
    ),
    contender("ffmpeg decode lossless", (t) => ffmpegDecode([lossless], t.seconds), task, moment),
  ];
  if (!referencesOnly) {
    contenders.unshift(
      contender("tessera mix", (t) => tesseraMix(t.inputs, ours, { seconds: t.seconds }), task, moment),
    );
  }
  // The moment overwrites its output, so that every whole run that follows is the one that is looked at.
  const rows = await race(contenders, rounds);
  const reference = await qualityOf(theirs, lossless);
  const rival = await qualityOf(gst, lossless);
  const mine = referencesOnly ? undefined : await qualityOf(ours, lossless);
  return {
    name: nine.name,
    title: nine.title,
    seconds,
    footage: kind,
    rows,
    figures: figuresOf(rows),
    validity: mine
      ? [...compare(mine, reference), ...label("GStreamer: ", compare(mine, rival))]
      : label("GStreamer against ffmpeg: ", compare(rival, reference)),
    notes: [
      ...settingsOf(mine, reference, rival),
      `threads of each encoder: ${ENCODER.threads}; of each decoder: 1`,
    ],
  };
}

const contender = (
  name: string,
  commandFor: (task: MixTask) => Command,
  task: MixTask,
  moment: MixTask,
): Contender => ({ name, whole: commandFor(task), start: commandFor(moment) });

const label = (prefix: string, checks: readonly Check[]): Check[] =>
  checks.map((check) => ({ ...check, what: prefix + check.what }));

function figuresOf(rows: readonly Row[]): Figure[] {
  const cpu = (name: string): number =>
    rows.find(({ contender: one }) => one === name)?.cpuSeconds ?? Number.NaN;
  const ffmpeg = cpu("ffmpeg xstack");
  const gstreamer = cpu("GStreamer compositor");
  const floor =
    cpu("ffmpeg decode alone") + cpu("ffmpeg encode from lossless") - cpu("ffmpeg decode lossless");
  const references = [
    { what: "CPU of GStreamer against ffmpeg", value: gstreamer / ffmpeg },
    { what: "CPU of ffmpeg over decode + encode alone", value: ffmpeg / floor },
  ];
  const tessera = cpu("tessera mix");
  if (Number.isNaN(tessera)) return references;
  return [
    { what: "CPU against ffmpeg xstack", value: tessera / ffmpeg, atMost: 0.97 },
    { what: "CPU over decode + encode alone", value: tessera / floor, atMost: 1.35 },
    { what: "CPU against GStreamer compositor", value: tessera / gstreamer, atMost: 0.55 },
    ...references,
  ];
}

const settingsOf = (ours: Quality | undefined, reference: Quality, rival: Quality): string[] => [
  ...(ours ? [`x264 of tessera:   ${ours.settings}`] : []),
  `x264 of ffmpeg:    ${reference.settings}`,
  `x264 of GStreamer: ${rival.settings}`,
];
