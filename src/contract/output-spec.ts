import { z } from "zod";
import { Id, Srtp } from "./source-spec.ts";

export const Fps = z
  .union([
    z.number().positive().max(240),
    z
      .string()
      .regex(/^[1-9]\d{0,8}\/[1-9]\d{0,8}$/, "must be a ratio such as 30000/1001")
      .refine((text) => ratioOf(text) <= 240, "must be at most 240"),
  ])
  .describe('Pictures per second, up to 240: `30`, `29.97` or `"30000/1001"`.');
const ratioOf = (text: string): number => {
  const [num = 0, den = 1] = text.split("/").map(Number);
  return num / den;
};
/** Even, because chroma is subsampled. */
export const Side = z.number().int().min(16).max(8192).multipleOf(2).describe("In pixels.");
export const Accel = z
  .enum(["auto", "cpu", "vaapi", "nvenc", "qsv", "vulkan"])
  .describe("Which device does it; so far `auto` is the CPU, and others are not supported.");

/** How much work x264 and x265 put into a picture, least first. */
export const PRESETS = [
  "ultrafast",
  "superfast",
  "veryfast",
  "faster",
  "fast",
  "medium",
  "slow",
  "slower",
  "veryslow",
  "placebo",
] as const;

/** Profiles of 8-bit 4:2:0, which is what views are; the codecs without have one each. */
const PROFILES: Readonly<Record<string, readonly string[]>> = {
  h264: ["baseline", "main", "high"],
  hevc: ["main"],
};

const VideoWish = z.strictObject({
  codec: z.enum(["h264", "hevc", "vp8", "vp9", "av1"]).default("h264"),
  width: Side.optional().describe("In pixels. Absent: as the view. One side alone keeps the view's shape."),
  height: Side.optional().describe("In pixels. Absent: as the view."),
  fps: Fps.optional().describe("Pictures per second. Absent: as the view."),
  bitrateBps: z
    .number()
    .int()
    .min(10_000)
    .max(400_000_000)
    .optional()
    .describe("Absent: by size and rate, 2 Mbit/s at 1280x720 and 30/s. Not with `crf`."),
  keyFrameIntervalMs: z.number().int().min(100).max(60_000).default(2000),
  preset: z
    .enum(PRESETS)
    .default("veryfast")
    .describe("How much work x264 and x265 put into a picture, least first."),
  profile: z
    .string()
    .max(32)
    .optional()
    .describe("`baseline`, `main` or `high` of h264, `main` of hevc; other codecs have none to choose."),
  bframes: z.number().int().min(0).max(8).default(0).describe("B-frames in a row; h264 and hevc only."),
  rateControl: z
    .enum(["cbr", "vbr", "crf"])
    .optional()
    .describe(
      "Absent: the bitrate is the most, over 2 s; `cbr` fills up to it; `vbr` may reach 1.5 times it.",
    ),
  crf: z
    .number()
    .min(0)
    .max(63)
    .optional()
    .describe('Quality, 0 is best; with `"rateControl": "crf"` only, and then 23 if absent.'),
  accel: Accel.default("auto"),
});

/** What an encoder would not heed is refused instead. */
const VideoEncoding = VideoWish.superRefine((wish, context) => {
  const { codec, profile, bframes, rateControl, crf, bitrateBps } = wish;
  const refuse = (path: keyof typeof wish, message: string): void =>
    context.addIssue({ code: "custom", path: [path], message });
  const profiles = PROFILES[codec] ?? [];
  if (profile !== undefined && !profiles.includes(profile))
    refuse("profile", `is none of ${codec}'s here: ${profiles.join(", ") || "leave it out"}`);
  if (bframes > 0 && (PROFILES[codec] === undefined || profile === "baseline"))
    refuse("bframes", `${profile ?? codec} has no B-frames`);
  if (crf !== undefined && rateControl !== "crf") refuse("crf", 'needs "rateControl": "crf"');
  if (bitrateBps !== undefined && rateControl === "crf") refuse("bitrateBps", "is not heeded with crf");
});
export type VideoEncoding = z.output<typeof VideoEncoding>;

const Without = Id.describe("Mix-minus: everything but this source.");
const Matrix = z
  .record(Id, z.number().min(0).max(16))
  .describe("Linear gain per source, in place of the mix.");

