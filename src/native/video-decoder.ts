import {
  AV_CODEC_FLAG_UNALIGNED,
  AV_FRAME_DATA_DISPLAYMATRIX,
  AV_FRAME_FLAG_CORRUPT,
  AV_FRAME_FLAG_DISCARD,
  AV_FRAME_FLAG_INTERLACED,
  AV_PKT_DATA_MATROSKA_BLOCKADDITIONAL,
  AV_PKT_FLAG_DISCARD,
  AV_PKT_FLAG_KEY,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  type AVPacketFlag,
} from "node-av/constants";
import { Packet as AvPacket, CodecContext, Frame, Rational } from "node-av/lib";
import { MediaInvalidError } from "../core/error.ts";
import { type Micros, us } from "../core/time.ts";
import type { Packet } from "../media/packet.ts";
import type { Orientation, Overscan, VideoStreamInfo } from "../media/stream-info.ts";
import { NativeFrame, orientationOf, stampOf } from "./frame.ts";
import { alphaDecoderFor, decoderFor, reason } from "./libav.ts";
import { isHdr, type MatrixKind, matrixKind } from "./matrix.ts";
import { hasAlpha } from "./picture-filter.ts";
import { bufferOf, parametersOf } from "./stream-info.ts";

/** How a decoder is set up. */
export interface VideoDecoderOptions {
  /** Decoder threads; with more than one, frames come out later by as many. */
  readonly threads?: number;
  /** Larger pictures are refused: a stream of a few bytes can announce any size. */
  readonly maxPixels?: number;
}

/** 8192 x 4320. */
const MAX_PIXELS = 35_389_440;
/** Packets whose arrival is remembered until their frame comes out; no codec reorders that far. */
const MAX_PENDING = 128;
/** Errors in a row while taking pictures out, after which the next packet has its turn. */
const MAX_REFUSED = 8;

/** Says in FFmpeg's form of a Matroska BlockAddition that it is alpha. */
const ALPHA_ID = Buffer.from([0, 0, 0, 0, 0, 0, 0, 1]);

/** What is wrong with a decoded picture, or special about it; plain booleans so that policy needs no FFmpeg. */
export interface DecodedPicture {
  readonly frame: NativeFrame;
  /** Parts are missing or concealed. */
  readonly damaged: boolean;
  /** Outside the edit list: not to be shown. */
  readonly discard: boolean;
  readonly interlaced: boolean;
  /** Transfer is PQ or HLG. */
  readonly hdr: boolean;
  readonly alpha: boolean;
  readonly matrix: MatrixKind;
  /** To be cut off; undefined if nothing is, or if nothing would be left. */
  readonly overscan: Overscan | undefined;
}

/**
 * FFmpeg's software decoder for one stream: packets in, pictures out, in presentation order. Policy (where to start,
 * what to show, deinterlacing) lives in `decode/video.ts`.
 *
 * Sync calls cost 3 us beside the decoding itself; async ones run on the thread pool. Do not mix calls in flight.
 */
export class NativeVideoDecoder implements Disposable {
  readonly #context: CodecContext;
  readonly #packet = new AvPacket();
  readonly #arrivals = new Map<number, Micros>();
  readonly #orientation: Orientation | undefined;
  readonly #overscan: Overscan | undefined;
  #spare: Frame | undefined;
  #newestArrivalUs: Micros = us(0);
  #lastUs: Micros | undefined;
  #errors = 0;

  private constructor(context: CodecContext, info: VideoStreamInfo) {
    this.#context = context;
    this.#packet.alloc();
    this.#orientation = info.orientation;
    this.#overscan = info.overscan;
  }

  /**
   * Opens a decoder for `info`.
   *
   * @throws {MediaInvalidError} `ERR_MEDIA_INVALID` if the build has no such decoder or it refuses the parameters.
   */
  static open(info: VideoStreamInfo, options: VideoDecoderOptions = {}): NativeVideoDecoder {
    const beside = info.alphaBeside === true ? alphaDecoderFor(info.codec) : undefined;
    const codec = beside ?? decoderFor(info.codec);
    if (codec === undefined) throw new MediaInvalidError(`no decoder for ${info.codec}`);
    using parameters = parametersOf(info, codec);
    const context = new CodecContext();
    context.allocContext3(codec);
    const filled = context.parametersToContext(parameters);
    context.threadCount = options.threads ?? 1;
    context.pktTimebase = new Rational(1, 1_000_000);
    // Not AV_CODEC_FLAG_LOW_DELAY: with one thread it gains nothing, and B-frames come out in the wrong order.
    // Without it, FFmpeg shows what a stream crops at the left where rows would begin at odd addresses.
    context.setFlags(AV_CODEC_FLAG_UNALIGNED);
    context.setOption("max_pixels", options.maxPixels ?? MAX_PIXELS);
    const opened = filled < 0 ? filled : context.open2Sync(codec, null);
    if (opened >= 0) return new NativeVideoDecoder(context, info);
    context.freeContext();
    throw new MediaInvalidError(`the ${info.codec} decoder refuses the stream: ${reason(opened)}`);
  }

  /** Packets and pictures FFmpeg refused so far. */
  get errors(): number {
    return this.#errors;
  }

