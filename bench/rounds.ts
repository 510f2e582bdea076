import { measure, type Usage } from "../test/kit/usage.ts";
import type { Command } from "./reference.ts";
import { median, type Row } from "./report.ts";
import type { Stretch } from "./tessera.ts";

/** One way to do a workload's work. */
export interface Contender {
  readonly name: string;
  readonly whole: Command;
  /** The same for a tenth of a second: what starting costs. */
  readonly start: Command;
}

/**
 * Runs all contenders in turn, `rounds` times over, so that whatever else the machine does meets all alike.
 * @returns a row per contender, with medians.
 */
export async function race(contenders: readonly Contender[], rounds: number): Promise<Row[]> {
  const wholes = contenders.map((): Usage[] => []);
  const starts = contenders.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, { name, whole, start }] of contenders.entries()) {
      console.warn(`round ${round + 1} of ${rounds}: ${name}`);
      starts[index]?.push((await run(start)).cpuSeconds);
      wholes[index]?.push(await run(whole));
    }
  }
  return contenders.map(({ name }, index) =>
    medianRow(name, wholes[index] ?? [], median(starts[index] ?? [])),
  );
}

/** Runs a command once and says what it cost. @throws if it fails. */
export const run = ({ program, args }: Command): Promise<Usage> =>
  measure(program, args, { maxMs: 3_600_000 });

/** The cost of runs of the same work. @param startCpuSeconds what starting costs, where `usages` hold it. */
export function medianRow(contender: string, usages: readonly Stretch[], startCpuSeconds = 0): Row {
  const runs = usages.map(({ cpuSeconds }) => cpuSeconds);
  return {
    contender,
    cpuSeconds: median(runs) - startCpuSeconds,
    startCpuSeconds,
    wallSeconds: median(usages.map(({ wallSeconds }) => wallSeconds)),
    peakMb: median(usages.map(({ peakRssBytes }) => peakRssBytes)) / 1e6,
    runs,
  };
}
