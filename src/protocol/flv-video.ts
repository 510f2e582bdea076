import { ByteReader } from "./byte-reader.ts";
import { EX_PACKET, MULTITRACK, readEnhancedHeader } from "./flv-enhanced.ts";

/** A video tag's body as values. Views into the tag, not copies. */
export type FlvVideo =
  /** Codec parameters: avcC, hvcC, av1C, vpcC. */
  | { readonly kind: "config"; readonly codec: string; readonly trackId: number; readonly config: Uint8Array }
  | {
      readonly kind: "frame";
      readonly codec: string;
      readonly trackId: number;
      readonly keyFrame: boolean;
      /** Presentation minus decoding time, signed. */
      readonly compositionMs: number;
      /** To add to the tag's stamp. */
      readonly offsetNs: number;
      readonly data: Uint8Array;
    }
  /** End of sequence, metadata and commands to players: nothing to decode. */
  | { readonly kind: "nothing" }
  | { readonly kind: "unsupported"; readonly codec: string };

const KEY_FRAME = 1;
const COMMAND_FRAME = 5;

/** CodecID of legacy tags (FLV 10.1 §E.4.3.1), as FFmpeg's names; VP6 is not taken. 12 is a widespread extension for HEVC. */
const LEGACY: Readonly<Record<number, string>> = {
  2: "flv1",
  3: "flashsv",
  7: "h264",
  12: "hevc",
};

/** Video FourCCs of Enhanced RTMP v2, as FFmpeg's names. */
const FOURCC: Readonly<Record<string, string>> = {
  avc1: "h264",
  hvc1: "hevc",
  av01: "av1",
  vp09: "vp9",
  vp08: "vp8",
};

/** FourCCs whose coded frames open with a composition time. */
const HAS_COMPOSITION_TIME = new Set(["avc1", "hvc1"]);

/**
 * Reads the body of a video tag, legacy (FLV 10.1 §E.4.3) or enhanced (Enhanced RTMP v2, ExVideoTagHeader).
 *
 * @throws {ProtocolError} `ERR_PROTOCOL` if it is cut short.
 */
export function parseFlvVideo(body: Uint8Array): FlvVideo {
  const reader = new ByteReader(body, "FLV video tag");
  const first = reader.u8();
  const frameType = (first >> 4) & 7;
  return first & 0x80
    ? parseEnhanced(reader, frameType, first & 15)
    : parseLegacy(reader, frameType, first & 15);
}

function parseLegacy(reader: ByteReader, frameType: number, codecId: number): FlvVideo {
  if (frameType === COMMAND_FRAME) return { kind: "nothing" };
  const codec = LEGACY[codecId];
  if (codec === undefined) return { kind: "unsupported", codec: `FLV video codec ${codecId}` };
  const keyFrame = frameType === KEY_FRAME;
  if (codec !== "h264" && codec !== "hevc") {
    if (reader.left === 0) return { kind: "nothing" };
    return { kind: "frame", codec, trackId: 0, keyFrame, compositionMs: 0, offsetNs: 0, data: reader.rest() };
  }
  const packetType = reader.u8();
  const compositionMs = reader.i24();
  if (packetType === 0) return { kind: "config", codec, trackId: 0, config: reader.rest() };
  if (packetType !== 1 || reader.left === 0) return { kind: "nothing" };
  return { kind: "frame", codec, trackId: 0, keyFrame, compositionMs, offsetNs: 0, data: reader.rest() };
}

function parseEnhanced(reader: ByteReader, frameType: number, firstPacketType: number): FlvVideo {
  if (frameType === COMMAND_FRAME && firstPacketType !== EX_PACKET.metadata) return { kind: "nothing" };
  const header = readEnhancedHeader(reader, firstPacketType, MULTITRACK.video, slice);
  const { packetType, fourcc, trackId, offsetNs, payload } = header;
  const codec = FOURCC[fourcc];
  if (codec === undefined) return { kind: "unsupported", codec: printable(fourcc) };
  if (packetType === EX_PACKET.sequenceStart)
    return { kind: "config", codec, trackId, config: payload.rest() };
  const coded = packetType === EX_PACKET.codedFrames;
  if (!coded && packetType !== EX_PACKET.codedFramesX) return { kind: "nothing" };
  const compositionMs = coded && HAS_COMPOSITION_TIME.has(fourcc) ? payload.i24() : 0;
  if (payload.left === 0) return { kind: "nothing" };
  const keyFrame = frameType === KEY_FRAME;
  return { kind: "frame", codec, trackId, keyFrame, compositionMs, offsetNs, data: payload.rest() };
}

/** A sequence header tag to send. `fourcc` undefined: the legacy H.264 form, which every server takes. */
export function videoConfigTag(fourcc: string | undefined, config: Uint8Array): Buffer {
  if (fourcc === undefined) return Buffer.concat([Buffer.from([0x17, 0, 0, 0, 0]), config]);
  return Buffer.concat([
    Buffer.from([0x90 | EX_PACKET.sequenceStart]),
    Buffer.from(fourcc, "latin1"),
    config,
  ]);
}

/** A coded frame to send; see {@link videoConfigTag}. `data` in parts, joined without a copy of their own. */
export function videoFrameTag(
  fourcc: string | undefined,
  keyFrame: boolean,
  compositionMs: number,
  data: readonly Uint8Array[],
): Buffer {
  const frameType = keyFrame ? KEY_FRAME : 2;
  const time = Buffer.alloc(3);
  time.writeIntBE(Math.max(-0x800000, Math.min(0x7fffff, Math.round(compositionMs))), 0, 3);
  if (fourcc === undefined) return Buffer.concat([Buffer.from([(frameType << 4) | 7, 1]), time, ...data]);
  const timed = HAS_COMPOSITION_TIME.has(fourcc) && Math.round(compositionMs) !== 0;
  const packetType =
    timed || !HAS_COMPOSITION_TIME.has(fourcc) ? EX_PACKET.codedFrames : EX_PACKET.codedFramesX;
  const head = Buffer.from([0x80 | (frameType << 4) | packetType]);
  return Buffer.concat([head, Buffer.from(fourcc, "latin1"), ...(timed ? [time] : []), ...data]);
}

const slice = (bytes: Uint8Array): ByteReader => new ByteReader(bytes, "FLV video track");

/** A peer's four bytes, fit for an error message. */
const printable = (fourcc: string): string => JSON.stringify(fourcc).slice(1, -1);