  /** Feeds one packet and returns what became ready. Never throws on bad data; that is counted in {@link errors}. */
  decode(packet: Packet): readonly DecodedPicture[] {
    this.#fill(packet);
    const ready: DecodedPicture[] = [];
    let sent = this.#context.sendPacketSync(this.#packet);
    while (sent === AVERROR_EAGAIN) {
      // The decoder is full: take pictures out, then it takes the packet.
      const before = ready.length;
      this.#drain(ready);
      if (ready.length === before) break;
      sent = this.#context.sendPacketSync(this.#packet);
    }
    this.#packet.unref();
    if (sent < 0) this.#errors += 1;
    this.#drain(ready);
    return ready;
  }

  /**
   * {@link decode} on the thread pool; one call at a time. FFmpeg decodes while it takes the packet, so what is ready
   * afterwards is only handed over, which is not worth another trip to the pool.
   */
  async decodeAsync(packet: Packet): Promise<readonly DecodedPicture[]> {
    this.#fill(packet);
    const ready: DecodedPicture[] = [];
    let sent = await this.#context.sendPacket(this.#packet);
    if (sent === AVERROR_EAGAIN) {
      this.#drain(ready);
      sent = await this.#context.sendPacket(this.#packet);
    }
    this.#packet.unref();
    if (sent < 0) this.#errors += 1;
    this.#drain(ready);
    return ready;
  }

  /** Ends the stream and returns what was held back; afterwards the decoder is ready for a new start. */
  flush(): readonly DecodedPicture[] {
    const ready: DecodedPicture[] = [];
    if (this.#context.sendPacketSync(null) >= 0) this.#drain(ready);
    this.reset();
    return ready;
  }

  /** Forgets everything fed so far, for a jump to another place in the stream. */
  reset(): void {
    this.#context.flushBuffers();
    this.#arrivals.clear();
    this.#lastUs = undefined;
  }

  /** Twice is harmless. */
  [Symbol.dispose](): void {
    this.#spare?.free();
    this.#spare = undefined;
    this.#packet.free();
    this.#context.freeContext();
  }

  #fill({ data, alpha, ptsUs, dtsUs, durationUs, arrivalUs, keyFrame, discard }: Packet): void {
    const packet = this.#packet;
    packet.data = bufferOf(data);
    if (alpha !== undefined)
      packet.addSideData(AV_PKT_DATA_MATROSKA_BLOCKADDITIONAL, Buffer.concat([ALPHA_ID, alpha]));
    packet.pts = BigInt(ptsUs);
    packet.dts = BigInt(dtsUs);
    packet.duration = BigInt(durationUs);
    packet.flags = ((keyFrame ? AV_PKT_FLAG_KEY : 0) | (discard ? AV_PKT_FLAG_DISCARD : 0)) as AVPacketFlag;
    if (this.#arrivals.size >= MAX_PENDING) this.#arrivals.clear();
    this.#arrivals.set(ptsUs, arrivalUs);
    this.#newestArrivalUs = arrivalUs;
  }

  #drain(ready: DecodedPicture[]): void {
    for (let refused = 0; refused < MAX_REFUSED; ) {
      const frame = this.#take();
      const code = this.#context.receiveFrameSync(frame);
      if (code >= 0) ready.push(this.#picture(frame));
      else if (this.#isEmpty(code, frame)) return;
      else refused += 1;
    }
  }

  /** A frame to receive into: the one that stayed empty last time, or a new one. */
  #take(): Frame {
    const frame = this.#spare ?? new Frame();
    if (this.#spare === undefined) frame.alloc();
    this.#spare = undefined;
    return frame;
  }

  #isEmpty(code: number, unused: Frame): boolean {
    this.#spare = unused;
    if (code === AVERROR_EAGAIN || code === AVERROR_EOF) return true;
    this.#errors += 1;
    return false;
  }

  #picture(raw: Frame): DecodedPicture {
    const ptsUs = us(Number(stampOf(raw) ?? BigInt(this.#lastUs ?? 0)));
    this.#lastUs = ptsUs;
    const arrivalUs = this.#arrivals.get(ptsUs) ?? this.#newestArrivalUs;
    this.#arrivals.delete(ptsUs);
    const matrix = raw.getSideData(AV_FRAME_DATA_DISPLAYMATRIX);
    const orientation = matrix === null ? this.#orientation : orientationOf(matrix);
    const timing = { ptsUs, durationUs: us(Number(raw.duration)), arrivalUs };
    const { flags } = raw;
    return {
      frame: new NativeFrame(raw, orientation === undefined ? timing : { ...timing, orientation }),
      damaged: raw.decodeErrorFlags !== 0 || (flags & AV_FRAME_FLAG_CORRUPT) !== 0,
      discard: (flags & AV_FRAME_FLAG_DISCARD) !== 0,
      interlaced: (flags & AV_FRAME_FLAG_INTERLACED) !== 0,
      hdr: isHdr(raw),
      alpha: hasAlpha(raw.format),
      matrix: matrixKind(raw),
      overscan: leavesSomething(this.#overscan, raw) ? this.#overscan : undefined,
    };
  }
}

function leavesSomething(overscan: Overscan | undefined, { width, height }: Frame): boolean {
  if (overscan === undefined) return false;
  const { topPx, bottomPx, leftPx, rightPx } = overscan;
  return topPx + bottomPx < height && leftPx + rightPx < width && topPx + bottomPx + leftPx + rightPx > 0;
}
