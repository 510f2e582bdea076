import {
  AV_DISPOSITION_ATTACHED_PIC,
  AV_DISPOSITION_DEFAULT,
  AV_PKT_DATA_MATROSKA_BLOCKADDITIONAL,
  AV_PKT_DATA_NEW_EXTRADATA,
  AV_PKT_DATA_SKIP_SAMPLES,
  AV_PKT_FLAG_DISCARD,
  AV_PKT_FLAG_KEY,
  AVDISCARD_ALL,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  AVERROR_INVALIDDATA,
  AVFMT_FLAG_GENPTS,
} from "node-av/constants";
import { Packet as AvPacket, FormatContext, type Stream } from "node-av/lib";
import { MediaInvalidError } from "../core/error.ts";
import { type Micros, us } from "../core/time.ts";
import type { Clock } from "../media/clock.ts";
import type { Packet } from "../media/packet.ts";
import type { AudioStreamInfo, StreamInfo, VideoStreamInfo } from "../media/stream-info.ts";
import { decoderFor, options, reason, type TimeBase, toMicros } from "./libav.ts";
import { streamInfoOf } from "./stream-info.ts";

/** What a demuxer opens, and what it may touch on the way. */
export interface DemuxerOptions {
  /** With its protocol, `file:` included, so that no path is mistaken for one. */
  readonly url: string;
  /** FFmpeg protocol names that may be opened, also by what a playlist names. */
  readonly protocols: readonly string[];
  /** FFmpeg format names that may be read. */
  readonly formats: readonly string[];
  /** Stamps arrivals. */
  readonly clock: Clock;
  /** More options of the protocol or format, by FFmpeg's names. */
  readonly extra?: Readonly<Record<string, string | number>>;
  /** Take the container's word for codec parameters where it is complete, instead of reading ahead for them. */
  readonly probeIfNeeded?: boolean;
}

/** An FFmpeg return code that ended an open or a read, with its words. */
export class DemuxError extends MediaInvalidError {
  /** FFmpeg's code: a negative errno, or one of its own. */
  readonly avCode: number;

  constructor(action: string, avCode: number) {
    super(`${action}: ${reason(avCode)}`);
    this.avCode = avCode;
  }
}

/** One stream that is read. */
interface Track {
  readonly kind: "video" | "audio";
  readonly base: TimeBase;
  info: StreamInfo;
  announced: boolean;
  lastDtsUs: Micros | undefined;
  lastDurationUs: Micros;
}

/** Read errors in a row that a damaged file may have before it counts as ended. */
const MAX_BAD_READS = 64;

/**
 * FFmpeg's demuxer for the best picture and the best sound of one input, packets in file order with the container's
 * own stamps in {@link Micros} (not unwrapped, not shifted; negative where an edit list or encoder delay says so).
 *
 * Cover art is no picture. Other streams are not read. Sync calls are for regular files only: they block.
 */
export class Demuxer implements AsyncDisposable {
  readonly video: VideoStreamInfo | undefined;
  readonly audio: AudioStreamInfo | undefined;
  /** Length of one turn of the stamps' counter in microseconds; Infinity if they never wrap. */
  readonly wrapUs: number;
  /** The container tells how long it is: a live one does not. */
  readonly hasDuration: boolean;
  /** What was opened only names where the media is (HLS). */
  readonly isPlaylist: boolean;
  readonly #context: FormatContext;
  readonly #clock: Clock;
  readonly #tracks = new Map<number, Track>();
  readonly #packet = new AvPacket();
  #reading: Promise<unknown> | undefined;
  #closed = false;
  #badReads = 0;
  #failure: DemuxError | undefined;

  private constructor(context: FormatContext, clock: Clock) {
    this.#context = context;
    this.#clock = clock;
    this.#packet.alloc();
    const streams = context.streams;
    const picture = best(streams, "video");
    const sound = best(streams, "audio");
    for (const stream of streams) {
      const info =
        stream === picture?.stream ? picture.info : stream === sound?.stream ? sound.info : undefined;
      if (info === undefined) stream.discard = AVDISCARD_ALL;
      else this.#tracks.set(stream.index, newTrack(info, stream));
    }
    // AVI has decode stamps alone. With B-frames FFmpeg finds a picture's own at the next one that others refer to;
    // without, it would find it one picture late, and the decode stamp is right.
    if (picture?.info.kind === "video" && (picture.info.reorderFrames ?? 0) > 0)
      context.setFlags(AVFMT_FLAG_GENPTS);
    this.video = picture?.info.kind === "video" ? picture.info : undefined;
    this.audio = sound?.info.kind === "audio" ? sound.info : undefined;
    this.hasDuration = context.duration > 0n;
    this.isPlaylist = context.iformat?.name === "hls";
    this.wrapUs = Math.min(...[picture, sound].map((chosen) => wrapOf(chosen?.stream)));
  }

