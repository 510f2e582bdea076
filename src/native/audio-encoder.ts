import {
  AV_CHANNEL_LAYOUT_MONO,
  AV_CHANNEL_LAYOUT_STEREO,
  AV_CODEC_FLAG_GLOBAL_HEADER,
  AV_SAMPLE_FMT_FLT,
  AV_SAMPLE_FMT_FLTP,
  AVERROR_EAGAIN,
  AVERROR_EINVAL,
  AVERROR_EOF,
  Packet as AvPacket,
  Rational as AvRational,
  Codec,
  CodecContext,
  Frame,
} from "node-av";
import { DeviceError } from "../core/error.ts";
import { us } from "../core/time.ts";
import { CHANNELS, SAMPLE_RATE } from "../media/frame.ts";
import type { Packet } from "../media/packet.ts";
import type { AudioStreamInfo } from "../media/stream-info.ts";

/** What an encoder must have heard to go on in another's place: coded frames overlap, and AAC is one behind. */
const HISTORY_FRAMES = 2;

/** Everything that defines an audio encode. */
export interface AudioEncoderSettings {
  /** FFmpeg's codec name. */
  readonly codec: string;
  /** FFmpeg's encoder name, `aac` or `libopus`. */
  readonly encoder: string;
  readonly channels: 1 | 2;
  readonly bitrateBps: number;
  readonly options: Readonly<Record<string, string>>;
}

/**
 * One audio encoder at 48 kHz. Sound goes in as interleaved stereo in pieces of any length and is counted in
 * samples; packets come out with the stamps at which a decoder gives their first sample, so encoder delay lies
 * before the first piece: the first stamps of AAC are negative by `info.initialPadding` samples.
 *
 * Synchronous: an encode costs 0.2 ms. Owns its native memory.
 */
export class AudioEncoder {
  readonly settings: AudioEncoderSettings;
  readonly info: AudioStreamInfo & { readonly sampleRate: number; readonly channels: number };
  readonly #context: CodecContext;
  readonly #packet = new AvPacket();
  readonly #frame = new Frame();
  readonly #frameSamples: number;
  readonly #padding: number;
  /** Stereo samples not yet encoded, and how many there are. */
  readonly #held: Float32Array;
  #heldSamples = 0;
  /** The newest frames encoded, the newest last, and how many there are. */
  readonly #history: Float32Array;
  #historyFrames = 0;
  #position: number;
  #isFirst = true;

  private constructor(settings: AudioEncoderSettings, context: CodecContext, startSample: number) {
    this.settings = settings;
    this.#context = context;
    this.#position = startSample;
    this.#packet.alloc();
    this.#frame.alloc();
    this.#frameSamples = context.frameSize > 0 ? context.frameSize : 960;
    this.#held = new Float32Array(this.#frameSamples * CHANNELS);
    this.#history = new Float32Array(HISTORY_FRAMES * this.#held.length);
    const extradata = context.extraData;
    this.#padding = settings.codec === "aac" ? 1024 : settings.codec === "opus" ? opusPreSkip(extradata) : 0;
    this.info = {
      kind: "audio",
      codec: settings.codec,
      sampleRate: SAMPLE_RATE,
      channels: settings.channels,
      frameSize: this.#frameSamples,
      initialPadding: this.#padding,
      ...(extradata === null ? {} : { extradata: new Uint8Array(extradata) }),
    };
  }

