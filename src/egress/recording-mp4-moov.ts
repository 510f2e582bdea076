import { ascii, box, fullBox, join, u16, u32, u64 } from "./recording-bytes.ts";
import { sampleEntry } from "./recording-mp4-entry.ts";
import type { SampleTable } from "./recording-mp4-samples.ts";
import type { Track } from "./recording-track.ts";

const UNITY_MATRIX = u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x4000_0000);
/** ISO 639-2/T, packed: "und". §8.4.2. */
const UNDETERMINED = 0x55c4;

/**
 * A `moov`, ISO/IEC 14496-12 §8.2.1, with what follows `trak` boxes at its end.
 *
 * @param tables of the tracks, in their order; absent: all samples are in fragments.
 */
export function moovBox(
  tracks: readonly Track[],
  extra: Uint8Array,
  tables: readonly SampleTable[] = [],
): Uint8Array {
  const timescale = movieTimescale(tracks);
  const traks = tracks.map((track, index) => trak(track, timescale, tables[index]));
  const ends = tables.map((table, index) => movieTicks(table, tracks[index], timescale).end);
  return box("moov", mvhd(timescale, Math.max(0, ...ends), tracks.length), ...traks, extra);
}

/** Ticks per second of the movie: the finest of its tracks, so that one that begins later begins at its very sample. */
export const movieTimescale = (tracks: readonly Track[]): number =>
  Math.max(...tracks.map(({ scale }) => scale.timescale));

/** When a track begins and ends, in ticks of the movie. */
function movieTicks(table: SampleTable | undefined, track: Track | undefined, timescale: number) {
  if (table === undefined || track === undefined) return { start: 0, end: 0 };
  const scaled = (ticks: number): number => Math.round((ticks * timescale) / track.scale.timescale);
  return { start: scaled(table.startTicks), end: scaled(table.startTicks + table.durationTicks) };
}

/** §8.2.2. */
const mvhd = (timescale: number, duration: number, tracks: number): Uint8Array =>
  fullBox(
    "mvhd",
    1,
    0,
    u64(0),
    u64(0),
    u32(timescale),
    u64(duration),
    u32(0x10000),
    u16(0x100, 0),
    u32(0, 0),
    UNITY_MATRIX,
    new Uint8Array(24),
    u32(tracks + 1),
  );

function trak(track: Track, timescale: number, table: SampleTable | undefined): Uint8Array {
  const { info, scale } = track;
  const video = info.kind === "video";
  const at = movieTicks(table, track, timescale);
  const size = video ? [(info.widthPx ?? 0) * 0x10000, (info.heightPx ?? 0) * 0x10000] : [0, 0];
  const tkhd = fullBox(
    "tkhd",
    1,
    3, // enabled, in the presentation
    u64(0),
    u64(0),
    u32(track.id, 0),
    u64(at.end),
    u32(0, 0),
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
  const stsd = fullBox("stsd", 0, 0, u32(1), sampleEntry(track));
  const stbl = box("stbl", stsd, table === undefined ? noSamples() : table.boxes());
  const length = u64(table?.durationTicks ?? 0);
  const mdhd = fullBox("mdhd", 1, 0, u64(0), u64(0), u32(scale.timescale), length, u16(UNDETERMINED, 0));
  const mdia = box("mdia", mdhd, handler, box("minf", mediaHeader, dinf, stbl));
  return box("trak", tkhd, edits(at, table?.startTicks ?? 0), mdia);
}

/**
 * An edit list, §8.6.6, where media begins later than the movie: nothing at first, in ticks of the movie; or earlier, so
 * that a decoder is warm by then: what of it is not to be heard, in its own ticks.
 */
function edits(
  { start, end }: { readonly start: number; readonly end: number },
  startTicks: number,
): Uint8Array {
  if (start === 0 && startTicks === 0) return new Uint8Array();
  const edit = (duration: number, media: Uint8Array): Uint8Array => join(u64(duration), media, u16(1, 0));
  const list =
    startTicks < 0
      ? [edit(end, u64(-startTicks))]
      : [edit(start, new Uint8Array(8).fill(0xff)), edit(end - start, u64(0))];
  return box("edts", fullBox("elst", 1, 0, u32(list.length), ...list));
}

function noSamples(): Uint8Array {
  const empty = ["stts", "stsc", "stco"].map((type) => fullBox(type, 0, 0, u32(0)));
  return join(...empty, fullBox("stsz", 0, 0, u32(0, 0)));
}
