import { ProtocolError } from "../core/error.ts";
import type { ByteReader } from "./byte-reader.ts";

/** Packet types that audio and video share by number (Enhanced RTMP v2, ExVideoTagHeader and ExAudioTagHeader). */
export const EX_PACKET = {
  sequenceStart: 0,
  codedFrames: 1,
  sequenceEnd: 2,
  /** Video only: coded frames without a composition time. */
  codedFramesX: 3,
  /** Video: metadata such as HDR. Audio: multichannel configuration. */
  metadata: 4,
  mpeg2tsSequenceStart: 5,
  modEx: 7,
} as const;

/** Where the number of "multitrack" differs between the two headers. */
export const MULTITRACK = { video: 6, audio: 5 } as const;

/** What stands in front of an enhanced tag's payload, with all wrappers taken off. */
export interface EnhancedHeader {
  readonly packetType: number;
  /** E.g. `hvc1`. */
  readonly fourcc: string;
  /** 0 unless the tag is a multitrack one. */
  readonly trackId: number;
  /** Nanoseconds to add to the tag's stamp, 0 to 999999. */
  readonly offsetNs: number;
  /** The first track's payload; of several tracks in one tag only the first is read. */
  readonly payload: ByteReader;
}

/** A chain of modifiers longer than this is an attack, not a stream. */
const MAX_MODIFIERS = 8;
const TIMESTAMP_OFFSET_NANO = 0;
const ONE_TRACK = 0;
const MANY_TRACKS_MANY_CODECS = 2;

/**
 * Reads ModEx prefixes, the FourCC and the multitrack wrapper.
 *
 * @param reader stands behind the first byte, whose low bits are `packetType`.
 * @throws {ProtocolError} `ERR_PROTOCOL` if the tag is cut short or wraps itself.
 */
export function readEnhancedHeader(
  reader: ByteReader,
  firstPacketType: number,
  multitrack: number,
  slice: (bytes: Uint8Array) => ByteReader,
): EnhancedHeader {
  let packetType = firstPacketType;
  let offsetNs = 0;
  for (let count = 0; packetType === EX_PACKET.modEx; count++) {
    if (count === MAX_MODIFIERS) throw new ProtocolError("FLV: too many packet modifiers");
    let size = reader.u8() + 1;
    if (size === 256) size = reader.u16() + 1;
    const data = reader.bytes(size);
    const next = reader.u8();
    if (next >> 4 === TIMESTAMP_OFFSET_NANO && size >= 3) offsetNs = Math.min(data.readUIntBE(0, 3), 999_999);
    packetType = next & 15;
  }
  if (packetType !== multitrack)
    return { packetType, fourcc: reader.latin1(4), trackId: 0, offsetNs, payload: reader };
  const types = reader.u8();
  packetType = types & 15;
  if (packetType === multitrack || packetType === EX_PACKET.modEx)
    throw new ProtocolError("FLV: nested multitrack");
  const kind = types >> 4;
  if (kind > MANY_TRACKS_MANY_CODECS) throw new ProtocolError(`FLV: multitrack type ${kind}`);
  const fourcc = reader.latin1(4); // Common to all, or the first track's own: at the same place.
  const trackId = reader.u8();
  const payload = kind === ONE_TRACK ? reader : slice(reader.bytes(reader.u24()));
  return { packetType, fourcc, trackId, offsetNs, payload };
}