  /**
   * Opens on the thread pool, where a slow disk or peer stops nobody.
   *
   * @throws {DemuxError} `ERR_MEDIA_INVALID` if it cannot be opened or holds neither picture nor sound.
   */
  static async open(wanted: DemuxerOptions): Promise<Demuxer> {
    const context = new FormatContext();
    using dictionary = dictionaryOf(wanted);
    const opened = await context.openInput(wanted.url, null, dictionary);
    if (opened < 0) throw new DemuxError("cannot be opened", opened);
    const probed = mayStart(context, wanted) ? 0 : await context.findStreamInfo(null);
    return Demuxer.#finish(context, probed, wanted);
  }

  /**
   * {@link open} on the calling thread, for regular files under the virtual clock.
   *
   * @throws {DemuxError} `ERR_MEDIA_INVALID` as {@link open}.
   */
  static openSync(wanted: DemuxerOptions): Demuxer {
    const context = new FormatContext();
    using dictionary = dictionaryOf(wanted);
    const opened = context.openInputSync(wanted.url, null, dictionary);
    if (opened < 0) throw new DemuxError("cannot be opened", opened);
    const probed = mayStart(context, wanted) ? 0 : context.findStreamInfoSync(null);
    return Demuxer.#finish(context, probed, wanted);
  }

  static #finish(context: FormatContext, probed: number, { clock }: DemuxerOptions): Demuxer {
    const demuxer = probed < 0 ? undefined : new Demuxer(context, clock);
    if (demuxer?.video !== undefined || demuxer?.audio !== undefined) return demuxer;
    context.closeInputSync();
    if (probed < 0) throw new DemuxError("cannot be read", probed);
    throw new MediaInvalidError("holds neither picture nor sound that can be decoded");
  }

  /** Why reading ended, where that was not the regular end. */
  get failure(): DemuxError | undefined {
    return this.#failure;
  }

  /** The next packet, or undefined at the end; damage is skipped, and ends the input when there is no end of it. */
  readSync(): Packet | undefined {
    while (!this.#closed) {
      const code = this.#context.readFrameSync(this.#packet);
      if (this.#isEnd(code)) return undefined;
      const packet = code < 0 ? undefined : this.#take();
      if (packet !== undefined) return packet;
    }
    return undefined;
  }

  /** {@link readSync} on the thread pool. One call at a time. */
  async read(): Promise<Packet | undefined> {
    while (!this.#closed) {
      const reading = this.#context.readFrame(this.#packet);
      this.#reading = reading;
      const code = await reading;
      this.#reading = undefined;
      if (this.#closed || this.#isEnd(code)) return undefined;
      const packet = code < 0 ? undefined : this.#take();
      if (packet !== undefined) return packet;
    }
    return undefined;
  }

  /** Ends a read in flight and frees everything. Idempotent, never rejects. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#context.interrupt();
    await this.#reading;
    this.#packet.free();
    this.#context.closeInputSync();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #isEnd(code: number): boolean {
    if (code >= 0) {
      this.#badReads = 0;
      return false;
    }
    if (code === AVERROR_INVALIDDATA || code === AVERROR_EAGAIN) {
      this.#badReads += 1;
      if (this.#badReads <= MAX_BAD_READS) return false;
    }
    if (code !== AVERROR_EOF) this.#failure = new DemuxError("cannot be read on", code);
    return true;
  }

  /** Turns the packet just read into ours; undefined if it is of a stream nobody wants or holds nothing. */
  #take(): Packet | undefined {
    const raw = this.#packet;
    const track = this.#tracks.get(raw.streamIndex);
    const data = raw.data;
    const packet =
      track === undefined || data === null ? undefined : this.#convert(raw, track, new Uint8Array(data));
    raw.unref();
    return packet;
  }

  #convert(raw: AvPacket, track: Track, data: Uint8Array): Packet {
    const { base, kind } = track;
    const durationUs = toMicros(raw.duration, base) ?? us(0);
    const guessedUs = track.lastDtsUs === undefined ? undefined : us(track.lastDtsUs + track.lastDurationUs);
    const [dts, pts] = [toMicros(raw.dts, base), toMicros(raw.pts, base)];
    const ptsUs = pts ?? dts ?? guessedUs ?? us(0);
    // Matroska has no decode stamps, so the first ones of a stream with B-frames are missing.
    const dtsUs = dts ?? (pts === undefined ? ptsUs : us(Math.min(pts, track.lastDtsUs ?? pts)));
    track.lastDtsUs = dtsUs;
    if (durationUs > 0) track.lastDurationUs = durationUs;
    const flags = raw.flags;
    const renewed = raw.getSideData(AV_PKT_DATA_NEW_EXTRADATA);
    if (renewed !== null) track.info = { ...track.info, extradata: new Uint8Array(renewed) };
    const announce = renewed !== null || !track.announced;
    track.announced = true;
    return {
      kind,
      data,
      ptsUs,
      dtsUs,
      durationUs,
      keyFrame: kind === "audio" || (flags & AV_PKT_FLAG_KEY) !== 0,
      arrivalUs: this.#clock.now(),
      ...(announce ? { info: track.info } : {}),
      ...((flags & AV_PKT_FLAG_DISCARD) === 0 ? {} : { discard: true }),
      ...(kind === "audio" ? skips(raw) : {}),
      ...(track.info.kind === "video" && track.info.alphaBeside === true ? alpha(raw) : {}),
    };
  }
}

