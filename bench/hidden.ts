import { writeFileSync } from "node:fs";
import { footage } from "./footage.ts";
import { ffmpegLossless, gridTiles, type MixTask } from "./reference.ts";
import type { Report } from "./report.ts";
import { race, run } from "./rounds.ts";
import { tesseraMix } from "./tessera.ts";
import { compare, qualityOf } from "./validity.ts";
import { type Effort, Scratch, type Workload } from "./workload.ts";

/** (b) Twenty-five inputs of which nine are seen: the other sixteen are heard, and their pictures are not decoded. */
export const hidden: Workload = {
  name: "hidden",
  title: "(b) 25 in of which 9 visible, against nine in",
  seconds: 60,
  rounds: 3,
  run: runHidden,
};

const NINE_TILES = {
  tessera: 1,
  name: "nine-of-many",
  arrangements: [{ sources: [0, null], grid: { aspect: "16/9", maxTiles: 9, lastRow: "center" } }],
};

async function runHidden({ seconds, rounds }: Effort): Promise<Report> {
  using scratch = new Scratch();
  const { files, kind } = await footage(25, 60);
  const visible = files.slice(0, 9);
  const layout = scratch.file("nine-of-many.json");
  writeFileSync(layout, JSON.stringify(NINE_TILES));
  const [all, some, lossless] = [
    scratch.file("all.mp4"),
    scratch.file("some.mp4"),
    scratch.file("lossless.mkv"),
  ];
  const size = { width: 1280, height: 720 };
  const task: MixTask = { inputs: visible, tiles: gridTiles(9, size.width, size.height), ...size, seconds };
  await run(ffmpegLossless(task, lossless));
  const contender = (name: string, inputs: readonly string[], output: string) => ({
    name,
    whole: tesseraMix(inputs, output, { seconds, layout }),
    start: tesseraMix(inputs, scratch.file("moment.mp4"), { seconds: 0.1, layout }),
  });
  const rows = await race(
    [contender("tessera, 25 in", files, all), contender("tessera, 9 in", visible, some)],
    rounds,
  );
  const [many, few] = rows.map(({ cpuSeconds }) => cpuSeconds);
  const [ours, reference] = [await qualityOf(all, lossless), await qualityOf(some, lossless)];
  return {
    name: hidden.name,
    title: hidden.title,
    seconds,
    footage: kind,
    rows,
    figures: [
      { what: "CPU of 25 in against 9 in", value: (many ?? Number.NaN) / (few ?? Number.NaN), atMost: 1.1 },
    ],
    validity: compare(ours, reference),
    notes: [
      "All 25 are heard; the sixteen that are not seen cost reading, sound and keeping their last key frame.",
    ],
  };
}
