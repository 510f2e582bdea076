import type { AudioStreamInfo, VideoStreamInfo } from "../media/stream-info.ts";
import { ascii, f64, join, u8, u16, u32, u64 } from "./recording-bytes.ts";
import { type Container, type Patch, ThinningIndex, type Written } from "./recording-container.ts";
import type { Sample, Track } from "./recording-track.ts";

/**
 * One Matroska tick. The usual millisecond moves every frame of 30/s by up to half of one; a block counts 16 signed
 * bits of ticks from its cluster, and 50 us leave it 1.6 s.
 */
const TICK_NS = 50_000;
const TICKS_PER_SECOND = 1e9 / TICK_NS;
/** Room for the index, in clusters: about 17 KiB, whatever the length of the recording. */
const INDEX_CAPACITY = 720;
const CUE_BYTES = 26;
const CUES_BYTES = 4 + 8 + INDEX_CAPACITY * CUE_BYTES + 9;
const CODEC_IDS: Record<string, string> = {
  h264: "V_MPEG4/ISO/AVC",
  hevc: "V_MPEGH/ISO/HEVC",
  vp8: "V_VP8",
  vp9: "V_VP9",
  av1: "V_AV1",
  aac: "A_AAC",
  opus: "A_OPUS",
  flac: "A_FLAC",
};

/**
 * Matroska (RFC 9559): a segment of unknown size, then one cluster of known size per fragment.
 *
 * At the end the segment's size and the duration are filled in, and padding before the first cluster becomes the
 * index (Cues). A file that lost its writer has none of the three and plays all the same.
 */
export class Mkv implements Container {
  readonly header: Uint8Array;
  readonly #main: Track;
  readonly #index = new ThinningIndex(INDEX_CAPACITY);
  readonly #segmentStart: number;
  readonly #durationOffset: number;
  readonly #cuesOffset: number;
  #length: number;

  /** @param tracks at least one; the first rules the index. */
  constructor(tracks: readonly [Track, ...Track[]]) {
    this.#main = tracks[0];
    const ebml = element(
      0x1a45dfa3,
      element(0x4286, u8(1)),
      element(0x42f7, u8(1)),
      element(0x42f2, u8(4)),
      element(0x42f3, u8(8)),
      element(0x4282, ascii("matroska")),
      element(0x4287, u8(4)),
      element(0x4285, u8(2)),
    );
    const segment = join(u32(0x18538067), u8(0x01), u8(...Array<number>(7).fill(0xff)));
    this.#segmentStart = ebml.length + segment.length;
    const names = [element(0x4d80, ascii("Tessera")), element(0x5741, ascii("Tessera"))];
    const scale = element(0x2ad7b1, u32(TICK_NS));
    const duration = voidOf(11);
    const info = element(0x1549a966, scale, ...names, duration);
    this.#durationOffset = this.#segmentStart + info.length - duration.length;
    const entries = element(0x1654ae6b, ...tracks.map(trackEntry));
    this.#cuesOffset = this.#segmentStart + info.length + entries.length;
    this.header = join(ebml, segment, info, entries, voidOf(CUES_BYTES));
    this.#length = this.header.length;
  }

