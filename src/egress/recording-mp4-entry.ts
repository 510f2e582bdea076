import { InternalError } from "../core/error.ts";
import type { AudioStreamInfo, VideoStreamInfo } from "../media/stream-info.ts";
import { ascii, box, join, u8, u16, u32 } from "./recording-bytes.ts";
import type { Track } from "./recording-track.ts";

/** Type of the sample entry and of the box in it that holds the decoder's configuration. */
const VIDEO_BOXES: Record<string, readonly [entry: string, config: string]> = {
  h264: ["avc1", "avcC"],
  hevc: ["hvc1", "hvcC"],
  av1: ["av01", "av1C"],
  vp9: ["vp09", "vpcC"],
};

/** What `stsd` says of a track. ISO/IEC 14496-12 §8.5.2. */
export const sampleEntry = (track: Track): Uint8Array =>
  track.info.kind === "video" ? videoEntry(track.info, track.config) : audioEntry(track.info, track.config);

/** §12.1.3. */
function videoEntry(info: VideoStreamInfo, config: Uint8Array): Uint8Array {
  const boxes = VIDEO_BOXES[info.codec];
  if (boxes === undefined) throw new InternalError(`${info.codec} has no sample entry`);
  const aspect = info.sampleAspectRatio ?? { num: 1, den: 1 };
  return box(
    boxes[0],
    u16(0, 0, 0, 1),
    new Uint8Array(16),
    u16(info.widthPx ?? 0, info.heightPx ?? 0),
    u32(0x480000, 0x480000, 0), // 72 dpi
    u16(1),
    new Uint8Array(32),
    u16(24, 0xffff),
    box(boxes[1], config),
    colr(info),
    box("pasp", u32(aspect.num, aspect.den)),
  );
}

/** Colour as ITU-T H.273 numbers it; BT.709 limited, as Tessera encodes, where nothing else is said. §12.1.5. */
function colr(info: VideoStreamInfo): Uint8Array {
  const known = (value: number | undefined): number =>
    value === undefined || value === 0 || value === 2 ? 1 : value;
  const triple = u16(known(info.colorPrimaries), known(info.colorTransfer), known(info.colorSpace));
  return box("colr", ascii("nclx"), triple, u8(info.colorRange === 2 ? 0x80 : 0));
}

/** §12.2.3. */
function audioEntry(info: AudioStreamInfo, config: Uint8Array): Uint8Array {
  const [type, child] = audioBoxes(info, config);
  const rate = Math.min(0xffff, info.sampleRate ?? 48_000);
  return box(type, u16(0, 0, 0, 1), u32(0, 0), u16(info.channels ?? 2, 16, 0, 0), u32(rate * 0x10000), child);
}

function audioBoxes(info: AudioStreamInfo, config: Uint8Array): [type: string, child: Uint8Array] {
  if (info.codec === "opus") return ["Opus", dOps(config)];
  // The last metadata block, type 0 (STREAMINFO), 34 bytes. FLAC in ISO-BMFF §3.3.2.
  if (info.codec === "flac") return ["fLaC", box("dfLa", u32(0), u8(0x80, 0, 0, 34), config)];
  return ["mp4a", esds(config, info.bitRateBps ?? 0)];
}

/** OpusHead with its numbers turned big-endian. Opus in ISO-BMFF §4.3.2. */
function dOps(head: Uint8Array): Uint8Array {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  return box(
    "dOps",
    u8(0, view.getUint8(9)),
    u16(view.getUint16(10, true)),
    u32(view.getUint32(12, true)),
    u16(view.getInt16(16, true)),
    head.subarray(18),
  );
}

/** ISO/IEC 14496-1 §7.2.6.5: ES, decoder config (AAC, audio stream), AudioSpecificConfig, SL config for MP4. */
function esds(config: Uint8Array, bitRateBps: number): Uint8Array {
  const specific = descriptor(5, config);
  const decoder = descriptor(4, join(u8(0x40, 0x15, 0, 0, 0), u32(bitRateBps, bitRateBps), specific));
  return box("esds", u32(0), descriptor(3, join(u16(0), u8(0), decoder, descriptor(6, u8(2)))));
}

const descriptor = (tag: number, payload: Uint8Array): Uint8Array => {
  const { length } = payload;
  return join(
    u8(
      tag,
      0x80 | (length >> 21),
      0x80 | ((length >> 14) & 0x7f),
      0x80 | ((length >> 7) & 0x7f),
      length & 0x7f,
    ),
    payload,
  );
};
