import {
  AV_CHANNEL_ORDER_NATIVE,
  AV_PKT_DATA_SKIP_SAMPLES,
  AV_PKT_FLAG_DISCARD,
  AV_PKT_FLAG_KEY,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  type AVPacketFlag,
} from "node-av/constants";
import { Packet as AvPacket, CodecContext, Frame, Rational } from "node-av/lib";
import { MediaInvalidError } from "../core/error.ts";
import { type Micros, us } from "../core/time.ts";
import { SAMPLE_RATE } from "../media/frame.ts";
import type { Packet } from "../media/packet.ts";
import type { AudioStreamInfo } from "../media/stream-info.ts";
import { stampOf } from "./frame.ts";
import { decoderFor, reason } from "./libav.ts";
import { StereoConverter } from "./stereo-converter.ts";
import { bufferOf, parametersOf } from "./stream-info.ts";

/** A stretch of sound as it leaves the decoder. */
export interface DecodedSound {
  /** What the stream says of when `samples` begins; undefined where it says nothing (tail of a resampler). */
  readonly stampUs: Micros | undefined;
  /** 48 kHz interleaved stereo float; belongs to the caller. */
  readonly samples: Float32Array;
}

/** Errors in a row while taking sound out, after which the next packet has its turn. */
const MAX_REFUSED = 8;

/**
 * FFmpeg's decoder for one stream of sound, and the conversion to 48 kHz stereo float. True rate and channels are
 * those of the decoded frames (HE-AAC says half the rate, and mono, in its header) and may change at any frame.
 *
 * Samples to skip are taken out exactly. Continuous stamps are `decode/audio.ts`'s matter.
 */
export class NativeAudioDecoder implements Disposable {
  readonly #context: CodecContext;
  readonly #packet = new AvPacket();
  readonly #frame = new Frame();
  #converter: StereoConverter | undefined;
  #errors = 0;

  private constructor(context: CodecContext) {
    this.#context = context;
    this.#packet.alloc();
    this.#frame.alloc();
  }

  /**
   * Opens a decoder for `info`.
   *
   * @throws {MediaInvalidError} `ERR_MEDIA_INVALID` if the build has no such decoder or it refuses the parameters.
   */
  static open(info: AudioStreamInfo): NativeAudioDecoder {
    const codec = decoderFor(info.codec);
    if (codec === undefined) throw new MediaInvalidError(`no decoder for ${info.codec}`);
    using parameters = parametersOf(info, codec);
    const context = new CodecContext();
    context.allocContext3(codec);
    const filled = context.parametersToContext(parameters);
    context.threadCount = 1;
    context.pktTimebase = new Rational(1, 1_000_000);
    context.setOption("request_sample_fmt", "flt");
    if (info.codec === "opus" && info.channels === undefined) {
      context.sampleRate = SAMPLE_RATE;
      context.channelLayout = { nbChannels: 2, order: AV_CHANNEL_ORDER_NATIVE, mask: 3n };
    }
    const opened = filled < 0 ? filled : context.open2Sync(codec, null);
    if (opened >= 0) return new NativeAudioDecoder(context);
    context.freeContext();
    throw new MediaInvalidError(`the ${info.codec} decoder refuses the stream: ${reason(opened)}`);
  }

  /** Packets and frames refused so far. */
  get errors(): number {
    return this.#errors;
  }

  /** Feeds one packet and returns what became ready. Never throws on bad data; that is counted in {@link errors}. */
  decode(source: Packet): readonly DecodedSound[] {
    const packet = this.#packet;
    const { data, ptsUs, dtsUs, durationUs, discard, skipStart = 0, skipEnd = 0 } = source;
    packet.data = bufferOf(data);
    packet.pts = BigInt(ptsUs);
    packet.dts = BigInt(dtsUs);
    packet.duration = BigInt(durationUs);
    // A discarded packet still sets the decoder up for the next one: transform codecs overlap.
    packet.flags = (discard ? AV_PKT_FLAG_KEY | AV_PKT_FLAG_DISCARD : AV_PKT_FLAG_KEY) as AVPacketFlag;
    if (skipStart > 0 || skipEnd > 0) {
      const side = packet.newSideData(AV_PKT_DATA_SKIP_SAMPLES, 10);
      side.fill(0);
      side.writeUInt32LE(skipStart, 0);
      side.writeUInt32LE(skipEnd, 4);
    }
    const ready: DecodedSound[] = [];
    let sent = this.#context.sendPacketSync(packet);
    if (sent === AVERROR_EAGAIN) {
      this.#drain(ready);
      sent = this.#context.sendPacketSync(packet);
    }
    packet.unref();
    if (sent < 0) this.#errors += 1;
    this.#drain(ready);
    return ready;
  }

  /** Ends the stream and returns all that was held back; afterwards the decoder is ready for a new start. */
  flush(): readonly DecodedSound[] {
    const ready: DecodedSound[] = [];
    if (this.#context.sendPacketSync(null) >= 0) this.#drain(ready);
    this.#context.flushBuffers();
    this.#endConverter(ready);
    return ready;
  }

  /** Twice is harmless. */
  [Symbol.dispose](): void {
    this.#converter?.[Symbol.dispose]();
    this.#converter = undefined;
    this.#packet.free();
    this.#frame.free();
    this.#context.freeContext();
  }

  #drain(ready: DecodedSound[]): void {
    for (let refused = 0; refused < MAX_REFUSED; ) {
      const code = this.#context.receiveFrameSync(this.#frame);
      if (code === AVERROR_EAGAIN || code === AVERROR_EOF) return;
      if (code >= 0) {
        this.#convert(ready);
      } else {
        this.#errors += 1;
        refused += 1;
      }
    }
  }

  #convert(ready: DecodedSound[]): void {
    const frame = this.#frame;
    try {
      if (this.#converter?.fits(frame) === false) this.#endConverter(ready);
      this.#converter ??= new StereoConverter(frame);
      const stamp = stampOf(frame);
      const heldUs = this.#converter.heldUs;
      const samples = this.#converter.convert(frame);
      ready.push({ stampUs: stamp === undefined ? undefined : us(Number(stamp) - heldUs), samples });
    } catch {
      this.#errors += 1; // A format that is no sound.
    } finally {
      frame.unref();
    }
  }

  #endConverter(ready: DecodedSound[]): void {
    if (this.#converter === undefined) return;
    const samples = this.#converter.flush();
    this.#converter[Symbol.dispose]();
    this.#converter = undefined;
    if (samples.length > 0) ready.push({ stampUs: undefined, samples });
  }
}
