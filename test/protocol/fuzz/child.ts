/**
 * Fuzzes every parser and prints one line of JSON: how it went, and which lines ran.
 *
 * node test/protocol/fuzz/child.ts INPUTS SEED
 */
import { readFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { fileURLToPath } from "node:url";
import { TesseraError } from "../../../src/core/error.ts";
import { mutate, seeded } from "./mutate.ts";

/** One parser's result. */
export interface TargetResult {
  readonly name: string;
  readonly inputs: number;
  /** Inputs damaged behind the handshake only. */
  readonly deep: number;
  /** Refused with a typed error; the rest was read. */
  readonly refused: number;
  readonly slowestMs: number;
}

export interface FuzzResult {
  readonly targets: readonly TargetResult[];
  /** Share of executable lines that ran, per file of src/protocol. */
  readonly coverage: Readonly<Record<string, number>>;
  readonly heapGrowthBytes: number;
}

const [, , count = "1000", seed = "1"] = process.argv;
const inputs = Number(count);
const session = new Session();
session.connect();
await session.post("Profiler.enable");
await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
const { targets } = await import("./targets.ts");
const random = seeded(Number(seed));
const results: TargetResult[] = [];
const heapBefore = process.memoryUsage();
for (const target of targets) {
  const donor = Buffer.concat(target.seeds);
  let [refused, deep, slowestMs] = [0, 0, 0];
  for (let index = 0; index < inputs; index++) {
    const picked = target.seeds[Math.floor(random() * target.seeds.length)];
    if (picked === undefined) throw new Error(`${target.name} has no seeds`);
    const isDeep = target.deep !== undefined && index % 3 === 0;
    if (isDeep) deep += 1;
    // A few as they are: the good path counts as covered too.
    const input =
      index < target.seeds.length
        ? (target.seeds[index] ?? picked)
        : mutate(picked, donor, random, isDeep ? target.deep : 0);
    const startMs = performance.now();
    try {
      target.run(input);
    } catch (error) {
      if (!(error instanceof TesseraError)) {
        console.error(`${target.name} threw ${String(error)} for ${input.toString("hex")}`);
        throw error;
      }
      refused += 1;
    }
    slowestMs = Math.max(slowestMs, performance.now() - startMs);
  }
  results.push({ name: target.name, inputs, deep, refused, slowestMs });
}
const heapAfter = process.memoryUsage();
const result: FuzzResult = {
  targets: results,
  coverage: await coverage(),
  heapGrowthBytes: heapAfter.rss - heapBefore.rss,
};
console.log(JSON.stringify(result));

/** V8's precise block coverage; type stripping keeps every offset where it is in the source. */
async function coverage(): Promise<Record<string, number>> {
  const { result: scripts } = await session.post("Profiler.takePreciseCoverage");
  const shares: Record<string, number> = {};
  for (const { url, functions } of scripts) {
    if (!url.includes("/src/protocol/")) continue;
    const path = fileURLToPath(url);
    const source = readFileSync(path, "utf8");
    const ran = new Uint8Array(source.length).fill(1);
    // Outer ranges come before inner ones, so the innermost has the last word.
    for (const { ranges } of functions)
      for (const { startOffset, endOffset, count: times } of ranges)
        ran.fill(times > 0 ? 1 : 0, startOffset, endOffset);
    shares[path.replace(/.*\/src\//, "src/")] = shareOfLines(source, ran);
  }
  return shares;
}

/** Lines with code on them: not blank, comment, type or a lone bracket. */
function shareOfLines(source: string, ran: Uint8Array): number {
  let [at, lines, covered] = [0, 0, 0];
  let inType = false;
  for (const line of source.split("\n")) {
    const text = line.trim();
    if (/^(export )?(interface|type) /.test(text)) inType = true;
    const isCode = !inType && text !== "" && !/^(\/\/|\/\*|\*|import |export \{|[)}\]];?,?$)/.test(text);
    if (inType && (/^\}/.test(line) || (/;$/.test(line) && !/^\s/.test(line)))) inType = false;
    if (isCode) {
      lines += 1;
      const start = at + line.search(/\S/);
      if (ran[start] === 1) covered += 1;
    }
    at += line.length + 1;
  }
  return lines === 0 ? 1 : covered / lines;
}
