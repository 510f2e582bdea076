import { basename } from "node:path";
import { expect } from "vitest";
import type { MixStats, ViewStatus } from "../../src/contract/status.ts";
import { type Counted, type CountJudgement, judgeCounters, type Rect } from "../kit/counter.ts";
import { readCounters } from "../kit/decode.ts";
import { manifestOf } from "./media.ts";

/** Of all views in these tests. */
const FPS = 30;

/** What a recording shows of one counting source. */
export interface Frames extends CountJudgement {
  readonly readings: readonly (Counted | null)[];
  readonly ptsS: readonly number[];
  /** Numbers of the output's own time line that no picture has. */
  readonly skipped: number;
}

/**
 * Reads a counter in every picture of a recording, wherever of these places it is.
 *
 * @param until leaves out what came later: what a mix does while it closes is in no statistics.
 */
export async function framesOf(
  file: string,
  places: readonly Rect[],
  until?: { readonly atUs: number },
): Promise<Frames> {
  const { readings, ptsS: all } = await readCounters(file, places);
  const endS = until === undefined ? Number.POSITIVE_INFINITY : (until.atUs - startUs(file)) / 1e6;
  const ptsS = all.filter((pts) => pts < endS);
  const found = ptsS.map((_, n) => readings.map((list) => list[n]).find((one) => one) ?? null);
  const steps = ptsS.slice(1).map((pts, index) => Math.round((pts - (ptsS[index] ?? 0)) * FPS) - 1);
  const skipped = steps.reduce((sum, step) => sum + step, 0);
  return { ...judgeCounters(found), readings: found, ptsS, skipped };
}

/** The mix time at which a recording's file begins. */
function startUs(file: string): number {
  const { parts } = manifestOf(file.replace(/(\.\d+)?\.(mp4|mkv)$/, ".json"));
  return parts.find((part) => part.file === basename(file))?.startPtsUs ?? Number.NaN;
}

/** What a view says it could not show in time, between two looks at it, or since its start. */
export interface Confessed {
  /** Ticks that began late: their sources may have been late too. */
  readonly late: number;
  readonly repeated: number;
  readonly skipped: number;
}

export function confessed(before: MixStats | undefined, after: MixStats, view = "main"): Confessed {
  const of = (stats: MixStats | undefined): ViewStatus | undefined =>
    stats?.views.find(({ id }) => id === view);
  const [a, b] = [of(before), of(after)];
  return {
    late: (b?.late ?? 0) - (a?.late ?? 0),
    repeated: (b?.repeated ?? 0) - (a?.repeated ?? 0),
    skipped: (b?.skipped ?? 0) - (a?.skipped ?? 0),
  };
}

/**
 * Every picture once, in order, but for what the program itself confessed: on a machine with time to spare that is
 * nothing.
 */
export function expectEveryPicture(frames: Frames, { late, repeated, skipped }: Confessed): void {
  const excused = late + repeated + skipped;
  expect(frames.backward, "pictures that went back").toEqual([]);
  expect(frames.repeated.length, `repeated ${frames.repeated}`).toBeLessThanOrEqual(excused);
  expect(frames.missed.length, `missed ${frames.missed}`).toBeLessThanOrEqual(excused);
  expect(frames.skipped, "numbers of the time line without a picture").toBeLessThanOrEqual(skipped);
}
