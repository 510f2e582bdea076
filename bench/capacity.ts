import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Program } from "../test/kit/process.ts";
import { footage } from "./footage.ts";
import { ffmpegMix, gridTiles } from "./reference.ts";
import type { Report } from "./report.ts";
import { isRunning, Server } from "./tessera.ts";
import { type Effort, Scratch, type Workload } from "./workload.ts";

/** (f) How many four-person mixes this machine carries at once. */
export const capacity: Workload = {
  name: "capacity",
  title: "(f) four-person 720p30 mixes until more than 0.1 % of ticks are late",
  seconds: 30,
  rounds: 1,
  run: runCapacity,
};

const MOST = 64;
const LATE_LIMIT = 0.001;

async function runCapacity({ seconds, referencesOnly }: Effort): Promise<Report> {
  const { files, kind } = await footage(9, 60);
  const inputs = files.slice(0, 4);
  const theirs = await most((count) => ffmpegKeepsUp(inputs, count, seconds));
  const base = { name: capacity.name, title: capacity.title, seconds, footage: kind, rows: [], validity: [] };
  const figure = { what: "mixes that ffmpeg carries, one process each", value: theirs };
  if (referencesOnly) return { ...base, figures: [figure], notes: [] };
  const { carried, notes } = await tesseraCarries(inputs, seconds);
  return {
    ...base,
    figures: [{ what: "mixes that Tessera carries", value: carried }, figure],
    notes: [
      ...notes,
      "ffmpeg has no clock of its own to be late by: it counts as keeping up while each of its processes, reading at the",
      "pace of playback, has written at the end all but half a second of what it had been given.",
    ],
  };
}

async function most(keepsUp: (count: number) => Promise<boolean>): Promise<number> {
  for (let count = 1; count <= MOST; count++) if (!(await keepsUp(count))) return count - 1;
  return MOST;
}

async function tesseraCarries(
  inputs: readonly string[],
  seconds: number,
): Promise<{ readonly carried: number; readonly notes: string[] }> {
  await using server = await Server.open([dirname(inputs[0] ?? "")]);
  const notes: string[] = [];
  const mixes: string[] = [];
  const ticks = async (): Promise<{ late: number; ticks: number }> => {
    const views = (await Promise.all(mixes.map((mix) => server.stats(mix)))).flatMap((stats) => stats.views);
    const sum = (pick: "late" | "repeated" | "ticks"): number =>
      views.reduce((total, view) => total + view[pick], 0);
    return { late: sum("late") + sum("repeated"), ticks: sum("ticks") };
  };
  while (mixes.length < MOST) {
    const sources = inputs.map((url, n) => ({ id: `s${n}`, kind: "pull" as const, url, loop: true }));
    const outputs = [{ kind: "file" as const, path: `mix${mixes.length}.mp4` }];
    try {
      mixes.push(await server.createMix({ id: `m${mixes.length}`, sources, outputs }, isRunning, 30_000));
    } catch (error) {
      notes.push(`mix ${mixes.length + 1} did not start: ${error instanceof Error ? error.message : error}`);
      return { carried: mixes.length, notes };
    }
    await server.stretch(3);
    const before = await ticks();
    const { cpuSeconds, wallSeconds } = await server.stretch(seconds);
    const after = await ticks();
    const share = (after.late - before.late) / Math.max(1, after.ticks - before.ticks);
    const load = `${(cpuSeconds / wallSeconds).toFixed(2)} cores`;
    notes.push(`${mixes.length} mixes: ${(share * 100).toFixed(3)} % of ticks late or repeated, ${load}`);
    if (share > LATE_LIMIT) return { carried: mixes.length - 1, notes };
  }
  return { carried: MOST, notes };
}

/** Each process reads at the pace of playback; whether it kept that pace shows in when it is done. */
async function ffmpegKeepsUp(inputs: readonly string[], count: number, seconds: number): Promise<boolean> {
  using scratch = new Scratch();
  const tiles = gridTiles(4, 1280, 720);
  const startedMs = performance.now();
  await using programs = new AsyncDisposableStack();
  const running = await Promise.all(
    Array.from({ length: count }, async (_, n) => {
      const task = { inputs, tiles, width: 1280, height: 720, seconds };
      const { program, args } = ffmpegMix(task, scratch.file(`${n}.mp4`));
      const paced = args.flatMap((word) => (word === "-i" ? ["-re", "-i"] : [word]));
      return programs.use(await Program.start(program, paced, { maxMs: (seconds + 30) * 1000 }));
    }),
  );
  // Starting is apart: reading has begun when the first has opened its inputs, a fraction of a second in.
  const limitMs = (seconds + 1.5) * 1000;
  const ends = await Promise.all(
    running.map(async (one) => {
      const exit = await Promise.race([one.exited, sleep(limitMs * 2).then(() => undefined)]);
      return exit?.code === 0 ? performance.now() - startedMs : Number.POSITIVE_INFINITY;
    }),
  );
  return Math.max(...ends) <= limitMs;
}