const AudioWish = z.strictObject({
  codec: z
    .enum(["aac", "opus", "pcmu", "pcma", "g722", "flac", "none"])
    .optional()
    .describe("Absent: AAC for files and RTMP, Opus for RTP. `none`: no sound at all."),
  bitrateBps: z
    .number()
    .int()
    .min(6000)
    .max(512_000)
    .optional()
    .describe("Absent: 64 kbit/s a channel as AAC, 32 as Opus. At most 256 kbit/s a channel."),
  channels: z
    .union([z.literal(1), z.literal(2)])
    .optional()
    .describe("Absent: 2."),
  without: Without.optional(),
  matrix: Matrix.optional(),
});

/** Gains of its own are no mix that could be without somebody. */
const isOneSum = (wish: { readonly without?: unknown; readonly matrix?: unknown }): boolean =>
  wish.matrix === undefined || wish.without === undefined || wish.without === null;
const ONE_SUM = { path: ["without"], error: "is not heeded with a matrix" };

const AudioEncoding = AudioWish.refine(
  ({ bitrateBps = 0, channels = 2 }) => bitrateBps <= 256_000 * channels,
  { path: ["bitrateBps"], error: "is over 256000 for its one channel" },
).refine(isOneSum, ONE_SUM);
export type AudioEncoding = z.output<typeof AudioEncoding>;

const common = {
  id: Id.optional().describe("If absent, one is made."),
  view: Id.nullable().default("main").describe("Whose picture is sent; `null` is sound only."),
  source: Id.optional().describe("That source alone, in place of a view: picture and sound."),
  video: VideoEncoding.prefault({}),
  audio: AudioEncoding.prefault({}),
};

const SegmentS = z
  .number()
  .min(1)
  .max(86_400)
  .describe("A new part is begun at the first key frame after so many seconds.");

/** Somewhere that one view's picture and one sound go to. */
export const OutputSpec = z.discriminatedUnion("kind", [
  z.strictObject({
    ...common,
    kind: z.literal("file"),
    path: z
      .string()
      .min(1)
      .max(1024)
      .regex(/\.(mp4|mkv)$/i, "must end in .mp4 or .mkv")
      .describe("Ends in `.mp4` or `.mkv`; inside the folder of recordings."),
    segmentS: SegmentS.optional(),
  }),
  z.strictObject({
    ...common,
    kind: z.literal("rtmp"),
    url: z
      .string()
      .max(4096)
      .regex(/^rtmps?:\/\//i, "must be rtmp:// or rtmps://")
      .describe("`rtmp://host/app/key` or `rtmps://`."),
    backupUrl: z
      .string()
      .max(4096)
      .regex(/^rtmps?:\/\//i, "must be rtmp:// or rtmps://")
      .optional()
      .describe("Taken after two failed attempts at `url`, and back; of the same form."),
  }),
  z.strictObject({ ...common, kind: z.literal("srt"), url: z.string().max(4096) }),
  z.strictObject({ ...common, kind: z.literal("rtsp"), url: z.string().max(4096) }),
  z.strictObject({
    ...common,
    kind: z.literal("hls"),
    segmentS: z.number().positive().optional(),
    lowLatency: z.boolean().optional(),
  }),
  z.strictObject({ ...common, kind: z.literal("webrtc"), offer: z.string().max(262_144) }),
  z.strictObject({
    ...common,
    kind: z.literal("whip"),
    url: z.string().max(4096),
    token: z.string().optional(),
  }),
  z.strictObject({
    ...common,
    kind: z.literal("rtp"),
    host: z.string().min(1).max(255).describe("Name or address."),
    audioPort: z.number().int().min(1).max(65_535).optional().describe("UDP."),
    videoPort: z.number().int().min(1).max(65_535).optional(),
    payloadTypes: z
      .strictObject({
        audio: z.number().int().min(0).max(127).optional().describe("Absent: 111."),
        video: z.number().int().min(0).max(127).optional(),
      })
      .optional(),
    srtp: Srtp.optional(),
  }),
]);
export type OutputSpec = z.output<typeof OutputSpec>;
/** An {@link OutputSpec} as a caller writes it, with defaults left out. */
export type OutputSpecInput = z.input<typeof OutputSpec>;

/** The part of an output that `output.update` may change while it runs. */
export const OutputUpdate = z.strictObject({
  video: z.strictObject({ bitrateBps: z.number().int().min(10_000).max(400_000_000) }).optional(),
  audio: z
    .strictObject({
      without: Without.nullable().optional(),
      matrix: Matrix.optional(),
    })
    .refine(isOneSum, ONE_SUM)
    .optional(),
  segmentS: SegmentS.nullable().optional(),
});
export type OutputUpdate = z.output<typeof OutputUpdate>;
