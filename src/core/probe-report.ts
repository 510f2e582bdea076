import { z } from "zod";

/** Why something is not available here. `kind` is stable, `message` is for people. */
export const AbsentReason = z.strictObject({
  /**
   * `no-device`: it could not be opened · `not-built`: this FFmpeg lacks the codec or filter · `failed`: libav or the
   * driver said no · `mismatch`: it made a picture that is not the CPU's · `crashed`, `hung`: it took its process with it ·
   * `not-tried`: what it needs, or the device as a whole, failed before.
   */
  kind: z.enum(["no-device", "not-built", "failed", "mismatch", "crashed", "hung", "not-tried"]),
  message: z.string(),
});
export type AbsentReason = z.output<typeof AbsentReason>;

/** What was tried on one device, and what came of it. */
export const StageReport = z.strictObject({
  stage: z.enum(["transfer", "decode", "scale", "compose", "encode"]),
  media: z.enum(["video", "audio"]),
  /** For decode and encode, in the words of `OutputSpec`. */
  codec: z.string().optional(),
  /** FFmpeg's name of the decoder, encoder or filter that proved itself, or of the first that was tried. */
  name: z.string(),
  /** True only after a picture or sound made here matched the CPU's. */
  available: z.boolean(),
  reason: AbsentReason.optional(),
  /** Of the worst plane of the worst picture compared; absent for sound, 100 for an exact copy. */
  psnrDb: z.number().optional(),
  /** Pictures per second at 1280x720, measured here over a short run. */
  fps: z.number().optional(),
  /** Seconds of stereo sound per second. */
  timesRealtime: z.number().optional(),
  /** Kinds of rate control that the encoder opened with and made a picture with. */
  rateControl: z.array(z.enum(["cbr", "vbr", "crf"])).optional(),
});
export type StageReport = z.output<typeof StageReport>;

/** One device of one profile. */
export const DeviceReport = z.strictObject({
  profile: z.string(),
  title: z.string(),
  /** What users write for `accel`. */
  accel: z.string(),
  /** As FFmpeg opens it, e.g. `0` or `/dev/dri/renderD128`; absent for the CPU and where FFmpeg chooses. */
  device: z.string().optional(),
  deviceName: z.string().optional(),
  /** An emulation of a device on the CPU: good for tests, never chosen by `auto`. */
  software: z.boolean(),
  opened: z.boolean(),
  reason: AbsentReason.optional(),
  stages: z.array(StageReport),
});
export type DeviceReport = z.output<typeof DeviceReport>;

/** What this machine can decode, scale, compose and encode. */
export const ProbeReport = z.strictObject({
  ffmpeg: z.string(),
  devices: z.array(DeviceReport),
});
export type ProbeReport = z.output<typeof ProbeReport>;

/** The devices that `auto` may compose on, best first: proven to compose and not emulated; the CPU where nothing is faster. */
export function autoDevices(report: ProbeReport): readonly DeviceReport[] {
  const composeFps = ({ stages }: DeviceReport): number =>
    stages.find(({ stage, available }) => stage === "compose" && available)?.fps ?? 0;
  return report.devices
    .filter((device) => device.opened && !device.software && composeFps(device) > 0)
    .sort((a, b) => composeFps(b) - composeFps(a));
}
