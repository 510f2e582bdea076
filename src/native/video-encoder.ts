import {
  AV_CODEC_FLAG_CLOSED_GOP,
  AV_CODEC_FLAG_GLOBAL_HEADER,
  AV_PICTURE_TYPE_I,
  AV_PICTURE_TYPE_NONE,
  AV_PIX_FMT_YUV420P,
  AVCOL_PRI_BT709,
  AVCOL_RANGE_MPEG,
  AVCOL_SPC_BT709,
  AVCOL_TRC_BT709,
  AVERROR_EAGAIN,
  AVERROR_EINVAL,
  AVERROR_EOF,
  Packet as AvPacket,
  Rational as AvRational,
  Codec,
  CodecContext,
} from "node-av";
import { DeviceError } from "../core/error.ts";
import { frameTime, type Rational } from "../core/rational.ts";
import { us } from "../core/time.ts";
import type { Packet } from "../media/packet.ts";
import type { VideoStreamInfo } from "../media/stream-info.ts";
import type { Picture } from "./picture.ts";

/** Everything that defines a video encode; two users that agree on it all may share one. */
export interface VideoEncoderSettings {
  /** FFmpeg's codec name, as in {@link VideoStreamInfo}. */
  readonly codec: string;
  /** FFmpeg's encoder name, e.g. `libx264`. */
  readonly encoder: string;
  readonly widthPx: number;
  readonly heightPx: number;
  readonly rate: Rational;
  readonly bitrateBps: number;
  /** VBV limits in bit/s and bits; absent: none. */
  readonly maxRateBps?: number;
  readonly bufferBits?: number;
  /** Frames from one IDR to the next. */
  readonly gopFrames: number;
  readonly bframes: number;
  readonly threads: number;
  /** The encoder's own options, e.g. preset and tune. */
  readonly options: Readonly<Record<string, string>>;
}

/**
 * One video encoder. Pictures go in by frame index, packets come out in decode order with exact stamps.
 *
 * Calls are serialized: the next may be made before the last has settled. Owns its native memory.
 */
export class VideoEncoder {
  readonly settings: VideoEncoderSettings;
  /** What decoders of this stream need; `extradata` holds the parameter sets, which are also in band. */
  readonly info: VideoStreamInfo;
  readonly #context: CodecContext;
  readonly #packet: AvPacket;
  #turn: Promise<unknown> = Promise.resolve();
  #isFirst = true;

  private constructor(settings: VideoEncoderSettings, context: CodecContext) {
    this.settings = settings;
    this.#context = context;
    this.#packet = new AvPacket();
    this.#packet.alloc();
    const extradata = context.extraData;
    this.info = {
      kind: "video",
      codec: settings.codec,
      widthPx: settings.widthPx,
      heightPx: settings.heightPx,
      frameRate: settings.rate,
      colorRange: AVCOL_RANGE_MPEG,
      colorSpace: AVCOL_SPC_BT709,
      colorPrimaries: AVCOL_PRI_BT709,
      colorTransfer: AVCOL_TRC_BT709,
      ...(extradata === null ? {} : { extradata: new Uint8Array(extradata) }),
    };
  }

  /** @throws {DeviceError} `ERR_DEVICE` if this build or machine has no such encoder or it refuses the settings. */
  static open(settings: VideoEncoderSettings): VideoEncoder {
    const codec = Codec.findEncoderByName(settings.encoder as Parameters<typeof Codec.findEncoderByName>[0]);
    if (codec === null) throw new DeviceError(`no encoder ${settings.encoder} in this build`);
    const context = new CodecContext();
    context.allocContext3(codec);
    configure(context, settings);
    // Not by a dictionary: open2Sync leaves one that it was given dangling, and the collector frees it again.
    const refused = Object.entries(settings.options).find(
      ([key, value]) => context.setOption(key, value) < 0,
    );
    const code = refused === undefined ? context.open2Sync(codec, null) : AVERROR_EINVAL;
    if (code < 0) {
      context.freeContext();
      throw new DeviceError(`${settings.encoder} refused ${JSON.stringify(settings)}: ${code}`);
    }
    return new VideoEncoder(settings, context);
  }

  /**
   * Encodes `picture` as frame `index`; disposes it. Indexes only rise.
   *
   * @param sync on the calling thread, for the virtual clock; otherwise on the pool.
   */
  encode(picture: Picture, index: number, options: { forceKey: boolean; sync: boolean }): Promise<Packet[]> {
    return this.#serialized(async () => {
      using owned = picture;
      owned.raw.pts = BigInt(index);
      owned.raw.pictType = options.forceKey ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
      const code = options.sync
        ? this.#context.sendFrameSync(owned.raw)
        : await this.#context.sendFrame(owned.raw);
      if (code < 0) throw new DeviceError(`${this.settings.encoder} failed with ${code}`);
      return this.#drain();
    });
  }

  /** The packets still inside; afterwards only {@link close} is allowed. */
  flush(): Promise<Packet[]> {
    return this.#serialized(async () => {
      await this.#context.sendFrame(null);
      return this.#drain();
    });
  }

  /** Waits for the call in progress, then frees everything. */
  close(): Promise<void> {
    return this.#serialized(async () => {
      this.#packet.free();
      this.#context.freeContext();
    });
  }

  #serialized<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  #drain(): Packet[] {
    const packets: Packet[] = [];
    for (;;) {
      const code = this.#context.receivePacketSync(this.#packet);
      if (code === AVERROR_EAGAIN || code === AVERROR_EOF) return packets;
      if (code < 0) throw new DeviceError(`${this.settings.encoder} failed with ${code}`);
      packets.push(this.#take());
    }
  }

  #take(): Packet {
    const { rate } = this.settings;
    const packet = this.#packet;
    const [pts, dts] = [Number(packet.pts), Number(packet.dts)];
    const taken: Packet = {
      kind: "video",
      data: new Uint8Array(packet.data ?? []),
      ptsUs: frameTime(pts, rate),
      dtsUs: frameTime(dts, rate),
      durationUs: us(frameTime(pts + 1, rate) - frameTime(pts, rate)),
      keyFrame: packet.isKeyframe,
      arrivalUs: frameTime(pts, rate),
      ...(this.#isFirst ? { info: this.info } : {}),
    };
    this.#isFirst = false;
    packet.unref();
    return taken;
  }
}

function configure(context: CodecContext, settings: VideoEncoderSettings): void {
  context.width = settings.widthPx;
  context.height = settings.heightPx;
  context.pixelFormat = AV_PIX_FMT_YUV420P;
  context.timeBase = new AvRational(settings.rate.den, settings.rate.num);
  context.framerate = new AvRational(settings.rate.num, settings.rate.den);
  context.sampleAspectRatio = new AvRational(1, 1);
  context.bitRate = BigInt(settings.bitrateBps);
  if (settings.maxRateBps !== undefined) context.rcMaxRate = BigInt(settings.maxRateBps);
  if (settings.bufferBits !== undefined) context.rcBufferSize = settings.bufferBits;
  context.gopSize = settings.gopFrames;
  context.maxBFrames = settings.bframes;
  context.threadCount = settings.threads;
  context.colorRange = AVCOL_RANGE_MPEG;
  context.colorSpace = AVCOL_SPC_BT709;
  context.colorPrimaries = AVCOL_PRI_BT709;
  context.colorTrc = AVCOL_TRC_BT709;
  context.setFlags(AV_CODEC_FLAG_CLOSED_GOP, AV_CODEC_FLAG_GLOBAL_HEADER);
}
