import { ascii, box, fullBox, join, u32, u64 } from "./recording-bytes.ts";
import type { Container, Ending, Patch, Written } from "./recording-container.ts";
import { moovBox, movieTimescale } from "./recording-mp4-moov.ts";
import { SampleTable } from "./recording-mp4-samples.ts";
import type { Sample, Track } from "./recording-track.ts";

const MEHD_BYTES = 20;
/** Size, type and 64-bit size of a box. */
const LARGE_HEADER_BYTES = 16;
/** ISO/IEC 14496-12 §8.6.4.3: depends on nothing, or is not a sync sample and depends on others. */
const SYNC_FLAGS = 0x0200_0000;
const NON_SYNC_FLAGS = 0x0101_0000;
/** 14 hours of 30 pictures and 47 blocks of sound a second: an index of 16 to 50 MB. Longer parts stay without. */
const MAX_INDEXED_SAMPLES = 4_000_000;

/**
 * MP4 that is fragmented while it is written, and plain once it is whole (ISO/IEC 14496-12).
 *
 * While it is written: a moov without samples, then one moof and mdat per fragment (§8.8). Such a file can be cut off
 * after any fragment, but a player has to scan all of it to know what is where. So at the end a second moov follows,
 * with tables of all samples, and padding in front of the first one becomes the header of an mdat that reaches from
 * there to the second: the fragments are still there, but nobody sees anything but media. A file that lost its writer is
 * the same without these two.
 *
 * `sidx` (§8.16.3) was no alternative: where fragments begin without a key frame, one that names each of them sends
 * FFmpeg 8, and with it Chromium, to pictures that cannot be decoded, and one that names key frames only makes it skip
 * fragments after a seek (both measured).
 */
export class Mp4 implements Container {
  readonly header: Uint8Array;
  readonly #tracks: readonly Track[];
  readonly #tables: readonly SampleTable[];
  readonly #mdatOffset: number;
  readonly #mehdOffset: number;
  #length: number;
  #sequence = 0;

  /**
   * @param tracks at least one.
   * @param preroll samples from before 0, of one track, that its decoder needs to be right from there on. They are heard
   *   of in the index at the end only: fragments cannot say that a sample is not to be heard.
   */
  constructor(tracks: readonly [Track, ...Track[]], preroll: readonly Sample[] = []) {
    this.#tracks = tracks;
    this.#tables = tracks.map(() => new SampleTable());
    const ftyp = box("ftyp", ascii("iso6"), u32(512), ascii("iso6isommp41"));
    const mvex = box("mvex", free(MEHD_BYTES), ...tracks.map(trex));
    const moov = moovBox(tracks, mvex);
    this.#mdatOffset = ftyp.length;
    this.#mehdOffset = ftyp.length + LARGE_HEADER_BYTES + moov.length - mvex.length + 8;
    const early = preroll.length === 0 ? [] : [box("free", ...preroll.map(({ data }) => data))];
    const [first] = preroll;
    const earlyOffset = ftyp.length + LARGE_HEADER_BYTES + moov.length + 8;
    if (first !== undefined) this.#tables[first.track.id - 1]?.add(preroll, earlyOffset);
    this.header = join(ftyp, free(LARGE_HEADER_BYTES), moov, ...early);
    this.#length = this.header.length;
  }

  fragment(samples: readonly Sample[]): Uint8Array {
    const runs = this.#tracks
      .map((track) => ({ track, samples: samples.filter((sample) => sample.track === track) }))
      .filter((run) => run.samples.length > 0);
    this.#sequence += 1;
    const bytes = fragmentBytes(this.#sequence, runs);
    this.#length += bytes.length;
    let at = this.#length - runs.reduce((sum, run) => sum + bytesOf(run), 0);
    for (const run of runs) {
      this.#tables[run.track.id - 1]?.add(run.samples, at);
      at += bytesOf(run);
    }
    return bytes;
  }

  finish(written: Written): readonly Patch[] {
    const ticks = Math.round((written.durationUs / 1e6) * movieTimescale(this.#tracks));
    return [{ offset: this.#mehdOffset, bytes: fullBox("mehd", 1, 0, u64(ticks)) }];
  }

  ending(written: Written): Ending | undefined {
    const samples = this.#tables.reduce((sum, table) => sum + table.size, 0);
    if (written.bytes !== this.#length || samples === 0 || samples > MAX_INDEXED_SAMPLES) return undefined;
    const present = this.#tracks.filter(({ id }) => (this.#tables[id - 1]?.size ?? 0) > 0);
    const tables = this.#tables.filter(({ size }) => size > 0);
    const header = join(u32(1), ascii("mdat"), u64(this.#length - this.#mdatOffset));
    return {
      tail: moovBox(present, new Uint8Array(), tables),
      patch: { offset: this.#mdatOffset, bytes: header },
    };
  }
}

/** Padding of exactly `size` bytes, 8 at least. */
const free = (size: number): Uint8Array => box("free", new Uint8Array(size - 8));

const trex = (track: Track): Uint8Array =>
  fullBox("trex", 0, 0, u32(track.id, 1, track.scale.stepTicks, 0, 0));

/** One track's samples in a fragment. */
interface Run {
  readonly track: Track;
  readonly samples: readonly Sample[];
}

const bytesOf = ({ samples }: Run): number =>
  samples.reduce((sum, sample) => sum + sample.data.byteLength, 0);

/** moof and mdat; samples lie track after track, up to the end. §8.8.4 to §8.8.8. */
function fragmentBytes(sequence: number, runs: readonly Run[]): Uint8Array {
  const moof = (dataStart: number): Uint8Array => {
    let offset = dataStart;
    const trafs = runs.map((run) => {
      const bytes = traf(run.track, run.samples, offset);
      offset += bytesOf(run);
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
