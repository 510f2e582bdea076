import { readFileSync, writeFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import {
  errorInfo,
  InvalidArgumentError,
  LayoutInvalidError,
  NotSupportedError,
  StorageError,
} from "../core/error.ts";
import type { LayoutSource } from "../layout/arrangement.ts";
import { type LayoutDocument, parseLayout } from "../layout/document.ts";
import type { Size } from "../layout/grid.ts";
import { type Resolved, resolve } from "../layout/resolve.ts";
import { toSvg } from "../layout/svg.ts";

/** What `tessera layout render` is told. */
export interface LayoutRenderOptions {
  /** Path of the document. */
  readonly file: string;
  /** How many stand-ins; the second one speaks. */
  readonly sources: number;
  /** The last stand-in is a shared screen. */
  readonly screen?: boolean | undefined;
  /** `WxH` in pixels, both even. */
  readonly size: string;
  /** Path to write to, by its ending: `.svg`. */
  readonly output: string;
}

const MAX_FILE_BYTES = 5_000_000;
const NAMES = ["Anna", "Bilal", "Chen", "Dora", "Emre", "Fatou", "Goran", "Hana", "Ivo"];

/**
 * `tessera layout check|render|import`. Returns the exit code: 0 done, 1 the document or a file is bad, 2 the
 * arguments are.
 */
export async function runLayout(argv: readonly string[]): Promise<number> {
  try {
    await layoutCommand().parseAsync([...argv], { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // it has said why
    process.stderr.write(`tessera layout: ${errorInfo(error).message}\n`);
    return error instanceof InvalidArgumentError || error instanceof NotSupportedError ? 2 : 1;
  }
}

function layoutCommand(): Command {
  const layout = new Command("tessera layout").exitOverride();
  layout
    .command("check <file>")
    .description("say whether a layout document is valid, and where it is not")
    .action((file: string) => void process.stdout.write(`${checkLayout(file)}\n`));
  layout
    .command("render <file>")
    .description("draw a layout with stand-ins")
    .option("--sources <count>", "how many stand-ins", "5")
    .option("--size <WxH>", "size of the canvas in pixels", "1280x720")
    .option("--screen", "the last stand-in is a shared screen")
    .requiredOption("-o, --output <file>", "where to write, *.svg")
    .action((file: string, { sources, ...options }: Omit<LayoutRenderOptions, "file">) => {
      renderLayout({ file, ...options, sources: Number(sources) });
    });
  layout
    .command("import <file>")
    .description("turn another system's layouts into documents")
    .requiredOption("--from <system>", "owt, freeswitch, vonage or twilio")
    .requiredOption("-o, --output <file>", "where to write")
    .action((_file: string, { from }: { from: string }) => importLayout(from));
  return layout;
}

/**
 * `tessera layout check f.json`: reads a document and says what it is.
 *
 * @returns one line for the user.
 * @throws {LayoutInvalidError} `ERR_LAYOUT_INVALID` with a pointer into the document.
 * @throws {StorageError} `ERR_STORAGE` if the file cannot be read.
 */
export function checkLayout(file: string): string {
  const document = readLayout(file);
  const count = document.arrangements.length;
  return `${file}: layout "${document.name}" is valid, ${count} arrangement${count === 1 ? "" : "s"}`;
}

/**
 * `tessera layout render f.json --sources 5 --size 1280x720 -o out.svg`: draws the layout with stand-ins.
 *
 * @returns what was drawn where.
 * @throws {NotSupportedError} `ERR_NOT_SUPPORTED` for an ending other than `.svg`.
 * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` for a count or a size out of range.
 * @throws {LayoutInvalidError} `ERR_LAYOUT_INVALID` with a pointer into the document.
 * @throws {StorageError} `ERR_STORAGE` if a file cannot be read or written.
 */
export function renderLayout(options: LayoutRenderOptions): Resolved {
  const { file, sources, size, output, screen = false } = options;
  if (!/\.svg$/i.test(output)) throw new NotSupportedError(`layout render writes .svg only: ${output}`);
  if (!Number.isInteger(sources) || sources < 0 || sources > 1000) {
    throw new InvalidArgumentError("sources", `must be a whole number from 0 to 1000: ${sources}`);
  }
  const canvas = parseSize(size);
  const document = readLayout(file);
  const people = Array.from({ length: sources }, (_, index) =>
    standIn(index, screen && index === sources - 1 ? "screen" : "participant"),
  );
  const speaker = people[1]?.id ?? people[0]?.id ?? null;
  const resolved = resolve({ document, canvas, sources: people, speaker, assign: {} });
  try {
    writeFileSync(output, toSvg(resolved));
  } catch (cause) {
    throw new StorageError(`cannot write ${output}: ${(cause as Error).message}`, { cause });
  }
  return resolved;
}

/**
 * `tessera layout import`: other systems' layouts.
 *
 * @throws {NotSupportedError} `ERR_NOT_SUPPORTED`, always: this build has no importers.
 */
export function importLayout(from: string): never {
  throw new NotSupportedError(`layout import --from ${from} is not built yet`);
}

function readLayout(file: string): LayoutDocument {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw new StorageError(`cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
  if (text.length > MAX_FILE_BYTES) throw new LayoutInvalidError("", "is larger than 5 MB");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new LayoutInvalidError("", `is not JSON: ${(cause as Error).message}`, { cause });
  }
  return parseLayout(value);
}

function parseSize(size: string): Size {
  const match = /^(\d{2,4})x(\d{2,4})$/.exec(size);
  const [width, height] = [Number(match?.[1]), Number(match?.[2])];
  const fine = [width, height].every((side) => side >= 16 && side <= 8192 && side % 2 === 0);
  if (!fine) throw new InvalidArgumentError("size", `must be like 1280x720, even, 16 to 8192: ${size}`);
  return { width, height };
}

const standIn = (index: number, role: string): LayoutSource => ({
  id: `s${index + 1}`,
  name: `${NAMES[index % NAMES.length]} ${index + 1}`,
  role,
  priority: 0,
  joined: index,
  hasVideo: true,
  card: false,
});
