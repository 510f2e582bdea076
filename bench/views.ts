import { dirname, join } from "node:path";
import { decodePcm } from "../test/kit/decode.ts";
import { distinctPictures, probePackets } from "../test/kit/judge.ts";
import { levelDb } from "../test/kit/spectrum.ts";
import { footage } from "./footage.ts";
import { bitrateFor, ffmpegViews, gridTiles } from "./reference.ts";
import type { Report, Row } from "./report.ts";
import { medianRow, run } from "./rounds.ts";
import { isRunning, Server, type Stretch } from "./tessera.ts";
import type { Check } from "./validity.ts";
import { type Effort, Scratch, type Workload } from "./workload.ts";

/** (c) One mix with three views decodes and hears everybody once; three mixes do it three times. */
export const views: Workload = {
  name: "views",
  title: "(c) one mix of four with views of 720p, 480p and 360p, against three mixes",
  seconds: 30,
  rounds: 1,
  run: runViews,
};

const VIEWS = [
  { id: "v720", width: 1280, height: 720 },
  { id: "v480", width: 854, height: 480 },
  { id: "v360", width: 640, height: 360 },
] as const;
/** As many as two cores carry live with three views and time to spare: a run that is late measures nothing. */
const PEOPLE = 4;
type View = (typeof VIEWS)[number];

interface Measured extends Stretch {
  readonly late: number;
  readonly ticks: number;
  /** Per view: what its recording holds. */
  readonly recordings: ReadonlyMap<string, Recording>;
}
interface Recording {
  readonly bitrateBps: number;
  readonly pictures: number;
  readonly distinct: number;
  readonly soundDb: number;
}

async function runViews({ seconds, referencesOnly }: Effort): Promise<Report> {
  const { files: all, kind } = await footage(9, 60);
  const files = all.slice(0, PEOPLE);
  const reference = await ffmpegRow(files, seconds);
  const base = { name: views.name, title: views.title, seconds, footage: kind };
  if (referencesOnly) return { ...base, rows: [reference], figures: [], validity: [], notes: [] };
  const together = await measureLive(files, VIEWS, seconds);
  const apart: Measured[] = [];
  for (const view of VIEWS) apart.push(await measureLive(files, [view], seconds));
  const cpuApart = apart.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
  return {
    ...base,
    rows: [
      rowOf("tessera, three views", together),
      ...apart.map((one, n) => rowOf(`tessera, ${VIEWS[n]?.id} alone`, one)),
      reference,
    ],
    figures: [
      { what: "CPU of one mix against three mixes", value: together.cpuSeconds / cpuApart, atMost: 0.56 },
      {
        what: "CPU against one ffmpeg with three outputs",
        value: together.cpuSeconds / reference.cpuSeconds,
      },
    ],
    validity: [
      ...[together, ...apart].map(onTime),
      ...VIEWS.flatMap((view, n) => checksOf(view, together, apart[n])),
    ],
    notes: [
      "Tessera runs live and is measured in the middle of its run, each mix alone on the machine; ffmpeg runs as fast as it can.",
      "Live runs start at another picture each time, so SSIM to one lossless mix does not apply: `nine` has it for the same code.",
    ],
  };
}

async function ffmpegRow(files: readonly string[], seconds: number): Promise<Row> {
  using scratch = new Scratch();
  const command = (s: number) =>
    ffmpegViews(
      VIEWS.map(({ width, height }) => ({
        inputs: files,
        tiles: gridTiles(PEOPLE, width, height),
        width,
        height,
        seconds: s,
      })),
      VIEWS.map(({ id }) => scratch.file(`${id}.mp4`)),
    );
  const start = await run(command(0.1));
  const whole = await run(command(seconds));
  return medianRow("ffmpeg, three outputs", [whole], start.cpuSeconds);
}

async function measureLive(
  files: readonly string[],
  wanted: readonly View[],
  seconds: number,
): Promise<Measured> {
  const folder = dirname(files[0] ?? "");
  await using server = await Server.open([folder]);
  const mix = await server.createMix(
    {
      views: wanted.map(({ id, width, height }) => ({ id, width, height, fps: 30 })),
      sources: files.map((url, n) => ({ id: `s${n}`, kind: "pull" as const, url, loop: true })),
      outputs: wanted.map(({ id, width, height }) => ({
        id,
        view: id,
        kind: "file" as const,
        path: `${id}.mp4`,
        video: { bitrateBps: bitrateFor({ width, height }) },
      })),
    },
    isRunning,
  );
  await server.stretch(3);
  const before = await server.stats(mix);
  const stretch = await server.stretch(seconds);
  const after = await server.stats(mix);
  const sum = (pick: "late" | "ticks"): number =>
    after.views.reduce((total, view, n) => total + view[pick] - (before.views[n]?.[pick] ?? 0), 0);
  await server.call("mix.close", { mix });
  const paths = new Map(after.outputs.map(({ id, path }) => [id, path ?? `${id}.mp4`]));
  const recordings = new Map<string, Recording>();
  for (const [id, path] of paths)
    recordings.set(id, await recordingOf(join(server.dataDir, "recordings", path)));
  return { ...stretch, late: sum("late"), ticks: sum("ticks"), recordings };
}

async function recordingOf(file: string): Promise<Recording> {
  const packets = await probePackets(file);
  const { samples } = await decodePcm(file);
  return {
    bitrateBps: (packets.reduce((sum, { bytes }) => sum + bytes * 8, 0) / packets.length) * 30,
    ...(await distinctPictures(file)),
    soundDb: levelDb(samples),
  };
}

/** A run that could not keep up did less work than it says. */
const onTime = ({ late, ticks, recordings }: Measured): Check => ({
  what: `${[...recordings.keys()].join(", ")}: at most 1 % of ticks late`,
  ok: ticks > 0 && late / ticks <= 0.01,
  found: `${late} of ${ticks}`,
});

function checksOf({ id }: View, together: Measured, alone: Measured | undefined): Check[] {
  const [ours, reference] = [together.recordings.get(id), alone?.recordings.get(id)];
  if (!ours || !reference) return [{ what: `${id} was recorded`, ok: false, found: "nothing" }];
  return [
    {
      what: `${id}: bitrate within 3 % of the same view alone`,
      ok: Math.abs(ours.bitrateBps / reference.bitrateBps - 1) <= 0.03,
      found: `${Math.round(ours.bitrateBps)} against ${Math.round(reference.bitrateBps)} bit/s`,
    },
    {
      what: `${id}: distinct pictures no fewer by 1 %`,
      ok: ours.distinct / ours.pictures >= (reference.distinct / reference.pictures) * 0.99,
      found: `${ours.distinct} of ${ours.pictures} against ${reference.distinct} of ${reference.pictures}`,
    },
    { what: `${id}: sound is present`, ok: ours.soundDb > -50, found: `${ours.soundDb.toFixed(1)} dBFS` },
  ];
}

const rowOf = (contender: string, measured: Measured): Row => ({
  ...medianRow(contender, [measured]),
  also: { late: `${measured.late} of ${measured.ticks} ticks` },
});
