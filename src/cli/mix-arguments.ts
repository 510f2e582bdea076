import { existsSync, readFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import { Command, CommanderError, Option } from "commander";
import { MixSpec } from "../contract/mix-spec.ts";
import { PRESETS } from "../contract/output-spec.ts";
import { parse } from "../contract/parse.ts";
import { InvalidArgumentError, NotSupportedError } from "../core/error.ts";
import { redactUrl } from "../core/log.ts";
import { nearest } from "../core/nearest.ts";
import { localPath } from "../core/pull-url.ts";
import { type ListenAddress, listenAddress, requireToken } from "./listen-address.ts";

/** What `tessera mix` was asked to do, checked. */
export interface MixArguments {
  readonly spec: MixSpec;
  readonly fast: boolean;
  readonly overwrite: boolean;
  readonly json: boolean;
  readonly durationS: number | undefined;
  /** Where publishers of `rtmp-listen:` inputs are taken; undefined is off. */
  readonly rtmp: ListenAddress | undefined;
  readonly token: string | undefined;
}

interface Flags {
  readonly in: string[];
  readonly out: string[];
  readonly layout: string;
  readonly size: string;
  readonly fps: string;
  readonly bitrate?: string;
  readonly preset: string;
  readonly audioBitrate?: string;
  readonly audio: boolean;
  readonly duration?: string;
  readonly fast: boolean;
  readonly overwrite: boolean;
  readonly rtmp: string;
  readonly token?: string;
  readonly accel: string;
  readonly json: boolean;
}
const IN_KEYS = ["id", "name", "role", "priority", "gain", "delay", "loop", "muted", "tone"];
/** Begins an input that waits for a publisher; its stream key follows. */
const LISTEN = "rtmp-listen:";
const URL_SCHEME = /^[a-z][a-z0-9+.-]*:\/\//i;

/**
 * Reads the arguments after `mix`.
 *
 * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if anything is wrong or missing, {NotSupportedError}
 *   `ERR_NOT_SUPPORTED` for what this build does not do: nothing has been started.
 */
export function mixArguments(argv: readonly string[]): MixArguments {
  const flags = readFlags(argv);
  if (flags.accel !== "auto" && flags.accel !== "cpu") {
    throw new NotSupportedError(`--accel ${flags.accel}: composing on a device is not supported yet`);
  }
  if (flags.in.length === 0) throw new InvalidArgumentError("--in", "give at least one input");
  if (flags.out.length === 0) throw new InvalidArgumentError("--out", "give at least one output");
  const [width, height] = readSize(flags.size);
  const spec = parse(MixSpec, {
    id: "mix",
    views: [{ width, height, fps: readFps(flags.fps), layout: readLayout(flags.layout), accel: flags.accel }],
    sources: flags.in.map(readInput),
    outputs: flags.out.map((to, index) => readOutput(to, index, flags)),
  });
  refuseTwins(spec);
  if (flags.fast) refuseLive(flags);
  if (!flags.overwrite) refuseExisting(spec);
  return {
    spec,
    fast: flags.fast,
    overwrite: flags.overwrite,
    json: flags.json,
    durationS: flags.duration === undefined ? undefined : readPositive("--duration", flags.duration),
    rtmp: readDoor(flags),
    token: flags.token,
  };
}

function readFlags(argv: readonly string[]): Flags {
  const collect = (value: string, before: string[]): string[] => [...before, value];
  const command = new Command("tessera mix")
    .description("Mix inputs into outputs, in one line and without a server.")
    .option(
      "--in <url[,key=value..]>",
      "an input: file, rtmp/rtsp/srt/http URL, rtmp-listen:KEY, test:PATTERN",
      collect,
      [],
    )
    .option("--out <url>", "an output: file.mp4, file.mkv, rtmp(s)://..", collect, [])
    .option("--layout <name|file>", "a shipped layout or a document", "grid")
    .option("--size <WxH>", "canvas in pixels", "1280x720")
    .option("--fps <rate>", "30, 29.97 or 30000/1001", "30")
    .option("--bitrate <bps>", "video, such as 2M; by size and rate if not given")
    .addOption(new Option("--preset <name>", "x264 preset").choices(PRESETS).default("veryfast"))
    .option("--audio-bitrate <bps>", "such as 128k")
    .option("--no-audio", "no sound track")
    .option("--duration <seconds>", "end after this long")
    .option("--fast", "on the virtual clock, as fast as the machine allows", false)
    .option("--overwrite", "replace existing files", false)
    .option("--rtmp <host:port>", "where rtmp-listen inputs are taken, or off", "127.0.0.1:1935")
    .option("--token <token>", "what publishers must show as ?token=; needed unless --rtmp is on loopback")
    .addOption(
      new Option("--accel <profile>")
        .choices(["auto", "cpu", "vaapi", "nvenc", "qsv", "vulkan"])
        .default("auto"),
    )
    .option("--json", "print events and a summary as JSON lines", false)
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  try {
    return command.parse(argv, { from: "user" }).opts<Flags>();
  } catch (error) {
    if (error instanceof CommanderError && error.code.startsWith("commander.help")) throw error;
    throw new InvalidArgumentError("mix", (error as Error).message.replace(/^error: /, ""), { cause: error });
  }
}

/** `URL[,key=value...]`: a comma belongs to the URL unless a known key follows it. */
function readInput(text: string, index: number, all: readonly string[]): Record<string, unknown> {
  const settings: Record<string, string> = {};
  let url = text;
  for (;;) {
    const match = /^(.*),([a-z]+)(?:=([^,]*))?$/i.exec(url);
    const [, rest = "", key = "", value = "true"] = match ?? [];
    if (match === null) break;
    if (!IN_KEYS.includes(key)) {
      const near = nearest(key, IN_KEYS);
      if (near !== undefined && !existsSync(url)) {
        throw new InvalidArgumentError("--in", `${key} is not a known key; did you mean "${near}"?`);
      }
      break;
    }
    settings[key] = value;
    url = rest;
  }
  if (/^file:/i.test(url)) url = localPath(url, "--in") ?? url;
  const guests = all.slice(0, index + 1).filter((one) => one.startsWith(LISTEN)).length;
  const name = url.startsWith(LISTEN) ? `Guest ${guests}` : nameOf(url, `Input ${index + 1}`);
  return { ...sourceOf(url, settings), ...common(settings, url, index), name: settings.name ?? name };
}

/** What is drawn for everybody to see: of a URL its host alone, for user, path and query may hold secrets. */
function nameOf(url: string, otherwise: string): string {
  const name = URL_SCHEME.test(url) ? URL.parse(url)?.hostname : basename(url);
  return (name || otherwise).slice(0, 256);
}

function sourceOf(url: string, { tone, loop }: Record<string, string>): Record<string, unknown> {
  if (url.startsWith("test:")) {
    return {
      kind: "test",
      pattern: url.slice(5) || "moving",
      ...(tone === undefined ? {} : { tone: Number(tone) }),
    };
  }
  if (url.startsWith(LISTEN)) return { kind: "rtmp" };
  return { kind: "pull", url: URL_SCHEME.test(url) ? url : resolve(url), loop: readFlag("loop", loop) };
}

function common(settings: Record<string, string>, url: string, index: number): Record<string, unknown> {
  const { id, role, priority, gain, delay, muted } = settings;
  const key = url.startsWith(LISTEN) ? url.slice(LISTEN.length) : undefined;
  return {
    id: id ?? key ?? `in${index + 1}`,
    ...(role === undefined ? {} : { role }),
    ...(priority === undefined ? {} : { priority: Number(priority) }),
    audio: {
      ...(gain === undefined ? {} : { gain: Number(gain) }),
      ...(delay === undefined ? {} : { delayMs: Number(delay) }),
      muted: readFlag("muted", muted),
    },
  };
}

function readOutput(to: string, index: number, flags: Flags): Record<string, unknown> {
  const id = `out${index + 1}`;
  const video = {
    preset: flags.preset,
    accel: flags.accel,
    ...(flags.bitrate === undefined ? {} : { bitrateBps: readBits("--bitrate", flags.bitrate) }),
  };
  const audio = flags.audio
    ? {
        ...(flags.audioBitrate === undefined
          ? {}
          : { bitrateBps: readBits("--audio-bitrate", flags.audioBitrate) }),
      }
    : { codec: "none" };
  if (/^rtmps?:\/\//i.test(to)) return { id, kind: "rtmp", url: to, video, audio };
  if (URL_SCHEME.test(to)) {
    const shown = redactUrl(to);
    throw new InvalidArgumentError("--out", `sends to .mp4, .mkv, rtmp:// and rtmps:// only: ${shown}`);
  }
  if (!/\.(mp4|mkv)$/i.test(to)) throw new InvalidArgumentError("--out", `must end in .mp4 or .mkv: ${to}`);
  return { id, kind: "file", path: resolve(to), video, audio };
}

/** A key of an input that is on or off; off if it is not given. */
function readFlag(key: string, text = "false"): boolean {
  if (text !== "true" && text !== "false")
    throw new InvalidArgumentError("--in", `${key} is true or false, not ${text}`);
  return text === "true";
}

function readLayout(layout: string): unknown {
  if (!/\.json$/i.test(layout)) return layout;
  try {
    return JSON.parse(readFileSync(layout, "utf8"));
  } catch (cause) {
    throw new InvalidArgumentError("--layout", `cannot read ${layout}: ${(cause as Error).message}`, {
      cause,
    });
  }
}

function readSize(size: string): readonly [number, number] {
  const match = /^(\d+)x(\d+)$/.exec(size);
  if (match === null) throw new InvalidArgumentError("--size", `must be WxH: ${size}`);
  return [Number(match[1]), Number(match[2])];
}

const readFps = (fps: string): number | string => (fps.includes("/") ? fps : readPositive("--fps", fps));

function readPositive(flag: string, text: string): number {
  const value = Number(text);
  if (!(value > 0) || !Number.isFinite(value))
    throw new InvalidArgumentError(flag, `must be a positive number: ${text}`);
  return value;
}

/** `2M`, `2.5M`, `128k` or plain bits per second. */
function readBits(flag: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)([kM]?)$/.exec(text);
  if (match === null) throw new InvalidArgumentError(flag, `must be like 2M, 800k or 64000: ${text}`);
  const factor = match[2] === "M" ? 1e6 : match[2] === "k" ? 1e3 : 1;
  return Math.round(Number(match[1]) * factor);
}

function readDoor(flags: Flags): ListenAddress | undefined {
  if (flags.token === "") throw new InvalidArgumentError("--token", "is empty");
  const address = listenAddress(flags.rtmp, "--rtmp");
  requireToken(address, flags.token, "--rtmp");
  if (address === undefined && flags.in.some((one) => one.startsWith(LISTEN)))
    throw new InvalidArgumentError("--rtmp", "is off, and an input waits for a publisher there");
  return address;
}

function refuseLive(flags: Flags): void {
  const live = flags.in.find(
    (one) => /^(rtmp-listen:|[a-z][a-z0-9+.-]*:\/\/)/i.test(one) && !/^file:/i.test(one),
  );
  if (live !== undefined)
    throw new InvalidArgumentError("--fast", `takes only files and test: inputs, not ${redactUrl(live)}`);
  const push = flags.out.find((one) => /^rtmps?:/i.test(one));
  if (push !== undefined)
    throw new InvalidArgumentError("--fast", `writes files only, not ${redactUrl(push)}`);
}

/** Two inputs of one id, or two outputs to one place, would each be half of what was meant. */
function refuseTwins({ sources, outputs }: MixSpec): void {
  const ids = sources.map(({ id }) => id);
  const id = ids.find((one, index) => ids.indexOf(one) !== index);
  if (id !== undefined) throw new InvalidArgumentError("--in", `two inputs have the id ${id}`);
  const places = outputs.map((output) =>
    output.kind === "file" ? output.path : output.kind === "rtmp" ? output.url : "",
  );
  const place = places.find((one, index) => places.indexOf(one) !== index);
  if (place !== undefined) throw new InvalidArgumentError("--out", `two outputs go to ${redactUrl(place)}`);
}

function refuseExisting(spec: MixSpec): void {
  for (const output of spec.outputs) {
    if (output.kind !== "file") continue;
    const { path } = output;
    if (existsSync(path)) throw new InvalidArgumentError("--out", `${path} exists; --overwrite replaces it`);
    const manifests = [path.replace(/\.\w+$/, ".json"), `${path}.json`];
    if (!manifests.every((manifest) => existsSync(manifest))) continue;
    const both = manifests.join(" and ");
    const why = "its manifest has no other place; --overwrite replaces a manifest, and no other file";
    throw new InvalidArgumentError("--out", `${both} exist: ${why}`);
  }
}
