import { writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { judgeSync } from "../kit/flash-beep.ts";
import { Folder } from "../kit/folder.ts";
import { counterVideo, flashBeep } from "../kit/media.ts";
import { type MemorySample, memorySlope } from "../kit/memory.ts";
import { requirePeer } from "../kit/peers.ts";
import { rssBytes, treePids } from "../kit/usage.ts";
import { readSources, upTo } from "./counting.ts";
import { inputs, MixRun, outputs } from "./program.ts";

const MEDIA_S = 600;
const SIZE = { width: 640, height: 360 };

/** What V8 lets lie until it needs room is no leak, and its saw-tooth of 25 MB in minutes would hide one. */
const SMALL_HEAP = { NODE_OPTIONS: "--max-old-space-size=64" };

/** Resident memory of the largest process of a run (its worker), until it ends, by media time. */
async function watchMemory(run: MixRun): Promise<MemorySample[]> {
  await run.waitFor("output.live");
  const beganMs = performance.now();
  const looks: MemorySample[] = [];
  while (!run.hasExited) {
    const bytes = Math.max(...treePids(run.pid).map(rssBytes));
    if (bytes > 0) looks.push({ atMs: performance.now() - beganMs, bytes });
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  // --fast runs at a steady speed, so wall time is media time at another scale. The last looks meet it closing.
  const wallMs = performance.now() - beganMs;
  return looks
    .map(({ atMs, bytes }) => ({ atMs: (atMs / wallMs) * MEDIA_S * 1000, bytes }))
    .filter(({ atMs }) => atMs < 0.98 * MEDIA_S * 1000);
}

requirePeer("ffmpeg")("ten minutes", () => {
  test("every number once, lips in step at the end, memory flat", async () => {
    using folder = new Folder();
    const file = folder.file("long.mp4");
    const counted = await counterVideo({ seconds: MEDIA_S, width: 320, height: 180, tone: 440 });
    const flashing = await flashBeep({ seconds: MEDIA_S, width: 320, height: 180 });
    const args = [...inputs(counted, `${flashing},gain=1`), "--size", "640x360", "--fast", ...outputs(file)];
    await using run = await MixRun.start(args, { maxMs: 1_200_000, env: SMALL_HEAP });
    const memory = await watchMemory(run);
    const { code, summary } = await run.finish();
    expect(code).toBe(0);
    const [source] = await readSources(file, [{ ...SIZE, count: 2 }]);
    const sync = await judgeSync(file, { x: 420, y: 150, width: 120, height: 60 });
    const slopeMbPerMinute = memorySlope(memory, 120_000);
    const result = {
      mediaS: MEDIA_S,
      pictures: source?.readings.length,
      late: summary?.late,
      repeated: summary?.repeated,
      meanMs: sync.meanMs,
      sdMs: sync.sdMs,
      lastOffsetMs: sync.offsetsMs.at(-1),
      slopeMbPerMinute,
      rssMb: Math.round((memory.at(-1)?.bytes ?? 0) / 1e6),
      wallSeconds: summary?.wallSeconds,
      cpuSeconds: summary?.cpuSeconds,
    };
    console.log(JSON.stringify(result));
    const { TESSERA_RESULTS: results } = process.env;
    if (results !== undefined) writeFileSync(results, JSON.stringify(result, null, 2));
    expect(source?.numbers).toEqual(upTo(MEDIA_S * 30));
    expect(sync.offsetsMs.length).toBe(MEDIA_S - 1);
    expect(Math.abs(sync.meanMs)).toBeLessThanOrEqual(10);
    expect(sync.sdMs).toBeLessThanOrEqual(5);
    expect(slopeMbPerMinute).toBeLessThanOrEqual(0.5);
  });
});
