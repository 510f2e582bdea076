import { readFileSync } from "node:fs";
import { availableParallelism, hostname } from "node:os";
import { Command, CommanderError, Option } from "commander";
import { z } from "zod";
import { parse } from "../contract/parse.ts";
import { InvalidArgumentError } from "../core/error.ts";
import { ID_PATTERN } from "../core/id.ts";
import { nearest } from "../core/nearest.ts";
import { NOT_SUPPORTED, unsupportedFlag } from "../rpc/not-supported.ts";

/** Each field is an option of `tessera serve`: a flag, a key of the config file, and `TESSERA_*`. */
const Schema = z.strictObject({
  http: z.string().default("127.0.0.1:8080").describe("host:port of HTTP, or off"),
  publicUrl: z.url().optional().describe("where users reach HTTP, e.g. through a proxy"),
  origin: z.array(z.url()).default([]).describe("pages of this origin may call, besides our own"),
  rtmp: z.string().default("127.0.0.1:1935").describe("host:port of RTMP, or off"),
  rtmps: z.string().default("off").describe("host:port of RTMP over TLS, or off"),
  tlsCert: z.string().optional().describe("file with the certificates for --rtmps, PEM"),
  tlsKey: z.string().optional().describe("file with the key for --rtmps, PEM"),
  data: z.string().default("./data").describe("folder of everything that must survive"),
  files: z.array(z.string()).default([]).describe("folder that pulls may read files from"),
  allow: z
    .array(z.string())
    .default([])
    .describe("address, CIDR block or host that may be reached though not public"),
  token: z.string().min(8, "must have at least 8 characters").optional().describe("allows everything"),
  workers: z.coerce
    .number()
    .int()
    .min(1)
    .max(1024)
    .default(64)
    .describe("worker processes with mixes, at most"),
  mixesPerWorker: z.coerce.number().int().min(1).max(1000).default(1).describe("mixes that share a process"),
  node: z.string().regex(ID_PATTERN, "is no id").optional().describe("name of this node"),
  log: z
    .enum(["silent", "fatal", "error", "warn", "info", "debug", "trace"])
    .default("info")
    .describe("log level"),
  demo: z
    .stringbool()
    .or(z.boolean())
    .default(false)
    .describe("begin with a mix of test sources, named demo"),
});

/** The settings of a node, complete and frozen. */
export type ServeConfig = Readonly<z.output<typeof Schema>> & { readonly node: string };

/** Where settings come from; later ones win. */
export interface ConfigSources {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

const KEYS = Object.keys(Schema.shape);
const LISTS = KEYS.filter((key) => unwrapped(key) instanceof z.ZodArray);
const FLAGS = ["demo"];
/** `TESSERA_*` names that are not options of `serve`; the second is for `npm test`. */
const OTHER_ENV = ["TESSERA_CONFIG", "TESSERA_INSTALL_PEERS"];

/**
 * Puts the settings together: defaults, then the config file, then `TESSERA_*`, then flags.
 *
 * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` naming the key, and for an unknown one the nearest known.
 * @throws {CommanderError} for `--help`, with exit code 0.
 */
export function serveConfig({ argv, env }: ConfigSources): ServeConfig {
  const flags = readFlags(argv);
  const file = flags.config ?? env.TESSERA_CONFIG;
  const fromFile = typeof file === "string" ? readFile(file) : {};
  const { config: _, ...fromFlags } = flags;
  const merged = { ...fromFile, ...readEnv(env), ...fromFlags };
  const found = parse(Schema, merged);
  const node = found.node ?? nodeName();
  return Object.freeze({ ...found, node });
}

/** What `tessera serve --help` prints. */
export function serveCommand(): Command {
  const command = new Command("tessera serve")
    .description("Runs a node: HTTP, RPC, RTMP, and workers that mix.")
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
    .allowExcessArguments()
    .option("--config <file>", "JSON file with any of these options, keys in camelCase");
  for (const key of KEYS) command.addOption(optionOf(key));
  for (const flag of NOT_SUPPORTED.flatMap(({ flags }) => flags ?? [])) {
    command.addOption(new Option(`--${flag} [value...]`, "not supported yet").hideHelp());
  }
  return command;
}

function optionOf(key: string): Option {
  const field = Schema.shape[key as keyof typeof Schema.shape];
  const text = field.description ?? "";
  if (FLAGS.includes(key)) return new Option(`--${kebab(key)}`, text);
  const isList = LISTS.includes(key);
  const option = new Option(`--${kebab(key)} <${isList ? "value..." : "value"}>`, text);
  const fallback = field.def && "defaultValue" in field.def ? field.def.defaultValue : undefined;
  // Shown, and left to the schema: commander's own default would win over file and environment.
  return isList || fallback === undefined
    ? option
    : new Option(option.flags, `${text} (default: ${fallback})`);
}

function readFlags(argv: readonly string[]): Record<string, unknown> {
  const command = serveCommand();
  try {
    command.parse([...argv], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError) || error.exitCode === 0) throw error;
    throw new InvalidArgumentError("", error.message.replace(/^error: /, ""));
  }
  const extra = command.args[0];
  if (extra !== undefined) throw new InvalidArgumentError("", `does not know what to do with ${extra}`);
  const given: Record<string, unknown> = command.opts();
  for (const key of Object.keys(given)) refuseUnsupported(kebab(key));
  return given;
}

function refuseUnsupported(flag: string): void {
  const row = unsupportedFlag(flag);
  if (row !== undefined) throw new InvalidArgumentError(flag, `is not supported yet: ${row.what}`);
}

function readFile(path: string): Record<string, unknown> {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new InvalidArgumentError("config", `${path} cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
  if (typeof content !== "object" || content === null || Array.isArray(content)) {
    throw new InvalidArgumentError("config", `${path} is no JSON object`);
  }
  for (const key of Object.keys(content)) refuseUnsupported(kebab(key));
  return content as Record<string, unknown>;
}

function readEnv(env: ConfigSources["env"]): Record<string, unknown> {
  const known = new Map(KEYS.map((key) => [envName(key), key]));
  const found: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith("TESSERA_") || value === undefined || OTHER_ENV.includes(name)) continue;
    const key = known.get(name);
    if (key === undefined) {
      refuseUnsupported(name.slice("TESSERA_".length).toLowerCase().replaceAll("_", "-"));
      const near = nearest(name, [...known.keys(), ...OTHER_ENV]);
      const hint = near === undefined ? "" : `; did you mean ${near}?`;
      throw new InvalidArgumentError(name, `is no setting${hint}`);
    }
    found[key] = LISTS.includes(key) ? value.split(/[\s,]+/).filter((one) => one !== "") : value;
  }
  return found;
}

/** The machine's name, as far as it can be an id. */
const nodeName = (): string =>
  hostname()
    .replace(/[^A-Za-z0-9_-]/g, "-")
    .slice(0, 64) || "node";

/** Threads for libuv in a worker: only finite work runs there. */
export const workerThreads = (): number => availableParallelism() + 4;

const kebab = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
const envName = (key: string): string => `TESSERA_${kebab(key).replaceAll("-", "_").toUpperCase()}`;

function unwrapped(key: string): unknown {
  const field = Schema.shape[key as keyof typeof Schema.shape];
  return field instanceof z.ZodDefault ? field.unwrap() : field;
}
