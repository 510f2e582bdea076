#!/usr/bin/env node
import { enableCompileCache } from "node:module";
import { Command, CommanderError } from "commander";
import { TesseraError } from "../core/error.ts";
import { version } from "./version.ts";

/** A command's work: what follows its name on the command line in, the exit code out. */
type Run = (argv: readonly string[]) => Promise<number>;

/** Each command loads its own modules only, so that `tessera layout check` does not wait for a web server. */
const COMMANDS: readonly {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<Run>;
}[] = [
  {
    name: "serve",
    summary: "run a node: HTTP, RPC, RTMP, and workers that mix",
    load: async () => (await import("./serve.ts")).runServe,
  },
  {
    name: "mix",
    summary: "mix inputs into files and streams, in one line and without a server",
    load: async () => (await import("./mix.ts")).runMix,
  },
  {
    name: "probe",
    summary: "say what this machine can decode, scale, compose and encode",
    load: async () => (await import("./probe.ts")).runProbe,
  },
  {
    name: "layout",
    summary: "check layout documents, and draw them with stand-ins",
    load: async () => (await import("./layout.ts")).runLayout,
  },
  {
    name: "bench",
    summary: "measure this build against ffmpeg and GStreamer",
    load: async () => (await import("./bench.ts")).runBench,
  },
];

function program(done: (code: number) => void): Command {
  const tessera = new Command("tessera")
    .description("Many live streams in, few mixed streams out.")
    .version(version())
    .exitOverride();
  for (const { name, summary, load } of COMMANDS) {
    tessera
      .command(name)
      .description(summary)
      .helpOption(false)
      .allowUnknownOption()
      .allowExcessArguments()
      .action(async () => {
        const run = await load();
        done(await run(process.argv.slice(process.argv.indexOf(name, 2) + 1)));
      });
  }
  return tessera;
}

async function main(): Promise<number> {
  enableCompileCache();
  let code = 0;
  try {
    await program((result) => {
      code = result;
    }).parseAsync();
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (!(error instanceof TesseraError)) throw error;
    process.stderr.write(`tessera: ${error.message}\n`);
    return error.fault === "caller" ? 2 : 1;
  }
}

process.exit(await main());
