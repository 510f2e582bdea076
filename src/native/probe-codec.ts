import {
  AV_OPT_SEARCH_CHILDREN,
  AV_OPT_TYPE_STRING,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  avChannelLayoutDefault,
  avGetPixFmtFromName,
  Codec,
  CodecContext,
  Frame,
  type HardwareDeviceContext,
  Packet,
  Rational,
} from "node-av";
import { DeviceError } from "../core/error.ts";
import { reason, succeed } from "./libav.ts";
import { PROBE_HEIGHT, PROBE_WIDTH } from "./probe-picture.ts";
import { AbsentError } from "./probe-reason.ts";
import type { Decoder, Profile } from "./profile.ts";

/** Rate in Hz and number of channels. */
export interface SoundShape {
  readonly sampleRate: number;
  readonly channels: 1 | 2;
}

/** A short encoded clip: its packets in decode order and what decoders need besides. Owns the packets. */
export class Stream implements Disposable {
  readonly packets: Packet[];
  readonly extraData: Buffer | null;
  /** What a decoder cannot find in the packets themselves, for sound. */
  readonly sound: SoundShape | undefined;

  constructor(packets: Packet[], extraData: Buffer | null, sound?: SoundShape) {
    this.packets = packets;
    this.extraData = extraData;
    this.sound = sound;
  }

  [Symbol.dispose](): void {
    for (const packet of this.packets) packet.free();
  }
}

/** One codec context that is fed and drained synchronously. Owns its context. */
class Pump<In, Out extends { alloc(): void; free(): void }> {
  readonly #what: string;
  readonly #send: (item: In | null) => number;
  readonly #receive: (item: Out) => number;
  readonly #create: () => Out;

  constructor(
    what: string,
    send: (item: In | null) => number,
    receive: (item: Out) => number,
    create: () => Out,
  ) {
    this.#what = what;
    this.#send = send;
    this.#receive = receive;
    this.#create = create;
  }

  /** Sends one item, or the end, and gives all that is ready; the caller owns it. */
  push(item: In | null): Out[] {
    const out: Out[] = [];
    for (;;) {
      const code = this.#send(item);
      this.#drain(out);
      if (code !== AVERROR_EAGAIN) {
        if (code !== AVERROR_EOF) succeed(code, this.#what);
        return out;
      }
    }
  }

  #drain(out: Out[]): void {
    for (;;) {
      const item = this.#create();
      item.alloc();
      const code = this.#receive(item);
      if (code >= 0) {
        out.push(item);
        continue;
      }
      item.free();
      if (code === AVERROR_EAGAIN || code === AVERROR_EOF) return;
      throw new DeviceError(`${this.#what}: ${reason(code)}`);
    }
  }
}

/** An encoder opened for the probe's pictures; owns its context. */
export class ProbeEncoder implements Disposable {
  readonly #context = new CodecContext();
  readonly #pump: Pump<Frame, Packet>;

  /**
   * @param sample a frame like those to come; device encoders take their pool from it.
   * @throws {DeviceError} `ERR_DEVICE` if this build has no such encoder or it cannot be opened here.
   */
  constructor(name: string, options: Record<string, string>, sample: Frame, device?: HardwareDeviceContext) {
    const codec = findEncoder(name);
    const context = this.#context;
    context.allocContext3(codec);
    try {
      if (sample.isVideo()) setPicture(context, sample);
      else setSound(context, sample);
      if (sample.hwFramesCtx !== null) context.hwFramesCtx = sample.hwFramesCtx;
      if (device !== undefined) context.hwDeviceCtx = device;
      setOptions(context, name, options);
      succeed(context.open2Sync(codec, null), `open ${name}`);
    } catch (error) {
      context.freeContext();
      throw error;
    }
    this.#pump = new Pump(
      `encode with ${name}`,
      (frame) => context.sendFrameSync(frame),
      (packet) => context.receivePacketSync(packet),
      () => new Packet(),
    );
  }

  /** Samples per frame that it wants, 0 if any number will do. */
  get frameSize(): number {
    return this.#context.frameSize;
  }

  get extraData(): Buffer | null {
    const data = this.#context.extraData;
    return data === null ? null : Buffer.from(data);
  }

  /** The caller owns the packets. `null` is the end. */
  push(frame: Frame | null): Packet[] {
    return this.#pump.push(frame);
  }

  [Symbol.dispose](): void {
    this.#context.freeContext();
  }
}

