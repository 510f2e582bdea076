import { performance } from "node:perf_hooks";
import { us } from "../src/core/time.ts";
import { AudioMixer } from "../src/mixer/audio/audio-mixer.ts";

/**
 * What one audio tick costs, in microseconds: `node bench/audio-tick.ts [sources] [seconds]`.
 * Sources are noise with syllables, so that meters, voice detection and limiters all have work.
 */
const sources = Number(process.argv[2] ?? 40);
const ticks = Number(process.argv[3] ?? 20) * 50;

using mixer = new AudioMixer({ maxSpeakers: 4, loudness: -23 });
const ids = Array.from({ length: sources }, (_, i) => `s${i}`);
for (const id of ids) mixer.add(id, { policy: "speaker" });
const handles = ids.map((id) => mixer.want({ without: id }));

const sound = Float32Array.from({ length: 48_000 * 2 }, (_, i) => {
  const t = Math.floor(i / 2) / 48_000;
  const voice =
    Math.sin(2 * Math.PI * 150 * t) + 0.5 * Math.sin(2 * Math.PI * 300 * t) + 0.2 * (Math.random() - 0.5);
  return 0.2 * voice * (0.55 + 0.45 * Math.sin(2 * Math.PI * 4 * t));
});
const costs = new Float64Array(ticks);
let cpuUs = 0;
for (let n = 0; n < ticks; n++) {
  for (const [k, id] of ids.entries()) {
    const at = ((n + 1 + k) % 50) * 1920;
    const ptsUs = us((n + 1) * 20_000);
    mixer.push(
      id,
      { ptsUs, samples: sound.subarray(at, at + 1920), arrivalUs: ptsUs, discontinuity: false },
      ptsUs,
    );
  }
  const begin = performance.now();
  const cpu = process.cpuUsage();
  mixer.tick(n);
  const spent = process.cpuUsage(cpu);
  if (n >= 50) cpuUs += spent.user + spent.system;
  costs[n] = (performance.now() - begin) * 1000;
}
const sorted = costs.slice(50).sort();
const at = (q: number): number => Math.round(sorted[Math.floor(q * (sorted.length - 1))] ?? 0);
const cpuMeanUs = Math.round(cpuUs / (ticks - 50));
console.log(
  JSON.stringify({
    sources,
    sums: handles.length,
    ticks,
    cpuMeanUs,
    p50Us: at(0.5),
    p95Us: at(0.95),
    p99Us: at(0.99),
  }),
);
for (const handle of handles) handle[Symbol.dispose]();
