import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Machine, machine } from "./machine.ts";
import type { Check } from "./validity.ts";

/** One contender's cost: medians over the runs. */
export interface Row {
  readonly contender: string;
  /** User plus system time of its whole process tree, without starting. */
  readonly cpuSeconds: number;
  /** User plus system time of a run of 0.1 s: what starting costs. */
  readonly startCpuSeconds: number;
  readonly wallSeconds: number;
  readonly peakMb: number;
  /** CPU seconds of each run, start included. */
  readonly runs: readonly number[];
  /** Anything else worth knowing, e.g. `encoders: 1`. */
  readonly also?: Readonly<Record<string, number | string>>;
}

/** One figure: a ratio, or a count, with its target. */
export interface Figure {
  readonly what: string;
  readonly value: number;
  /** Met if the value is at most this; none if the issue sets no target. */
  readonly atMost?: number;
  readonly unit?: string;
}

/** What one workload found. */
export interface Report {
  readonly name: string;
  readonly title: string;
  /** Seconds of media, or of wall time where it runs live. */
  readonly seconds: number;
  readonly footage: string;
  readonly rows: readonly Row[];
  readonly figures: readonly Figure[];
  /** Figures count only if all hold. */
  readonly validity: readonly Check[];
  readonly notes: readonly string[];
}

/** Prints a report for people. */
export function print(report: Report): void {
  console.log(`\n${report.name}: ${report.title} (${report.seconds} s, ${report.footage} footage)`);
  for (const row of report.rows) {
    const also = Object.entries(row.also ?? {}).map(([key, value]) => `${key} ${value}`);
    const cost = [
      `${row.cpuSeconds.toFixed(2)} s CPU`,
      `+ ${row.startCpuSeconds.toFixed(2)} s to start`,
      `${row.wallSeconds.toFixed(2)} s wall`,
      `${row.peakMb.toFixed(0)} MB`,
    ];
    console.log(`  ${row.contender.padEnd(28)} ${[...cost, ...also].join(", ")}`);
  }
  for (const { what, value, atMost, unit = "" } of report.figures) {
    const target = atMost === undefined ? "" : `  target <= ${atMost}: ${value <= atMost ? "met" : "MISSED"}`;
    console.log(`  ${what.padEnd(56)} ${value.toFixed(3)}${unit}${target}`);
  }
  for (const { what, ok, found } of report.validity)
    console.log(`  ${ok ? "valid  " : "INVALID"} ${what}: ${found}`);
  for (const note of report.notes) console.log(`  ${note}`);
}

/** Writes a report with the machine it was measured on. @returns the file. */
export function save(report: Report): string {
  const day = new Date().toISOString().slice(0, 10);
  const folder = fileURLToPath(new URL("results/", import.meta.url));
  mkdirSync(folder, { recursive: true });
  const file = `${folder}${day}-${report.name}.json`;
  const content: Report & { date: string; machine: Machine } = { date: day, machine: machine(), ...report };
  writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`);
  return file;
}

/** The middle value; of an even number the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1] ?? Number.NaN, sorted[Math.floor(middle)] ?? Number.NaN];
  return (low + high) / 2;
}
