import type { Micros } from "../core/time.ts";
import type { VideoFrame } from "../media/frame.ts";
import type { Packet } from "../media/packet.ts";
import type { VideoStreamInfo } from "../media/stream-info.ts";
import { type DecodedPicture, NativeVideoDecoder } from "../native/video-decoder.ts";
import { PictureTreatment, type TreatmentCounts } from "./picture-treatment.ts";

/** How video is decoded. */
export interface VideoDecoderOptions {
  /** 1 unless one stream must go faster than one core can. */
  readonly threads?: number;
  readonly maxPixels?: number;
  /** Pictures out of interlaced ones: `frame` (default), one for each; `field`, two, at twice the rate. */
  readonly deinterlace?: "frame" | "field";
}

/** Counts since a decoder was opened; they never go back. */
export interface VideoDecoderStats extends TreatmentCounts {
  /** Pictures handed out. */
  readonly decoded: number;
  /** Packets or pictures FFmpeg refused. */
  readonly errors: number;
  /** Packets before the first key frame, which nothing can decode. */
  readonly waitedForKey: number;
  /** Pictures withheld: damaged or unanchored before the first good one, or outside the edit list. */
  readonly withheld: number;
  /** Pictures shown although parts of them are concealed. */
  readonly concealed: number;
  /** Times the decoder was opened anew because the stream's parameters changed. */
  readonly reopened: number;
}

/** A stream without key frames (intra refresh) is fed anyway after so many packets; FFmpeg shows it once it is whole. */
const MAX_WAIT_PACKETS = 300;

/**
 * Decodes one video stream. Pictures come out in presentation order, each as soon as the codec allows.
 *
 * It starts at a key frame and shows nothing that refers to what came before; bad data is a counter, never an
 * exception. A packet with a new `info` opens the decoder anew; changes of size and format inside the stream need
 * nothing. Frames belong to the caller. Not for two calls at once.
 */
export class VideoDecoder implements Disposable {
  readonly #options: VideoDecoderOptions;
  readonly #treatment: PictureTreatment;
  #info: VideoStreamInfo;
  #native: NativeVideoDecoder | undefined;
  /** Stamp of the key frame decoding began at; what is presented before it lacks its references. */
  #startUs: Micros | undefined;
  #clean = false;
  #closed = false;
  #waited = 0;
  #earlierErrors = 0;
  readonly #count = { decoded: 0, waitedForKey: 0, withheld: 0, concealed: 0, reopened: 0 };

  private constructor(info: VideoStreamInfo, native: NativeVideoDecoder, options: VideoDecoderOptions) {
    this.#info = info;
    this.#native = native;
    this.#options = options;
    this.#treatment = new PictureTreatment(options.deinterlace ?? "frame");
  }

  /** @throws {MediaInvalidError} `ERR_MEDIA_INVALID` if nothing here decodes `info`. */
  static open(info: VideoStreamInfo, options: VideoDecoderOptions = {}): VideoDecoder {
    return new VideoDecoder(info, NativeVideoDecoder.open(info, options), options);
  }

  /** What the decoder is open for; changes with the packets. */
  get info(): VideoStreamInfo {
    return this.#info;
  }

  get stats(): VideoDecoderStats {
    return {
      ...this.#count,
      ...this.#treatment.counts,
      errors: this.#earlierErrors + (this.#native?.errors ?? 0),
    };
  }

  /** Decodes on the calling thread. */
  decode(packet: Packet): readonly VideoFrame[] {
    const held = this.#adopt(packet);
    if (this.#native === undefined || !this.#mayStart(packet)) return held;
    return [...held, ...this.#select(this.#native.decode(packet))];
  }

  /** Decodes and treats on the thread pool; the caller waits for one call before the next. */
  async decodeAsync(packet: Packet): Promise<readonly VideoFrame[]> {
    const held = this.#adopt(packet);
    if (this.#native === undefined || !this.#mayStart(packet)) return held;
    const shown: VideoFrame[] = [...held];
    for (const picture of this.#worthy(await this.#native.decodeAsync(packet)))
      shown.push(...(await this.#treatment.applyAsync(picture)));
    this.#count.decoded += shown.length - held.length;
    return shown;
  }

  /** The stream ended or jumps: returns what was held back. The next packet decoded must be a key frame. */
  flush(): readonly VideoFrame[] {
    const rest = this.#native === undefined ? [] : this.#select(this.#native.flush());
    const treated = this.#treatment.flush();
    this.#count.decoded += treated.length;
    this.#restart();
    return [...rest, ...treated];
  }

  /** Frees the decoder, and loses what it held back. Twice is harmless; afterwards packets decode to nothing. */
  close(): void {
    this.#closed = true;
    this.#treatment[Symbol.dispose]();
    this.#closeNative();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Follows a packet's news about its stream; returns the last pictures of what was before. */
  #adopt({ info, kind }: Packet): readonly VideoFrame[] {
    if (this.#closed || info?.kind !== "video" || kind !== "video") return [];
    if (this.#native !== undefined && sameDecoder(info, this.#info)) return [];
    const rest = this.flush();
    this.#closeNative();
    this.#info = info;
    this.#count.reopened += 1;
    try {
      this.#native = NativeVideoDecoder.open(info, this.#options);
    } catch {
      this.#earlierErrors += 1;
    }
    return rest;
  }

  #mayStart({ kind, keyFrame, ptsUs }: Packet): boolean {
    if (kind !== "video") return false;
    if (this.#startUs !== undefined) return true;
    if (!keyFrame && this.#waited < MAX_WAIT_PACKETS) {
      this.#waited += 1;
      this.#count.waitedForKey += 1;
      return false;
    }
    this.#startUs = ptsUs;
    return true;
  }

  #select(pictures: readonly DecodedPicture[]): readonly VideoFrame[] {
    const shown = this.#worthy(pictures).flatMap((picture) => this.#treatment.apply(picture));
    this.#count.decoded += shown.length;
    return shown;
  }

  /** Those that may be shown; the others are disposed of. */
  #worthy(pictures: readonly DecodedPicture[]): readonly DecodedPicture[] {
    return pictures.filter((picture) => {
      const { frame, damaged, discard } = picture;
      const early = !this.#clean && (damaged || frame.ptsUs < (this.#startUs ?? frame.ptsUs));
      if (discard || early) {
        frame[Symbol.dispose]();
        this.#count.withheld += 1;
        return false;
      }
      this.#clean = true;
      if (damaged) this.#count.concealed += 1;
      return true;
    });
  }

  #restart(): void {
    this.#startUs = undefined;
    this.#clean = false;
    this.#waited = 0;
  }

  #closeNative(): void {
    this.#earlierErrors += this.#native?.errors ?? 0;
    this.#native?.[Symbol.dispose]();
    this.#native = undefined;
  }
}

/** True if a decoder opened for `b` decodes `a` just as well. */
function sameDecoder(a: VideoStreamInfo, b: VideoStreamInfo): boolean {
  const sameCodec = a.codec === b.codec && a.codecTag === b.codecTag && a.alphaBeside === b.alphaBeside;
  return sameCodec && sameBytes(a.extradata, b.extradata);
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.byteLength === b.byteLength && Buffer.compare(a, b) === 0;
}
