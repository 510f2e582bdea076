import { ascii, box, join, u16, u32, u64 } from "./recording-bytes.ts";
import type { Container, IndexEntry, Patch, Written } from "./recording-container.ts";
import { sampleEntry } from "./recording-mp4-entry.ts";
import type { Sample, Track } from "./recording-track.ts";

const MEHD_BYTES = 20;
/** Bytes of an index, and of each fragment in it. */
const SIDX_BYTES = 40;
const REFERENCE_BYTES = 12;
/** ISO/IEC 14496-12 §8.6.4.3: depends on nothing, or is not a sync sample and depends on others. */
const SYNC_FLAGS = 0x0200_0000;
const NON_SYNC_FLAGS = 0x0101_0000;
const UNITY_MATRIX = u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x4000_0000);

/** A box with version and flags. */
const fullBox = (type: string, version: number, flags: number, ...parts: readonly Uint8Array[]): Uint8Array =>
  box(type, u32(version * 0x1000000 + flags), ...parts);

/**
 * Fragmented MP4: a moov without samples, then one moof and mdat per fragment (ISO/IEC 14496-12 §8.8), without edit
 * lists.
 *
 * Two boxes of padding wait for the end: one in mvex becomes `mehd` (the duration), one before the first fragment
 * becomes `sidx` (the index, §8.16.3), which spares players a scan of all fragments. A file that lost its writer is the
 * same without the two.
 *
 * The index is left out where a fragment begins without a key frame. One that names each fragment sends FFmpeg 8, and
 * with it Chromium, to pictures that cannot be decoded; one that names key frames only makes it skip the fragments
 * between them after a seek (both measured with AV1 and VP9).
 */
export class Mp4 implements Container {
  readonly header: Uint8Array;
  readonly #tracks: readonly Track[];
  readonly #main: Track;
  readonly #indexBytes: number;
  readonly #mehdOffset: number;
  readonly #indexOffset: number;
  #index: IndexEntry[] = [];
  #length: number;
  #sequence = 0;