/** A decoder opened for the probe's streams, on one thread, as tiles are decoded in a mix; owns its context. */
export class ProbeDecoder implements Disposable {
  readonly #context = new CodecContext();
  readonly #pump: Pump<Packet, Frame>;

  /**
   * @param device absent for the CPU; otherwise `profile` says which format its pictures must have.
   * @throws {DeviceError} `ERR_DEVICE` if this build has no such decoder or it cannot be opened here.
   */
  constructor(
    { decoder, options }: Decoder,
    stream: Stream,
    on?: { readonly profile: Profile; readonly device: HardwareDeviceContext | undefined },
  ) {
    const codec = findDecoder(decoder);
    const context = this.#context;
    context.allocContext3(codec);
    try {
      context.threadCount = 1;
      context.extraData = stream.extraData;
      context.pktTimebase = new Rational(1, 30);
      if (stream.sound !== undefined) {
        context.sampleRate = stream.sound.sampleRate;
        context.channelLayout = avChannelLayoutDefault(stream.sound.channels);
      }
      if (on?.device !== undefined) {
        context.hwDeviceCtx = on.device;
        context.setHardwarePixelFormat(avGetPixFmtFromName(on.profile.frameFormat));
      }
      setOptions(context, decoder, options);
      succeed(context.open2Sync(codec, null), `open ${decoder}`);
    } catch (error) {
      context.freeContext();
      throw error;
    }
    this.#pump = new Pump(
      `decode with ${decoder}`,
      (packet) => context.sendPacketSync(packet),
      (frame) => context.receiveFrameSync(frame),
      () => new Frame(),
    );
  }

  /** The caller owns the frames. `null` is the end. */
  push(packet: Packet | null): Frame[] {
    return this.#pump.push(packet);
  }

  [Symbol.dispose](): void {
    this.#context.freeContext();
  }
}

/** One by one: node-av 6.1.1 frees a dictionary twice that was handed to `open2`. */
function setOptions(context: CodecContext, name: string, options: Readonly<Record<string, string>>): void {
  for (const [option, value] of Object.entries(options)) {
    const code = context.setOption(option, value, AV_OPT_TYPE_STRING, AV_OPT_SEARCH_CHILDREN);
    succeed(code, `option ${option}=${value} of ${name}`);
  }
}

function setPicture(context: CodecContext, sample: Frame): void {
  context.width = PROBE_WIDTH;
  context.height = PROBE_HEIGHT;
  context.pixelFormat = sample.format as typeof context.pixelFormat;
  context.timeBase = new Rational(1, 30);
  context.framerate = new Rational(30, 1);
  context.gopSize = 60;
  context.maxBFrames = 0;
  context.colorRange = sample.colorRange;
  context.colorSpace = sample.colorSpace;
  context.colorPrimaries = sample.colorPrimaries;
  context.colorTrc = sample.colorTrc;
}

function setSound(context: CodecContext, sample: Frame): void {
  context.sampleRate = sample.sampleRate;
  context.sampleFormat = sample.format as typeof context.sampleFormat;
  context.channelLayout = sample.channelLayout;
  context.timeBase = new Rational(1, sample.sampleRate);
  context.bitRate = 128_000n;
}

/** @throws {AbsentError} `not-built` if this FFmpeg has no such encoder. */
export function findEncoder(name: string): Codec {
  const codec = Codec.findEncoderByName(name as Parameters<typeof Codec.findEncoderByName>[0]);
  if (codec === null) throw new AbsentError("not-built", `no encoder ${name} in this FFmpeg`);
  return codec;
}

/** @throws {AbsentError} `not-built` if this FFmpeg has no such decoder. */
export function findDecoder(name: string): Codec {
  const codec = Codec.findDecoderByName(name as Parameters<typeof Codec.findDecoderByName>[0]);
  if (codec === null) throw new AbsentError("not-built", `no decoder ${name} in this FFmpeg`);
  return codec;
}
