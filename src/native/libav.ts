import {
  AV_LOG_ERROR,
  AV_LOG_FATAL,
  AV_NOPTS_VALUE,
  FF_DECODER_LIBVPX_VP8,
  FF_DECODER_LIBVPX_VP9,
  type FFDecoderCodec,
} from "node-av/constants";
import { avGetCodecName, Codec, Dictionary, FFmpegError, Log } from "node-av/lib";
import { DeviceError } from "../core/error.ts";
import { type Micros, us } from "../core/time.ts";

// Hostile input makes libav talk without end; what matters comes back as return codes and counters.
Log.setLevel(AV_LOG_FATAL);

/** Lets FFmpeg's error lines through to stderr, for a process whose stderr somebody reads. */
export const logErrors = (): void => Log.setLevel(AV_LOG_ERROR);

/** FFmpeg's time unit as a plain pair, seconds per tick. */
export interface TimeBase {
  readonly num: number;
  readonly den: number;
}

/** FFmpeg's words for a negative return code, e.g. `Invalid data found when processing input`. */
export const reason = (code: number): string => FFmpegError.strerror(code);

/**
 * Returns `code` if it says success.
 *
 * @throws {DeviceError} `ERR_DEVICE` naming `action` and FFmpeg's reason.
 */
export function succeed(code: number, action: string): number {
  if (code < 0) throw new DeviceError(`${action}: ${reason(code)}`);
  return code;
}

/** An FFmpeg option dictionary. The caller frees it (`using`). */
export const options = (values: Readonly<Record<string, string | number>>): Dictionary =>
  Dictionary.fromObject({ ...values });

/** Turns ticks into {@link Micros}, exact below 2^53 ticks; undefined where FFmpeg has no stamp. */
export function toMicros(ticks: bigint, base: TimeBase): Micros | undefined {
  if (ticks === AV_NOPTS_VALUE || base.den === 0) return undefined;
  const scaled = Number(ticks) * base.num;
  const wholeS = Math.floor(scaled / base.den);
  return us(wholeS * 1e6 + ((scaled - wholeS * base.den) * 1e6) / base.den);
}

/** FFmpeg's decoders that beat, or replace, the one it would choose itself, by codec name. */
const PREFERRED: Readonly<Record<string, string>> = { av1: "libdav1d", opus: "libopus" };

/** FFmpeg's own decoders of these leave alpha out that comes beside the pictures. */
const WITH_ALPHA: ReadonlyMap<string, FFDecoderCodec> = new Map<string, FFDecoderCodec>([
  ["vp8", FF_DECODER_LIBVPX_VP8],
  ["vp9", FF_DECODER_LIBVPX_VP9],
]);

/** The decoder for a stream with alpha beside its pictures; undefined if the build has none that shows it. */
export function alphaDecoderFor(codec: string): Codec | undefined {
  const name = WITH_ALPHA.get(codec);
  return name === undefined ? undefined : (Codec.findDecoderByName(name) ?? undefined);
}

let decoders: Map<string, Codec> | undefined;

/** The software decoder for FFmpeg's codec name (`h264`, `opus`, `adpcm_g722`); undefined if the build has none. */
export function decoderFor(codec: string): Codec | undefined {
  decoders ??= listDecoders();
  return decoders.get(codec);
}

function listDecoders(): Map<string, Codec> {
  const found = new Map<string, Codec>();
  for (const codec of Codec.getCodecList()) {
    if (!codec.isDecoder()) continue;
    const id = avGetCodecName(codec.id);
    if (id === null || codec.name === null) continue;
    if (!found.has(id) || PREFERRED[id] === codec.name) found.set(id, codec);
  }
  return found;
}
