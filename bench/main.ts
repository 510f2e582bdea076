import { parseArgs } from "node:util";
import { capacity } from "./capacity.ts";
import { hidden } from "./hidden.ts";
import { listeners } from "./listeners.ts";
import { memory } from "./memory.ts";
import { nine } from "./nine.ts";
import { outputs } from "./outputs.ts";
import { print, type Report, save } from "./report.ts";
import { views } from "./views.ts";
import type { Workload } from "./workload.ts";

const WORKLOADS: readonly Workload[] = [nine, hidden, views, outputs, listeners, capacity, memory];

const USAGE = `npm run bench -- [name ...] [--json] [--seconds S] [--rounds N] [--references]

Measures Tessera against the same work done by ffmpeg and GStreamer on this machine. Without names: all but memory.
Writes bench/results/DATE-NAME.json when run in full; --seconds and --rounds make it shorter and write nothing.

${WORKLOADS.map(({ name, title }) => `  ${name.padEnd(10)} ${title}`).join("\n")}
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
      references: { type: "boolean", default: false },
      seconds: { type: "string" },
      rounds: { type: "string" },
    },
  });
  const unknown = positionals.filter((name) => !WORKLOADS.some((one) => one.name === name));
  if (values.help || unknown.length > 0) {
    if (unknown.length > 0) console.error(`no such benchmark: ${unknown.join(", ")}\n`);
    console.error(USAGE);
    return values.help ? 0 : 2;
  }
  const wanted = WORKLOADS.filter(({ name }) =>
    positionals.length > 0 ? positionals.includes(name) : name !== "memory",
  );
  const isWhole = values.seconds === undefined && values.rounds === undefined && !values.references;
  let code = 0;
  for (const workload of wanted) {
    const effort = {
      seconds: Number(values.seconds ?? workload.seconds),
      rounds: Number(values.rounds ?? workload.rounds),
      referencesOnly: values.references,
    };
    code = Math.max(code, show(await workload.run(effort), values.json, isWhole));
  }
  return code;
}

/** @returns 1 if the report is not valid. A target that is missed is a finding, not a failure. */
function show(report: Report, isJson: boolean, isWhole: boolean): number {
  if (isJson) console.log(JSON.stringify(report));
  else print(report);
  if (isWhole) console.error(`written to ${save(report)}`);
  return report.validity.every(({ ok }) => ok) ? 0 : 1;
}

process.exitCode = await main();