function dictionaryOf({ protocols, formats, extra }: DemuxerOptions): ReturnType<typeof options> {
  return options({
    ...extra,
    protocol_whitelist: protocols.join(","),
    format_whitelist: formats.join(","),
  });
}

/** True if every stream already says all that its decoder needs. */
function mayStart(context: FormatContext, { probeIfNeeded }: DemuxerOptions): boolean {
  const streams = context.streams;
  return probeIfNeeded === true && streams.length > 0 && streams.every(isComplete);
}

function isComplete(stream: Stream): boolean {
  const info = streamInfoOf(stream);
  if (info === undefined) return true;
  if (info.kind === "audio") return info.sampleRate !== undefined && info.channels !== undefined;
  return info.extradata !== undefined || info.codec === "vp8" || info.codec === "vp9";
}

const newTrack = (info: StreamInfo, { timeBase }: Stream): Track => ({
  kind: info.kind,
  base: { num: timeBase.num, den: timeBase.den },
  info,
  announced: false,
  lastDtsUs: undefined,
  lastDurationUs: us(0),
});

/** AV_PKT_DATA_SKIP_SAMPLES: two little-endian uint32, samples off the start and off the end. */
function skips(raw: AvPacket): { readonly skipStart?: number; readonly skipEnd?: number } {
  const bytes = raw.getSideData(AV_PKT_DATA_SKIP_SAMPLES);
  if (bytes === null || bytes.byteLength < 8) return {};
  return { skipStart: bytes.readUInt32LE(0), skipEnd: bytes.readUInt32LE(4) };
}

/** AV_PKT_DATA_MATROSKA_BLOCKADDITIONAL: a big-endian uint64, 1 for alpha (WebM container guidelines), then its bytes. */
function alpha(raw: AvPacket): { readonly alpha?: Uint8Array } {
  const bytes = raw.getSideData(AV_PKT_DATA_MATROSKA_BLOCKADDITIONAL);
  if (bytes === null || bytes.byteLength <= 8 || bytes.readBigUInt64BE(0) !== 1n) return {};
  return { alpha: new Uint8Array(bytes.subarray(8)) };
}

interface Chosen {
  readonly stream: Stream;
  readonly info: StreamInfo;
}

/** The stream meant for everybody: the default one, else the largest picture or the sound with most channels. */
function best(streams: readonly Stream[], kind: StreamInfo["kind"]): Chosen | undefined {
  let found: { chosen: Chosen; rank: number } | undefined;
  for (const stream of streams) {
    if ((stream.disposition & AV_DISPOSITION_ATTACHED_PIC) !== 0) continue;
    const info = streamInfoOf(stream);
    if (info?.kind !== kind || decoderFor(info.codec) === undefined) continue;
    const size = info.kind === "video" ? (info.widthPx ?? 0) * (info.heightPx ?? 0) : (info.channels ?? 0);
    const rank = ((stream.disposition & AV_DISPOSITION_DEFAULT) === 0 ? 0 : 1e12) + size;
    if (found === undefined || rank > found.rank) found = { chosen: { stream, info }, rank };
  }
  return found?.chosen;
}

function wrapOf(stream: Stream | undefined): number {
  if (stream === undefined || stream.ptsWrapBits >= 63) return Number.POSITIVE_INFINITY;
  const { num, den } = stream.timeBase;
  return (2 ** stream.ptsWrapBits * num * 1e6) / den;
}
