import { z } from "zod";
import { Id, Srtp } from "./source-spec.ts";

/** A frame rate up to 240: `30`, `29.97` or `"30000/1001"`. */
export const Fps = z.union([
  z.number().positive().max(240),
  z
    .string()
    .regex(/^[1-9]\d{0,8}\/[1-9]\d{0,8}$/, "must be a ratio such as 30000/1001")
    .refine((text) => ratioOf(text) <= 240, "must be at most 240"),
]);
const ratioOf = (text: string): number => {
  const [num = 0, den = 1] = text.split("/").map(Number);
  return num / den;
};
/** Even, because chroma is subsampled. */
export const Side = z.number().int().min(16).max(8192).multipleOf(2);
/** Which hardware profile to use; `auto` takes the fastest that the probe proved. */
export const Accel = z.enum(["auto", "cpu", "vaapi", "nvenc", "qsv", "vulkan"]);

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
  /** Absent: the view's own size. One alone keeps the view's shape. */
  width: Side.optional(),
  height: Side.optional(),
  fps: Fps.optional(),
  bitrateBps: z.number().int().min(10_000).max(400_000_000).optional(),
  keyFrameIntervalMs: z.number().int().min(100).max(60_000).default(2000),
  preset: z.enum(PRESETS).default("veryfast"),
  profile: z.string().max(32).optional(),
  bframes: z.number().int().min(0).max(8).default(0),
  rateControl: z.enum(["cbr", "vbr", "crf"]).optional(),
  crf: z.number().min(0).max(63).optional(),
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

const AudioWish = z.strictObject({
  /** Absent: what the sink's container or protocol usually carries, AAC for files and RTMP, Opus for RTP. `none`: no sound at all. */
  codec: z.enum(["aac", "opus", "pcmu", "pcma", "g722", "flac", "none"]).optional(),
  bitrateBps: z.number().int().min(6000).max(512_000).optional(),
  channels: z.union([z.literal(1), z.literal(2)]).optional(),
  /** Mix-minus: everything but this source. */
  without: Id.optional(),
  /** Linear gain per source, in place of the mix. */
  matrix: z.record(Id, z.number().min(0).max(16)).optional(),
});

const AudioEncoding = AudioWish.refine(
  ({ bitrateBps = 0, channels = 2 }) => bitrateBps <= 256_000 * channels,
  { path: ["bitrateBps"], error: "is over 256000 for its one channel" },
);
export type AudioEncoding = z.output<typeof AudioEncoding>;

const common = {
  id: Id.optional(),
  /** Default `main`; `null` is sound only. */
  view: Id.nullable().default("main"),
  /** That source alone, in place of a view. */
  source: Id.optional(),
  video: VideoEncoding.prefault({}),
  audio: AudioEncoding.prefault({}),
};

/** Somewhere that one view's picture and one sound go to. */
export const OutputSpec = z.discriminatedUnion("kind", [
  z.strictObject({
    ...common,
    kind: z.literal("file"),
    path: z
      .string()
      .min(1)
      .max(1024)
      .regex(/\.(mp4|mkv)$/i, "must end in .mp4 or .mkv"),
    /** A new part is begun at the first key frame after this many seconds. */
    segmentS: z.number().min(1).max(86_400).optional(),
  }),
  z.strictObject({
    ...common,
    kind: z.literal("rtmp"),
    url: z
      .string()
      .max(4096)
      .regex(/^rtmps?:\/\//i, "must be rtmp:// or rtmps://"),
    backupUrl: z
      .string()
      .max(4096)
      .regex(/^rtmps?:\/\//i, "must be rtmp:// or rtmps://")
      .optional(),
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
    host: z.string().min(1).max(255),
    audioPort: z.number().int().min(1).max(65_535).optional(),
    videoPort: z.number().int().min(1).max(65_535).optional(),
    payloadTypes: z
      .strictObject({
        audio: z.number().int().min(0).max(127).optional(),
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
      without: Id.nullable().optional(),
      matrix: z.record(Id, z.number().min(0).max(16)).optional(),
    })
    .optional(),
  segmentS: z.number().min(1).max(86_400).nullable().optional(),
});
export type OutputUpdate = z.output<typeof OutputUpdate>;
