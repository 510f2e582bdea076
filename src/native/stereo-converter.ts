import { AV_CHANNEL_ORDER_NATIVE, AV_SAMPLE_FMT_FLT, type AVSampleFormat } from "node-av/constants";
import { avChannelLayoutDefault, type ChannelLayout, type Frame, SoftwareResampleContext } from "node-av/lib";
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

  /** @throws {MediaInvalidError} `ERR_MEDIA_INVALID` if no sound has such a format. */
  constructor(frame: Frame) {
    this.#format = frame.format as AVSampleFormat;
    this.#rateHz = frame.sampleRate;
    this.#layout = frame.channelLayout;
    const channels = this.#layout.nbChannels;
    if (this.#rateHz < MIN_RATE_HZ || this.#rateHz > MAX_RATE_HZ || channels < 1 || channels > MAX_CHANNELS) {
      throw new MediaInvalidError(`sound of ${this.#rateHz} Hz in ${channels} channels`);
    }
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

  /** Feeds a frame and returns what is ready: new memory, two values per sample. */
  convert(frame: Frame): Float32Array {
    return this.#run(frame.extendedData ?? frame.data, frame.nbSamples);
  }

  /** Returns what was held back; afterwards the converter only frees. */
  flush(): Float32Array {
    return this.#run(null, 0);
  }

  /** Twice is harmless. */
  [Symbol.dispose](): void {
    this.#context.free();
  }

  #run(planes: Buffer[] | null, samples: number): Float32Array {
    const room = this.#context.getOutSamples(samples);
    if (room <= 0) return EMPTY;
    const output = new Float32Array(room * CHANNELS);
    const got = this.#context.convertSync([Buffer.from(output.buffer)], room, planes, samples);
    return got <= 0 ? EMPTY : output.subarray(0, got * CHANNELS);
  }

  #open(channels: number): number {
    const ordered = this.#layout.order === AV_CHANNEL_ORDER_NATIVE;
    const known = ordered ? this.#layout : channels <= 8 ? avChannelLayoutDefault(channels) : this.#layout;
    const context = this.#context;
    context.alloc();
    const set = context.allocSetOpts2(
      STEREO,
      AV_SAMPLE_FMT_FLT,
      SAMPLE_RATE,
      known,
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
    else if (!ordered && channels > 8) context.setMatrix(alternating(channels), channels);
    return context.init();
  }
}

function alternating(channels: number): number[] {
  const [left, right] = [Math.ceil(channels / 2), Math.floor(channels / 2)];
  const row = (side: number, share: number): number[] =>
    Array.from({ length: channels }, (_, index) => (index % 2 === side ? 1 / share : 0));
  return [...row(0, left), ...row(1, right)];
}
