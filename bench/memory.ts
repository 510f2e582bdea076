import { type MemorySample, memorySlope } from "../test/kit/memory.ts";
import { Program } from "../test/kit/process.ts";
import { treeRssBytes } from "../test/kit/usage.ts";
import { footage } from "./footage.ts";
import type { Report } from "./report.ts";
import { medianRow } from "./rounds.ts";
import { summaryOf, tesseraMix } from "./tessera.ts";
import { type Effort, Scratch, type Workload } from "./workload.ts";

/** An hour of media through one mix: memory must not grow. */
export const memory: Workload = {
  name: "memory",
  title: "memory over an hour of media, four 720p30 in, 640x360 out",
  seconds: 3600,
  rounds: 1,
  run: runMemory,
};

/** Caches, pools and the compiler are warm after two minutes of media. */
const WARM_UP_MS = 120_000;

async function runMemory({ seconds }: Effort): Promise<Report> {
  using scratch = new Scratch();
  const { files, kind } = await footage(9, 60);
  const inputs = files.slice(0, 4).map((file) => `${file},loop=true`);
  const { program, args } = tesseraMix(inputs, scratch.file("hour.mp4"), { seconds, size: "640x360" });
  await using mix = await Program.start(program, args, { maxMs: seconds * 2000 + 60_000 });
  const startedMs = performance.now();
  const samples: MemorySample[] = [];
  let peakRssBytes = 0;
  const look = setInterval(() => {
    const bytes = treeRssBytes(mix.pid);
    peakRssBytes = Math.max(peakRssBytes, bytes);
    samples.push({ atMs: performance.now() - startedMs, bytes });
  }, 500);
  const exit = await mix.exited;
  clearInterval(look);
  if (exit.code !== 0)
    throw new Error(`tessera mix: ${exit.signal ?? exit.code}\n${exit.stderr.slice(-3000)}`);
  const wallSeconds = (performance.now() - startedMs) / 1000;
  const summary = summaryOf(exit.stdout);
  // The mix runs faster than its media: one wall second stands for `pace` seconds of media.
  const pace = seconds / wallSeconds;
  const inMediaTime = samples.map(({ atMs, bytes }) => ({ atMs: atMs * pace, bytes }));
  return {
    name: memory.name,
    title: memory.title,
    seconds,
    footage: kind,
    rows: [
      {
        ...medianRow("tessera mix", [{ cpuSeconds: summary.cpuSeconds, wallSeconds, peakRssBytes }]),
        also: { frames: summary.frames },
      },
    ],
    figures: [
      {
        what: "memory, MB per minute of media after minute 2",
        value: memorySlope(inMediaTime, WARM_UP_MS),
        atMost: 0.5,
      },
    ],
    validity: [
      { what: "every picture was written", ok: summary.frames === seconds * 30, found: `${summary.frames}` },
    ],
    notes: [`${pace.toFixed(1)} times faster than playback`],
  };
}
