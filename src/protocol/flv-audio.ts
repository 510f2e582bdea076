import { ByteReader } from "./byte-reader.ts";
import { EX_PACKET, MULTITRACK, readEnhancedHeader } from "./flv-enhanced.ts";

/** What a legacy audio tag says of its sound; a codec's own header knows better where there is one. */
export interface FlvAudioFormat {
  readonly sampleRate: number;
  readonly channels: number;
}

/** An audio tag's body as values. Views into the tag, not copies. */
export type FlvAudio =
  /** AudioSpecificConfig, OpusHead, FLAC's STREAMINFO block. */
  | { readonly kind: "config"; readonly codec: string; readonly trackId: number; readonly config: Uint8Array }
  | {
      readonly kind: "frame";
      readonly codec: string;
      readonly trackId: number;
      /** Absent in enhanced tags. */
      readonly format?: FlvAudioFormat;
      /** To add to the tag's stamp. */
      readonly offsetNs: number;
      readonly data: Uint8Array;
    }
  | { readonly kind: "nothing" }
  | { readonly kind: "unsupported"; readonly codec: string };

/** SoundFormat of legacy tags (FLV 10.1 §E.4.2.1), as FFmpeg's names; 0, 3 and the fixed rates are told apart below. */
const LEGACY: Readonly<
  Record<number, { readonly codec: string; readonly rate?: number; readonly channels?: number }>
> = {
  1: { codec: "adpcm_swf" },
  2: { codec: "mp3" },
  4: { codec: "nellymoser", rate: 16_000, channels: 1 },
  5: { codec: "nellymoser", rate: 8000, channels: 1 },
  6: { codec: "nellymoser" },
  7: { codec: "pcm_alaw", rate: 8000 },
  8: { codec: "pcm_mulaw", rate: 8000 },
  10: { codec: "aac" },
  14: { codec: "mp3", rate: 8000 },
};
const LPCM_NATIVE = 0;
const EX_HEADER = 9;
const LPCM_LITTLE = 3;
const AAC = 10;
const SPEEX = 11;

/** Audio FourCCs of Enhanced RTMP v2, as FFmpeg's names. */
const FOURCC: Readonly<Record<string, string>> = {
  mp4a: "aac",
  Opus: "opus",
  fLaC: "flac",
  "ac-3": "ac3",
  "ec-3": "eac3",
  ".mp3": "mp3",
};

/**
 * Reads the body of an audio tag, legacy (FLV 10.1 §E.4.2) or enhanced (Enhanced RTMP v2, ExAudioTagHeader).
 *
 * @throws {ProtocolError} `ERR_PROTOCOL` if it is cut short.
 */
export function parseFlvAudio(body: Uint8Array): FlvAudio {
  const reader = new ByteReader(body, "FLV audio tag");
  const first = reader.u8();
  return first >> 4 === EX_HEADER ? parseEnhanced(reader, first & 15) : parseLegacy(reader, first);
}

function parseLegacy(reader: ByteReader, first: number): FlvAudio {
  const id = first >> 4;
  if (id === AAC) {
    const packetType = reader.u8();
    if (packetType === 0) return { kind: "config", codec: "aac", trackId: 0, config: reader.rest() };
    return packetType === 1 ? frame("aac", formatOf(first), reader) : { kind: "nothing" };
  }
  const sixteenBits = (first & 2) !== 0;
  if (id === LPCM_NATIVE || id === LPCM_LITTLE)
    return frame(sixteenBits ? "pcm_s16le" : "pcm_u8", formatOf(first), reader);
  const known = LEGACY[id];
  if (known === undefined)
    return { kind: "unsupported", codec: id === SPEEX ? "speex" : `FLV audio format ${id}` };
  const said = formatOf(first);
  const format = { sampleRate: known.rate ?? said.sampleRate, channels: known.channels ?? said.channels };
  return frame(known.codec, format, reader);
}

function parseEnhanced(reader: ByteReader, firstPacketType: number): FlvAudio {
  const header = readEnhancedHeader(reader, firstPacketType, MULTITRACK.audio, slice);
  const { packetType, fourcc, trackId, offsetNs, payload } = header;
  const codec = FOURCC[fourcc];
  if (codec === undefined) return { kind: "unsupported", codec: JSON.stringify(fourcc).slice(1, -1) };
  if (packetType === EX_PACKET.sequenceStart)
    return { kind: "config", codec, trackId, config: payload.rest() };
  if (packetType !== EX_PACKET.codedFrames || payload.left === 0) return { kind: "nothing" };
  return { kind: "frame", codec, trackId, offsetNs, data: payload.rest() };
}

/** A sequence header tag to send. `fourcc` undefined: the legacy AAC form, which every server takes. */
export function audioConfigTag(fourcc: string | undefined, config: Uint8Array): Buffer {
  if (fourcc === undefined) return Buffer.concat([Buffer.from([AAC_44K_STEREO, 0]), config]);
  const head = Buffer.from([(EX_HEADER << 4) | EX_PACKET.sequenceStart]);
  return Buffer.concat([head, Buffer.from(fourcc, "latin1"), config]);
}

/** A coded frame to send; see {@link audioConfigTag}. */
export function audioFrameTag(fourcc: string | undefined, data: Uint8Array): Buffer {
  if (fourcc === undefined) return Buffer.concat([Buffer.from([AAC_44K_STEREO, 1]), data]);
  const head = Buffer.from([(EX_HEADER << 4) | EX_PACKET.codedFrames]);
  return Buffer.concat([head, Buffer.from(fourcc, "latin1"), data]);
}

/** FLV 10.1 §E.4.2.1: AAC always says 44 kHz, 16 bits, stereo; the truth is in AudioSpecificConfig. */
const AAC_44K_STEREO = 0xaf;

const formatOf = (first: number): FlvAudioFormat => ({
  sampleRate: [5512, 11_025, 22_050, 44_100][(first >> 2) & 3] ?? 44_100,
  channels: (first & 1) + 1,
});

function frame(codec: string, format: FlvAudioFormat, reader: ByteReader): FlvAudio {
  if (reader.left === 0) return { kind: "nothing" };
  return { kind: "frame", codec, trackId: 0, format, offsetNs: 0, data: reader.rest() };
}

const slice = (bytes: Uint8Array): ByteReader => new ByteReader(bytes, "FLV audio track");
