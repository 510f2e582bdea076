import { dirname } from "node:path";
import type { OutputStatus } from "../src/contract/status.ts";
import { Nginx } from "../test/kit/nginx.ts";
import { footage } from "./footage.ts";
import { ffmpegMix, gridTiles, type MixTask } from "./reference.ts";
import type { Report, Row } from "./report.ts";
import { medianRow, run } from "./rounds.ts";
import { isRunning, Server, type Stretch } from "./tessera.ts";
import type { Check } from "./validity.ts";
import type { Effort, Workload } from "./workload.ts";

/** (d) One, five and twenty pushes of the same picture into a real RTMP server: encoded once. */
export const outputs: Workload = {
  name: "outputs",
  title: "(d) 1, 5 and 20 identical RTMP outputs into nginx",
  seconds: 30,
  rounds: 1,
  run: runOutputs,
};

const COUNTS = [1, 5, 20] as const;
const SIZE = { width: 1280, height: 720 };

interface Measured extends Stretch {
  readonly count: number;
  readonly encoders: number;
  /** Of the stream that got least. */
  readonly leastBps: number;
  readonly mostBps: number;
  readonly dropped: number;
  readonly reconnects: number;
}

async function runOutputs({ seconds, referencesOnly }: Effort): Promise<Report> {
  const { files, kind } = await footage(9, 60);
  const inputs = files.slice(0, 4);
  const references: Row[] = [];
  for (const count of COUNTS) references.push(await ffmpegRow(inputs, count, seconds));
  const base = { name: outputs.name, title: outputs.title, seconds, footage: kind };
  const theirs = (references.at(-1)?.cpuSeconds ?? Number.NaN) / (references[0]?.cpuSeconds ?? Number.NaN);
  const figure = { what: "CPU of ffmpeg's tee to 20 against 1", value: theirs };
  if (referencesOnly) return { ...base, rows: references, figures: [figure], validity: [], notes: [] };
  const measured = await measureLive(inputs, seconds);
  const [one, , twenty] = measured;
  return {
    ...base,
    rows: [...measured.map(rowOf), ...references],
    figures: [
      {
        what: "CPU of 20 outputs against 1",
        value: (twenty?.cpuSeconds ?? Number.NaN) / (one?.cpuSeconds ?? 1),
        atMost: 1.15,
      },
      { what: "video encoders with 20 outputs", value: twenty?.encoders ?? Number.NaN, atMost: 1 },
      figure,
    ],
    validity: measured.flatMap(checksOf),
    notes: [
      "The server's own CPU is not counted. Four 720p30 inputs. ffmpeg encodes once too (tee muxer), as fast as it can.",
    ],
  };
}

async function measureLive(inputs: readonly string[], seconds: number): Promise<Measured[]> {
  await using nginx = await Nginx.open({ maxMs: 3_600_000 });
  await using server = await Server.open([dirname(inputs[0] ?? "")]);
  const outputOf = (n: number) => ({ id: `o${n}`, kind: "rtmp" as const, url: `${nginx.url}/o${n}` });
  const mix = await server.createMix(
    {
      sources: inputs.map((url, n) => ({ id: `s${n}`, kind: "pull" as const, url, loop: true })),
      outputs: [outputOf(0)],
    },
    isRunning,
  );
  const measured: Measured[] = [];
  let have = 1;
  for (const count of COUNTS) {
    for (; have < count; have++) await server.call("output.add", { mix, output: outputOf(have) });
    // Long enough for every push to be live and for what joining costs to be over.
    await server.stretch(5);
    const before = await nginx.streams();
    const { outputs: earlier } = await server.stats(mix);
    const stretch = await server.stretch(seconds);
    const after = await nginx.streams();
    const rates = after.map(({ name, bytesIn }) => {
      const bytesBefore = before.find((one) => one.name === name)?.bytesIn ?? 0;
      return ((bytesIn - bytesBefore) * 8) / stretch.wallSeconds;
    });
    const stats = await server.stats(mix);
    measured.push({
      ...stretch,
      count,
      encoders: stats.encoders.filter((one) => one.kind === "video").length,
      leastBps: after.length === count ? Math.min(...rates) : 0,
      mostBps: Math.max(0, ...rates),
      dropped: total(stats.outputs, "dropped") - total(earlier, "dropped"),
      reconnects: total(stats.outputs, "retries") - total(earlier, "retries"),
    });
  }
  return measured;
}

async function ffmpegRow(inputs: readonly string[], count: number, seconds: number): Promise<Row> {
  await using nginx = await Nginx.open();
  const task: MixTask = { inputs, tiles: gridTiles(4, SIZE.width, SIZE.height), ...SIZE, seconds };
  const sinks = Array.from({ length: count }, (_, n) => `[f=flv]${nginx.url}/r${n}`).join("|");
  const command = (s: number) => {
    const { program, args } = ffmpegMix({ ...task, seconds: s }, sinks);
    return { program, args: [...args.slice(0, -1), "-flags", "+global_header", "-f", "tee", sinks] };
  };
  const start = await run(command(0.1));
  const whole = await run(command(seconds));
  return medianRow(`ffmpeg tee, ${count}`, [whole], start.cpuSeconds);
}

const total = (outputs: readonly OutputStatus[], what: "dropped" | "retries"): number =>
  outputs.reduce((sum, one) => sum + one[what], 0);

const checksOf = ({ count, leastBps, mostBps, dropped, reconnects }: Measured): Check[] => [
  {
    what: `${count} outputs: the server got all of every stream`,
    // 2 Mbit/s of picture (the soft footage may need less) and 128 kbit/s of sound, the same for all.
    ok: leastBps > 1_000_000 && mostBps / leastBps < 1.03,
    found: `${Math.round(leastBps / 1000)} to ${Math.round(mostBps / 1000)} kbit/s`,
  },
  { what: `${count} outputs: nothing was dropped`, ok: dropped === 0, found: `${dropped}` },
  { what: `${count} outputs: each kept its connection`, ok: reconnects === 0, found: `${reconnects} lost` },
];

const rowOf = (measured: Measured): Row => ({
  ...medianRow(`tessera, ${measured.count} outputs`, [measured]),
  also: { "video encoders": measured.encoders },
});
