import { NotSupportedError } from "../core/error.ts";
import type { AudioEncoderSettings } from "../native/audio-encoder.ts";

/** What an output asks of its sound; the shape of the `audio` member of an output's spec. */
export interface AudioWish {
  readonly codec?: string | undefined;
  readonly bitrateBps?: number | undefined;
  readonly channels?: 1 | 2 | undefined;
}

/**
 * Turns a wish into an encoder's settings: AAC-LC 128 kbit/s or Opus 64 kbit/s, stereo, 48 kHz if nobody says.
 *
 * @param usual the codec that this kind of output carries by default.
 * @throws {NotSupportedError} `ERR_NOT_SUPPORTED` for a codec that this build does not encode.
 */
export function audioSettings(wish: AudioWish, usual: "aac" | "opus"): AudioEncoderSettings {
  const codec = wish.codec ?? usual;
  const channels = wish.channels ?? 2;
  switch (codec) {
    case "aac":
      return {
        codec,
        encoder: "aac",
        channels,
        bitrateBps: wish.bitrateBps ?? 64_000 * channels,
        options: {},
      };
    case "opus":
      return {
        codec,
        encoder: "libopus",
        channels,
        bitrateBps: wish.bitrateBps ?? 32_000 * channels,
        // Complexity 5 costs 30 % less than 10 and is what calls are heard at.
        options: { compression_level: "5", frame_duration: "20", application: "audio" },
      };
    default:
      throw new NotSupportedError(`encoding ${codec} is not supported yet`);
  }
}