  /**
   * @param tracks at least one; the first rules the index.
   * @param indexCapacity fragments that there is room for in the index, 12 bytes each; with more there is none.
   */
  constructor(tracks: readonly [Track, ...Track[]], indexCapacity: number) {
    this.#tracks = tracks;
    this.#main = tracks[0];
    this.#indexBytes = 8 + SIDX_BYTES + REFERENCE_BYTES * Math.min(65_535, indexCapacity);
    const ftyp = box("ftyp", ascii("iso6"), u32(512), ascii("iso6isommp41"));
    const traks = this.#tracks.map(trak);
    const moovHead = join(mvhd(this.#main.scale.timescale, this.#tracks.length), ...traks);
    const mvex = box("mvex", free(MEHD_BYTES), ...this.#tracks.map(trex));
    this.#mehdOffset = ftyp.length + 8 + moovHead.length + 8;
    this.#indexOffset = ftyp.length + 8 + moovHead.length + mvex.length;
    this.header = join(ftyp, box("moov", moovHead, mvex), free(this.#indexBytes));
    this.#length = this.header.length;
  }

  fragment(samples: readonly Sample[]): Uint8Array {
    const [first] = samples.filter((sample) => sample.track === this.#main);
    this.#index.push({ pts: first?.pts ?? 0, offset: this.#length, keyFrame: first?.keyFrame ?? false });
    this.#sequence += 1;
    const bytes = fragmentBytes(this.#sequence, samples, this.#tracks);
    this.#length += bytes.length;
    return bytes;
  }

  finish(written: Written): readonly Patch[] {
    const { scale } = this.#main;
    const mehd = {
      offset: this.#mehdOffset,
      bytes: fullBox("mehd", 1, 0, u64(scale.at(written.durationUs))),
    };
    const sidx = this.#sidx(written.bytes, scale.at(written.mainUs));
    if (sidx === undefined) return [mehd];
    // The index ends where the first fragment begins, or FFmpeg 8 and Chromium read the whole file in spite of it. The
    // padding before it shrinks last, so that half of this leaves what was there.
    const padding = this.#indexBytes - sidx.length;
    const index = { offset: this.#indexOffset + padding, bytes: sidx };
    return [mehd, index, { offset: this.#indexOffset, bytes: u32(padding) }];
  }

  /** One row per fragment in the first `length` bytes; undefined if there is no room for them or no use in them. */
  #sidx(length: number, end: number): Uint8Array | undefined {
    const entries = this.#index.filter((entry) => entry.offset < length);
    const size = SIDX_BYTES + REFERENCE_BYTES * entries.length;
    if (entries.length === 0 || entries.some(({ keyFrame }) => !keyFrame) || size + 8 > this.#indexBytes)
      return undefined;
    const rows = entries.map((entry, index) => {
      const next = entries[index + 1] ?? { offset: length, pts: end };
      return u32(next.offset - entry.offset, Math.max(0, next.pts - entry.pts), 0x9000_0000);
    });
    const fields = [u32(this.#main.id, this.#main.scale.timescale), u64(0), u64(0)];
    return fullBox("sidx", 1, 0, ...fields, u16(0, rows.length), ...rows);
  }
}

/** Padding of exactly `size` bytes, 8 at least. */
const free = (size: number): Uint8Array => box("free", new Uint8Array(size - 8));

const mvhd = (timescale: number, tracks: number): Uint8Array =>
  fullBox(
    "mvhd",
    0,
    0,
    u32(0, 0, timescale, 0, 0x10000),
    u16(0x100, 0),
    u32(0, 0),
    UNITY_MATRIX,
    new Uint8Array(24),
    u32(tracks + 1),
  );

function trak(track: Track): Uint8Array {
  const { info, scale } = track;
  const video = info.kind === "video";
  const size = video ? [(info.widthPx ?? 0) * 0x10000, (info.heightPx ?? 0) * 0x10000] : [0, 0];
  const tkhd = fullBox(
    "tkhd",
    0,
    3, // enabled, in the presentation
    u32(0, 0, track.id, 0, 0, 0, 0),
    u16(0, video ? 0 : 1, video ? 0 : 0x100, 0),
    UNITY_MATRIX,
    u32(...size),
  );
  const handler = fullBox(
    "hdlr",
    0,
    0,
    u32(0),
    ascii(video ? "vide" : "soun"),
    new Uint8Array(12),
    ascii("Tessera\0"),
  );
  const mediaHeader = video ? fullBox("vmhd", 0, 1, u16(0, 0, 0, 0)) : fullBox("smhd", 0, 0, u32(0));
  const dinf = box("dinf", fullBox("dref", 0, 0, u32(1), fullBox("url ", 0, 1)));
  const empty = ["stts", "stsc", "stco"].map((type) => fullBox(type, 0, 0, u32(0)));
  const stbl = box(
    "stbl",
    fullBox("stsd", 0, 0, u32(1), sampleEntry(track)),
    ...empty,
    fullBox("stsz", 0, 0, u32(0, 0)),
  );
  const undetermined = 0x55c4; // "und", ISO 639-2/T packed, §8.4.2
  const mdhd = fullBox("mdhd", 0, 0, u32(0, 0, scale.timescale, 0), u16(undetermined, 0));
  return box("trak", tkhd, box("mdia", mdhd, handler, box("minf", mediaHeader, dinf, stbl)));
}

const trex = (track: Track): Uint8Array =>
  fullBox("trex", 0, 0, u32(track.id, 1, track.scale.stepTicks, 0, 0));

/** moof and mdat; samples lie track after track. §8.8.4 to §8.8.8. */
function fragmentBytes(sequence: number, samples: readonly Sample[], tracks: readonly Track[]): Uint8Array {
  const runs = tracks
    .map((track) => ({ track, samples: samples.filter((sample) => sample.track === track) }))
    .filter((run) => run.samples.length > 0);
  const moof = (dataStart: number): Uint8Array => {
    let offset = dataStart;
    const trafs = runs.map((run) => {
      const bytes = traf(run.track, run.samples, offset);
      offset += run.samples.reduce((sum, sample) => sum + sample.data.byteLength, 0);
      return bytes;
    });
    return box("moof", fullBox("mfhd", 0, 0, u32(sequence)), ...trafs);
  };
  const data = runs.flatMap((run) => run.samples.map((sample) => sample.data));
  // Offsets count from the moof's first byte, so its length has to be known first; it does not depend on them.
  return join(moof(moof(0).length + 8), box("mdat", ...data));
}

function traf(track: Track, samples: readonly Sample[], dataOffset: number): Uint8Array {
  const video = track.info.kind === "video";
  const tfhd = fullBox("tfhd", 0, 0x020000, u32(track.id)); // default-base-is-moof
  const tfdt = fullBox("tfdt", 1, 0, u64(samples[0]?.dts ?? 0));
  // Data offset, duration, size; and for video flags and composition offset.
  const flags = video ? 0x1 | 0x100 | 0x200 | 0x400 | 0x800 : 0x1 | 0x100 | 0x200;
  const rows = samples.map(({ data, duration, keyFrame, pts, dts }) =>
    video
      ? u32(duration, data.byteLength, keyFrame ? SYNC_FLAGS : NON_SYNC_FLAGS, pts - dts)
      : u32(duration, data.byteLength),
  );
  return box("traf", tfhd, tfdt, fullBox("trun", 1, flags, u32(samples.length, dataOffset), ...rows));
}
