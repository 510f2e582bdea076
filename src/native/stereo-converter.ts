import { AV_CHANNEL_ORDER_NATIVE, AV_SAMPLE_FMT_FLT, type AVSampleFormat } from "node-av/constants";
import { avChannelLayoutDefault, type ChannelLayout, Frame, SoftwareResampleContext } from "node-av/lib";
import { MediaInvalidError } from "../core/error.ts";
import { CHANNELS, SAMPLE_RATE } from "../media/frame.ts";
import { reason } from "./libav.ts";

const STEREO: ChannelLayout = { nbChannels: CHANNELS, order: AV_CHANNEL_ORDER_NATIVE, mask: 3n };
/** Rates outside are no sound, and would blow a few bytes up to gigabytes. */
const MIN_RATE_HZ = 4_000;
const MAX_RATE_HZ = 768_000;
const MAX_CHANNELS = 64;
const EMPTY = new Float32Array(0);

/**
 * Turns decoded sound of one format into 48 kHz interleaved stereo float, by libswresample.
 *
 * Output sample 0 stands where input sample 0 stood; up to 20 samples are held back where rates differ.
 *
 * Downmix: left = (FL + 0.707 FC + 0.707 BL + 0.707 SL + 0.5 BC) / s, right likewise, s the sum of the coefficients
 * that apply (5.1: 2.414; 7.1: 3.121), so that nothing can clip; LFE is left out; centre and surround are at -3 dB
 * (ITU-R BS.775). Mono plays on both sides at full level. Channels without known places: even ones left, odd right.
 */
export class StereoConverter implements Disposable {
  readonly #context = new SoftwareResampleContext();
  readonly #format: AVSampleFormat;
  readonly #rateHz: number;
  readonly #layout: ChannelLayout;
  /** {@link #layout}, or what it is taken for where channels have no known places. */
  readonly #known: ChannelLayout;
  /** What the converter writes into: it stays, for each look at a frame's memory costs an external buffer. */
  #output: Output | undefined;

  /** @throws {MediaInvalidError} `ERR_MEDIA_INVALID` if no sound has such a format. */
  constructor(frame: Frame) {
    this.#format = frame.format as AVSampleFormat;
    this.#rateHz = frame.sampleRate;
    this.#layout = frame.channelLayout;
    const channels = this.#layout.nbChannels;
    if (this.#rateHz < MIN_RATE_HZ || this.#rateHz > MAX_RATE_HZ || channels < 1 || channels > MAX_CHANNELS) {
      throw new MediaInvalidError(`sound of ${this.#rateHz} Hz in ${channels} channels`);
    }
    const isOrdered = this.#layout.order === AV_CHANNEL_ORDER_NATIVE;
    this.#known = isOrdered || channels > 8 ? this.#layout : avChannelLayoutDefault(channels);
    const code = this.#open(channels);
    if (code >= 0) return;
    this.#context.free();
    throw new MediaInvalidError(`sound in ${channels} channels cannot be mixed down: ${reason(code)}`);
  }

  /** Sound that went in and is still to come out, in microseconds. */
  get heldUs(): number {
    return Number(this.#context.getDelay(1_000_000n));
  }

  /** True if `frame` may go into this converter. */
  fits(frame: Frame): boolean {
    if (frame.format !== this.#format || frame.sampleRate !== this.#rateHz) return false;
    const { nbChannels, order, mask } = frame.channelLayout;
    return (
      nbChannels === this.#layout.nbChannels && order === this.#layout.order && mask === this.#layout.mask
    );
  }

  /** Feeds a frame, which may be marked with the layout that it is taken for, and returns what is ready in new memory. */
  convert(frame: Frame): Float32Array {
    if (this.#known !== this.#layout) frame.channelLayout = this.#known;
    return this.#run(frame, frame.nbSamples);
  }

  /** Returns what was held back; afterwards the converter only frees. */
  flush(): Float32Array {
    return this.#run(null, 0);
  }

  /** Twice is harmless. */
  [Symbol.dispose](): void {
    this.#context.free();
    this.#output?.frame.free();
    this.#output = undefined;
  }

  #run(frame: Frame | null, samples: number): Float32Array {
    const room = this.#context.getOutSamples(samples);
    if (room <= 0) return EMPTY;
    if (this.#output === undefined || this.#output.room < room) {
      this.#output?.frame.free();
      this.#output = outputOf(room);
    }
    const { frame: output, values, room: most } = this.#output;
    output.nbSamples = most;
    if (this.#context.convertFrame(output, frame) < 0) return EMPTY;
    return values.slice(0, output.nbSamples * CHANNELS);
  }

  #open(channels: number): number {
    const context = this.#context;
    context.alloc();
    const set = context.allocSetOpts2(
      STEREO,
      AV_SAMPLE_FMT_FLT,
      SAMPLE_RATE,
      this.#known,
      this.#format,
      this.#rateHz,
    );
    if (set < 0) return set;
    context.setOption("center_mix_level", String(Math.SQRT1_2));
    context.setOption("surround_mix_level", String(Math.SQRT1_2));
    context.setOption("lfe_mix_level", "0");
    // Without this, float output is not normalised and a loud 5.1 film clips.
    context.setOption("rematrix_maxval", "1");
    if (channels === 1) context.setMatrix([1, 1], 1);
    else if (this.#layout.order !== AV_CHANNEL_ORDER_NATIVE && channels > 8)
      context.setMatrix(alternating(channels), channels);
    return context.init();
  }
}

/** A frame that stays, and a view of its memory. */
interface Output {
  readonly frame: Frame;
  /** Interleaved; of no use once the frame is freed. */
  readonly values: Float32Array;
  /** Samples per channel. */
  readonly room: number;
}

function outputOf(room: number): Output {
  const frame = new Frame();
  frame.alloc();
  frame.format = AV_SAMPLE_FMT_FLT;
  frame.sampleRate = SAMPLE_RATE;
  frame.channelLayout = STEREO;
  frame.nbSamples = room;
  const code = frame.allocBuffer();
  const bytes = frame.data?.[0];
  if (code < 0 || bytes === undefined) throw new MediaInvalidError(`no memory for sound: ${reason(code)}`);
  return { frame, values: new Float32Array(bytes.buffer, bytes.byteOffset, room * CHANNELS), room };
}

function alternating(channels: number): number[] {
  const [left, right] = [Math.ceil(channels / 2), Math.floor(channels / 2)];
  const row = (side: number, share: number): number[] =>
    Array.from({ length: channels }, (_, index) => (index % 2 === side ? 1 / share : 0));
  return [...row(0, left), ...row(1, right)];
}