  /**
   * @param startSample position on the mix clock of the first sample that will be pushed.
   * @throws {DeviceError} `ERR_DEVICE` if this build has no such encoder or it refuses the settings.
   */
  static open(settings: AudioEncoderSettings, startSample: number): AudioEncoder {
    const codec = Codec.findEncoderByName(settings.encoder as Parameters<typeof Codec.findEncoderByName>[0]);
    if (codec === null) throw new DeviceError(`no encoder ${settings.encoder} in this build`);
    const context = new CodecContext();
    context.allocContext3(codec);
    context.sampleRate = SAMPLE_RATE;
    context.sampleFormat = settings.encoder === "libopus" ? AV_SAMPLE_FMT_FLT : AV_SAMPLE_FMT_FLTP;
    context.channelLayout = settings.channels === 1 ? AV_CHANNEL_LAYOUT_MONO : AV_CHANNEL_LAYOUT_STEREO;
    context.timeBase = new AvRational(1, SAMPLE_RATE);
    context.bitRate = BigInt(settings.bitrateBps);
    context.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER);
    // Not by a dictionary: open2Sync leaves one that it was given dangling, and the collector frees it again.
    const refused = Object.entries(settings.options).find(
      ([key, value]) => context.setOption(key, value) < 0,
    );
    const code = refused === undefined ? context.open2Sync(codec, null) : AVERROR_EINVAL;
    if (code < 0) {
      context.freeContext();
      throw new DeviceError(`${settings.encoder} refused ${JSON.stringify(settings)}: ${code}`);
    }
    return new AudioEncoder(settings, context, startSample);
  }

  /**
   * Opens another encoder that goes on from here: its first packet is the one that this one would give next, and a
   * decoder that goes over to it hears no seam.
   *
   * @throws as {@link AudioEncoder.open}.
   */
  fork(): AudioEncoder {
    const known = this.#historyFrames * this.#frameSamples;
    const fork = AudioEncoder.open(this.settings, this.#position - known);
    // The packets of these have been given here.
    fork.push(this.#history.subarray(this.#history.length - known * CHANNELS));
    fork.push(this.#held.subarray(0, this.#heldSamples * CHANNELS));
    return fork;
  }

  /** Encodes what makes whole frames; keeps the rest. Does not keep `samples`. */
  push(samples: Float32Array): Packet[] {
    const packets: Packet[] = [];
    for (let offset = 0; offset < samples.length; ) {
      const room = (this.#frameSamples - this.#heldSamples) * CHANNELS;
      const piece = samples.subarray(offset, offset + room);
      this.#held.set(piece, this.#heldSamples * CHANNELS);
      this.#heldSamples += piece.length / CHANNELS;
      offset += piece.length;
      if (this.#heldSamples === this.#frameSamples) this.#encodeHeld(packets);
    }
    return packets;
  }

  /** The rest, padded with silence to a whole frame, and what the encoder held; then only {@link close}. */
  flush(): Packet[] {
    const packets: Packet[] = [];
    if (this.#heldSamples > 0) {
      this.#held.fill(0, this.#heldSamples * CHANNELS);
      this.#encodeHeld(packets);
    }
    this.#context.sendFrameSync(null);
    this.#drain(packets);
    return packets;
  }

  close(): void {
    this.#packet.free();
    this.#frame.free();
    this.#context.freeContext();
  }

  #encodeHeld(packets: Packet[]): void {
    const { channels } = this.settings;
    const frame = this.#frame;
    frame.unref();
    frame.nbSamples = this.#frameSamples;
    frame.sampleRate = SAMPLE_RATE;
    frame.format = this.#context.sampleFormat;
    frame.channelLayout = this.#context.channelLayout;
    if (frame.getBuffer(0) < 0) throw new DeviceError("no memory for an audio frame");
    fillPlanes(frame, this.#held, channels, this.#context.sampleFormat === AV_SAMPLE_FMT_FLTP);
    frame.pts = BigInt(this.#position);
    this.#position += this.#frameSamples;
    this.#remember();
    this.#heldSamples = 0;
    const code = this.#context.sendFrameSync(frame);
    if (code < 0) throw new DeviceError(`${this.settings.encoder} failed with ${code}`);
    this.#drain(packets);
  }

  #remember(): void {
    this.#history.copyWithin(0, this.#held.length);
    this.#history.set(this.#held, this.#history.length - this.#held.length);
    this.#historyFrames = Math.min(HISTORY_FRAMES, this.#historyFrames + 1);
  }

  #drain(packets: Packet[]): void {
    for (;;) {
      const code = this.#context.receivePacketSync(this.#packet);
      if (code === AVERROR_EAGAIN || code === AVERROR_EOF) return;
      if (code < 0) throw new DeviceError(`${this.settings.encoder} failed with ${code}`);
      // libavcodec already subtracts the encoder's delay from the stamps.
      const stamp = us((Number(this.#packet.pts) * 1e6) / SAMPLE_RATE);
      packets.push({
        kind: "audio",
        data: new Uint8Array(this.#packet.data ?? []),
        ptsUs: stamp,
        dtsUs: stamp,
        durationUs: us((this.#frameSamples * 1e6) / SAMPLE_RATE),
        keyFrame: true,
        arrivalUs: stamp,
        ...(this.#isFirst ? { info: this.info } : {}),
      });
      this.#isFirst = false;
      this.#packet.unref();
    }
  }
}

/** Per-sample conversion of one frame: de-interleaves, and mixes to mono where the encoder is mono. */
function fillPlanes(frame: Frame, held: Float32Array, channels: 1 | 2, planar: boolean): void {
  const planes = (frame.data ?? []).map(
    (plane) => new Float32Array(plane.buffer, plane.byteOffset, plane.byteLength >> 2),
  );
  const samples = held.length / CHANNELS;
  const [first, second] = planes;
  if (first === undefined) throw new DeviceError("an audio frame without planes");
  if (channels === 1) {
    for (let i = 0; i < samples; i++) first[i] = ((held[2 * i] ?? 0) + (held[2 * i + 1] ?? 0)) / 2;
  } else if (!planar || second === undefined) {
    first.set(held);
  } else {
    for (let i = 0; i < samples; i++) {
      first[i] = held[2 * i] ?? 0;
      second[i] = held[2 * i + 1] ?? 0;
    }
  }
}

/** RFC 7845 §5.1: pre-skip is the little-endian 16-bit value at offset 10 of OpusHead. */
function opusPreSkip(header: Uint8Array | null): number {
  return header === null || header.length < 12 ? 312 : (header[10] ?? 0) | ((header[11] ?? 0) << 8);
}
