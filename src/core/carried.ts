import { InvalidArgumentError } from "./error.ts";

/** What takes packets out: a file of that ending, or a protocol. */
export type Carrier = "mp4" | "mkv" | "rtmp" | "rtp";

const CARRIED: Readonly<Record<Carrier, readonly string[]>> = {
  mp4: ["h264", "hevc", "vp9", "av1", "aac", "opus", "flac"],
  mkv: ["h264", "hevc", "vp8", "vp9", "av1", "aac", "opus", "flac"],
  rtmp: ["h264", "hevc", "vp9", "av1", "aac", "opus"],
  rtp: ["opus"],
};

const WORDS: Readonly<Record<Carrier, string>> = { mp4: ".mp4", mkv: ".mkv", rtmp: "RTMP", rtp: "RTP" };

/** The codecs of an output; undefined where there is no such stream, or the carrier's usual codec is left to it. */
export interface Codecs {
  readonly video?: string | undefined;
  readonly audio?: string | undefined;
}

/**
 * Checks that packets can go where they are wanted, before anything is opened.
 *
 * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` at `/video/codec` or `/audio/codec` below `pointer`.
 */
export function checkCarried(carrier: Carrier, codecs: Codecs, pointer: string): void {
  for (const kind of ["video", "audio"] as const) {
    const codec = codecs[kind];
    if (codec === undefined || CARRIED[carrier].includes(codec)) continue;
    const takes = `${WORDS[carrier]} outputs carry ${CARRIED[carrier].join(", ")} only`;
    throw new InvalidArgumentError(`${pointer}/${kind}/codec`, `${takes}, not ${codec}`);
  }
}
