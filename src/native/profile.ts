import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { InvalidArgumentError, wordsOf } from "../core/error.ts";
import { schemaFault } from "../core/schema-fault.ts";

const Word = z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/);
/** Names as in `OutputSpec.video.codec`, and those that only come in. */
const VideoCodec = z.enum(["h264", "hevc", "vp8", "vp9", "av1", "mpeg2video"]);
const AudioCodec = z.enum(["aac", "opus", "pcmu", "pcma", "g722", "flac", "mp3"]);
export type VideoCodec = z.output<typeof VideoCodec>;
export type AudioCodec = z.output<typeof AudioCodec>;

/** Options of an encoder or filter as text; values may hold placeholders, see docs/hardware.md. */
const Options = z.record(z.string().min(1).max(64), z.string().max(500));
const Graph = z.string().min(1).max(2000);
const Pattern = z.string().max(200).refine(compiles, "is not a regular expression");

const Device = z.strictObject({
  /** FFmpeg's hardware device type. */
  type: z.enum(["cuda", "vaapi", "qsv", "vulkan", "opencl"]),
  /** Which devices of the family to try: numbers from 0 until one is missing, files that match, or FFmpeg's own choice. */
  list: z.union([
    z.strictObject({ numbered: z.number().int().min(1).max(64) }),
    z.strictObject({ folder: z.string().startsWith("/"), match: Pattern }),
    z.literal("default"),
  ]),
  options: Options.default({}),
  /** Finds the device's name in the log that opening it wrote: group 1. */
  nameInLog: Pattern.optional(),
  /** Finds it in files instead, for drivers whose log does not tell: group 1 of the first match. */
  nameInFiles: z.strictObject({ folder: z.string().startsWith("/"), file: Word, match: Pattern }).optional(),
  /** The log has this if the device is emulated on the CPU: never chosen by `auto`. */
  softwareInLog: Pattern.optional(),
});

const Decoder = z.strictObject({ decoder: Word, options: Options.default({}) });
const Encoder = z.strictObject({
  encoder: Word,
  options: Options.default({}),
  /** Options that each kind of rate control adds. A kind that is absent is not offered. */
  rateControl: z
    .strictObject({ cbr: Options.optional(), vbr: Options.optional(), crf: Options.optional() })
    .default({ cbr: {} }),
});

const Sound = z.strictObject({
  encoders: z.array(Word).min(1).max(8),
  decoders: z.array(Word).min(1).max(8),
  /** What the codec is tried with. */
  sampleRate: z.number().int().min(8000).max(48_000).default(48_000),
  channels: z.union([z.literal(1), z.literal(2)]).default(2),
});

const Compose = z.discriminatedUnion("method", [
  /** Each source is scaled into a tile of its own, tiles are copied into the canvas: the CPU's way. */
  z.strictObject({ method: z.literal("tiles") }),
  /** A filter graph made of these parts, see docs/hardware.md. */
  z.strictObject({
    method: z.literal("graph"),
    maxInputs: z.number().int().min(1).max(128),
    tile: Graph.optional(),
    step: Graph.optional(),
    join: Graph.optional(),
    lists: z.record(Word, z.strictObject({ item: Graph, separator: z.string().max(8) })).default({}),
  }),
]);
export type Compose = z.output<typeof Compose>;

/** One device family as data: how to open it, and how to decode, scale, compose and encode there. docs/hardware.md */
export const Profile = z
  .strictObject({
    /** Version of this format. */
    profile: z.literal(1),
    name: Word,
    title: z.string().min(1).max(200),
    /** What users write for `accel`. */
    accel: z.enum(["cpu", "vaapi", "nvenc", "qsv", "vulkan"]),
    /** Absent: the CPU. */
    device: Device.optional(),
    /** FFmpeg's pixel format of pictures on the device, and the layout that they have there. */
    frameFormat: Word,
    memoryFormat: Word,
    upload: Graph.optional(),
    download: Graph.optional(),
    decode: z.partialRecord(VideoCodec, z.array(Decoder).min(1).max(8)).default({}),
    scale: z.array(Graph).max(8).default([]),
    compose: z.array(Compose).max(8).default([]),
    encode: z.partialRecord(VideoCodec, z.array(Encoder).min(1).max(8)).default({}),
    /** Sound never leaves the CPU, so only its profile has these. */
    audio: z.partialRecord(AudioCodec, Sound).default({}),
  })
  .refine(
    ({ device, upload, download }) =>
      device === undefined || (upload !== undefined && download !== undefined),
    {
      message: "a device needs an upload and a download",
      path: ["upload"],
    },
  );
/** A checked profile; plain data, frozen by nobody but never changed. */
export type Profile = z.output<typeof Profile>;
export type Sound = z.output<typeof Sound>;
export type Encoder = z.output<typeof Encoder>;
export type Decoder = z.output<typeof Decoder>;

/** Where the profiles lie: `hw/` beside `src/` (or `dist/`). */
export const PROFILE_DIR: string = fileURLToPath(new URL("../../hw/", import.meta.url));

/** The order in which profiles are probed and listed: the CPU first, since the others are held against it. */
const ORDER = ["cpu", "nvidia", "vaapi", "qsv", "vulkan"];

/**
 * Reads every profile of a folder.
 *
 * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT`, with a pointer into the file, if one is not valid, is not named
 *   like its file, or the folder cannot be read.
 */
export function loadProfiles(dir: string = PROFILE_DIR): readonly Profile[] {
  const files = readable(dir, () => readdirSync(dir).filter((file) => file.endsWith(".json")));
  const rank = ({ name }: Profile): number => (ORDER.indexOf(name) + ORDER.length + 1) % (ORDER.length + 1);
  return files
    .sort()
    .map((file) => loadProfile(join(dir, file)))
    .sort((a, b) => rank(a) - rank(b));
}

/** Reads one profile. @throws {InvalidArgumentError} as {@link loadProfiles}. */
export function loadProfile(file: string): Profile {
  const text = readable(file, () => readFileSync(file, "utf8"));
  const profile = parseProfile(
    readable(file, () => JSON.parse(text) as unknown),
    basename(file),
  );
  if (`${profile.name}.json` === basename(file)) return profile;
  throw new InvalidArgumentError("/name", `${basename(file)} names itself ${profile.name}`);
}

/** Checks a profile. @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` with a pointer to the first fault. */
export function parseProfile(value: unknown, origin = "profile"): Profile {
  const result = Profile.safeParse(value);
  if (result.success) return result.data;
  const { pointer, problem } = schemaFault(Profile, result.error);
  throw new InvalidArgumentError(pointer, `${origin}: ${problem}`);
}

function readable<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    const why = wordsOf(cause);
    throw new InvalidArgumentError(basename(path), `cannot be read: ${why}`, { cause });
  }
}

function compiles(pattern: string): boolean {
  try {
    new RegExp(pattern, "m");
    return true;
  } catch {
    return false;
  }
}