  fragment(samples: readonly Sample[]): Uint8Array {
    const [first] = samples.filter((sample) => sample.track === this.#main);
    if (first !== undefined)
      this.#index.add({ pts: ticksOf(first), offset: this.#length, keyFrame: first.keyFrame });
    const start = Math.min(...samples.map(ticksOf));
    const blocks = samples.map((sample) => simpleBlock(sample, start));
    const cluster = element(0x1f43b675, element(0xe7, u64(start)), ...blocks);
    this.#length += cluster.length;
    return cluster;
  }

  finish(written: Written): readonly Patch[] {
    const duration = element(0x4489, f64(written.durationUs / (TICK_NS / 1000)));
    const size = join(u8(0x01), u64(written.bytes - this.#segmentStart).subarray(1));
    const points = this.#index.within(written.bytes).map(({ pts, offset }) => this.#cue(pts, offset));
    const cues = element(0x1c53bb6b, ...points);
    return [
      { offset: this.#segmentStart - 8, bytes: size },
      { offset: this.#durationOffset, bytes: duration },
      { offset: this.#cuesOffset, bytes: join(cues, voidOf(CUES_BYTES - cues.length)) },
    ];
  }

  #cue(pts: number, offset: number): Uint8Array {
    const position = u64(offset - this.#segmentStart);
    return element(
      0xbb,
      element(0xb3, u64(pts).subarray(2)),
      element(0xb7, element(0xf7, u8(this.#main.id)), element(0xf1, position.subarray(2))),
    );
  }
}

/** An element with a size of 8 bytes where it is long, 1 where it is short. RFC 8794 §4. */
function element(id: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const size = parts.reduce((sum, part) => sum + part.byteLength, 0);
  const idBytes = u32(id).subarray(Math.clz32(id) >> 3);
  const sizeBytes = size < 127 ? u8(0x80 | size) : join(u8(0x01), u64(size).subarray(1));
  return join(idBytes, sizeBytes, ...parts);
}

/** Padding of exactly `size` bytes: 2 at least, and not 128 to 136, which no form of it has. */
function voidOf(size: number): Uint8Array {
  const header = size < 128 ? 2 : 9;
  return element(0xec, new Uint8Array(size - header));
}

const ticksOf = (sample: Sample): number =>
  Math.round((sample.pts * TICKS_PER_SECOND) / sample.track.scale.timescale);

/** RFC 9559 §10.2: track number, signed offset from the cluster, flags (0x80 is a key frame). */
const simpleBlock = (sample: Sample, start: number): Uint8Array =>
  element(
    0xa3,
    u8(0x80 | sample.track.id),
    u16(ticksOf(sample) - start),
    u8(sample.keyFrame ? 0x80 : 0),
    sample.data,
  );

function trackEntry(track: Track): Uint8Array {
  const { info, id, scale } = track;
  const config = info.codec === "flac" ? join(ascii("fLaC"), u8(0x80, 0, 0, 34), track.config) : track.config;
  const stepNs = Math.round((scale.stepTicks * 1e9) / scale.timescale);
  return element(
    0xae,
    element(0xd7, u8(id)),
    element(0x73c5, u8(id)),
    element(0x83, u8(info.kind === "video" ? 1 : 2)),
    element(0x9c, u8(0)),
    element(0x22b59c, ascii("und")),
    element(0x86, ascii(CODEC_IDS[info.codec] ?? "")),
    ...(config.length === 0 ? [] : [element(0x63a2, config)]),
    ...(stepNs === 0 ? [] : [element(0x23e383, u32(stepNs))]),
    info.kind === "video" ? videoElement(info) : audioElement(info),
  );
}

/** Colour as ITU-T H.273 numbers it; BT.709 limited, as Tessera encodes, where nothing else is said. */
function videoElement(info: VideoStreamInfo): Uint8Array {
  const known = (value: number | undefined): number =>
    value === undefined || value === 0 || value === 2 ? 1 : value;
  const colour = element(
    0x55b0,
    element(0x55b1, u8(known(info.colorSpace))),
    element(0x55b9, u8(info.colorRange === 2 ? 2 : 1)),
    element(0x55ba, u8(known(info.colorTransfer))),
    element(0x55bb, u8(known(info.colorPrimaries))),
  );
  const [width, height] = [info.widthPx ?? 0, info.heightPx ?? 0];
  const aspect = info.sampleAspectRatio ?? { num: 1, den: 1 };
  const shown = Math.round((width * aspect.num) / aspect.den);
  return element(
    0xe0,
    element(0xb0, u16(width)),
    element(0xba, u16(height)),
    ...(shown === width ? [] : [element(0x54b0, u32(shown)), element(0x54ba, u32(height))]),
    element(0x9a, u8(2)), // progressive
    colour,
  );
}

const audioElement = (info: AudioStreamInfo): Uint8Array =>
  element(0xe1, element(0xb5, f64(info.sampleRate ?? 48_000)), element(0x9f, u8(info.channels ?? 2)));
