import { z } from "zod";
import { ID_PATTERN } from "../core/id.ts";
import { refusedPull } from "../core/pull-url.ts";

/** `[A-Za-z0-9_-]{1,64}`. */
export const Id: z.ZodString = z.string().regex(ID_PATTERN, "must be 1 to 64 of A-Z a-z 0-9 _ -");

const Fraction = z.number().min(0).max(1);

const Gain = z.number().min(0).max(16).describe("Linear factor; 1 leaves the level alone.");
const DelayMs = z.number().min(-5000).max(5000).describe("The operator's trim in ms; positive plays later.");

const Audio = z.strictObject({
  gain: Gain.default(1),
  muted: z.boolean().default(false),
  delayMs: DelayMs.default(0),
  policy: z
    .enum(["speaker", "always"])
    .optional()
    .describe(
      "`speaker`: heard while among the loudest. If absent, so for role participant over webrtc, sip and rtp.",
    ),
});

const Crop = z
  .strictObject({ x: Fraction, y: Fraction, width: Fraction.min(0.01), height: Fraction.min(0.01) })
  .refine(({ x, width }) => x + width <= 1.001, { path: ["width"], error: "reaches beyond the picture" })
  .refine(({ y, height }) => y + height <= 1.001, { path: ["height"], error: "reaches beyond the picture" })
  .describe("The part of the picture that is shown, in shares of it.");

const Video = z.strictObject({
  muted: z.boolean().default(false),
  delayMs: DelayMs.default(0),
  card: z.boolean().optional().describe("Takes a slot also without video, shown as a card."),
  crop: Crop.optional(),
});

/** An RTP payload format: as in an SDP `a=rtpmap` line (RFC 8866 §6.6). */
const Format = {
  codec: z.string(),
  payloadType: z.number().int().min(0).max(127),
  clockRate: z.number().int().positive(),
  channels: z.number().int().min(1).max(8).optional(),
};

const Role = z
  .string()
  .min(1)
  .max(64)
  .describe("`participant`, `screen` for a shared screen, or what your layouts take by role.");
const Priority = z
  .number()
  .int()
  .min(-1000)
  .max(1000)
  .describe("Higher goes first into slots and into the mix of speakers.");
const StaleAfterMs = z
  .number()
  .int()
  .min(100)
  .max(600_000)
  .describe("Nothing new for so many ms: `source.stale`, and what stands in for a picture is shown.");

/** What every source has, of whatever kind. Defaults are those of INTERFACE. */
const common = {
  id: Id.optional().describe("If absent, one is made."),
  name: z.string().max(256).optional().describe("For people; if absent, the id."),
  role: Role.default("participant"),
  priority: Priority.default(0),
  avatar: Id.optional().describe("Asset shown while there is no picture."),
  staleAfterMs: StaleAfterMs.default(2000),
  delayMs: z
    .strictObject({ min: z.number().min(0).max(10_000), max: z.number().min(0).max(10_000) })
    .refine((range) => range.min <= range.max, "min must not be above max")
    .optional()
    .describe("Bounds of the adaptive playout delay in ms."),
  audio: Audio.prefault({}),
  video: Video.prefault({}),
};

/** A key as in RFC 4568: suite `AES_CM_128_HMAC_SHA1_80`, key in base64. */
export const Srtp = z.strictObject({ suite: z.string(), key: z.string() });

/** One live or stored stream that goes into a mix. */
export const SourceSpec = z.discriminatedUnion("kind", [
  z.strictObject({
    ...common,
    kind: z.literal("pull"),
    url: z
      .string()
      .min(1)
      .max(4096)
      .superRefine((url, context) => {
        const message = refusedPull(url);
        if (message !== undefined) context.addIssue({ code: "custom", message });
      })
      .describe("rtsp(s), rtmp(s), srt or http(s); or a file's path inside a folder of `--files`."),
    loop: z.boolean().default(false).describe("A file begins anew when it ends."),
  }),
  z.strictObject({ ...common, kind: z.literal("rtmp") }),
  z.strictObject({ ...common, kind: z.literal("rtsp") }),
  z.strictObject({ ...common, kind: z.literal("webrtc"), offer: z.string().max(262_144) }),
  z.strictObject({ ...common, kind: z.literal("sip"), uri: z.string().max(1024) }),
  z.strictObject({
    ...common,
    kind: z.literal("test"),
    pattern: z.enum(["bars", "counter", "flashbeep", "moving"]).default("moving"),
    tone: z
      .number()
      .min(20)
      .max(20_000)
      .optional()
      .describe("In Hz. `flashbeep` beeps with its flashes, the others sound without pause. Absent: silent."),
  }),
  z.strictObject({
    ...common,
    kind: z.literal("rtp"),
    audio: Audio.extend(Format).partial({ codec: true, payloadType: true, clockRate: true }).prefault({}),
    video: Video.extend(Format).partial({ codec: true, payloadType: true, clockRate: true }).prefault({}),
    rtcpMux: z.boolean().optional(),
    srtp: Srtp.optional(),
  }),
]);
export type SourceSpec = z.output<typeof SourceSpec>;
/** A {@link SourceSpec} as a caller writes it, with defaults left out. */
export type SourceSpecInput = z.input<typeof SourceSpec>;

/** The part of a source that `source.update` may change while it runs. */
export const SourceUpdate = z.strictObject({
  name: common.name,
  role: Role.optional(),
  priority: Priority.optional(),
  avatar: Id.nullable().optional().describe("`null` takes it away."),
  staleAfterMs: StaleAfterMs.optional(),
  delayMs: common.delayMs,
  // Not `.partial()`: a default inside would reset the gain of whoever only mutes.
  audio: Audio.extend({ gain: Gain, muted: z.boolean(), delayMs: DelayMs }).partial().optional(),
  video: Video.extend({ muted: z.boolean(), delayMs: DelayMs }).partial().optional(),
});
export type SourceUpdate = z.output<typeof SourceUpdate>;
