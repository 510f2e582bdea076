import { type Micros, us } from "../core/time.ts";
import { type AudioBlock, CHANNELS } from "../media/frame.ts";
import type { Packet } from "../media/packet.ts";
import type { AudioStreamInfo } from "../media/stream-info.ts";
import { type DecodedSound, NativeAudioDecoder } from "../native/audio-decoder.ts";
import { SampleClock } from "./sample-clock.ts";

/** Counts since a decoder was opened; they never go back. */
export interface AudioDecoderStats {
  /** Blocks handed out. */
  readonly decoded: number;
  /** Packets or frames FFmpeg refused. */
  readonly errors: number;
  /** Gaps and jumps in the stamps. */
  readonly jumps: number;
  /** Times the decoder was opened anew because the stream's parameters changed. */
  readonly reopened: number;
}

/**
 * Decodes one stream of sound to 48 kHz stereo float blocks of whatever length the codec has, with exact stamps.
 * Encoder delay and padding that the container tells of are taken out to the sample.
 *
 * Bad data is a counter, never an exception. A packet with a new `info` opens the decoder anew; changes of rate and
 * channels inside the stream need nothing. Synchronous: sound costs microseconds.
 */
export class AudioDecoder implements Disposable {
  #info: AudioStreamInfo;
  #native: NativeAudioDecoder | undefined;
  #closed = false;
  #earlierErrors = 0;
  #newestArrivalUs: Micros = us(0);
  readonly #clock = new SampleClock();
  readonly #count = { decoded: 0, jumps: 0, reopened: 0 };

  private constructor(info: AudioStreamInfo, native: NativeAudioDecoder) {
    this.#info = info;
    this.#native = native;
  }

  /** @throws {MediaInvalidError} `ERR_MEDIA_INVALID` if nothing here decodes `info`. */
  static open(info: AudioStreamInfo): AudioDecoder {
    return new AudioDecoder(info, NativeAudioDecoder.open(info));
  }

  /** What the decoder is open for; changes with the packets. */
  get info(): AudioStreamInfo {
    return this.#info;
  }

  get stats(): AudioDecoderStats {
    return { ...this.#count, errors: this.#earlierErrors + (this.#native?.errors ?? 0) };
  }

  /** Decodes one packet; packets of video decode to nothing. */
  decode(packet: Packet): readonly AudioBlock[] {
    if (packet.kind !== "audio") return [];
    const held = [...this.#adopt(packet), ...this.#break(packet)];
    this.#newestArrivalUs = packet.arrivalUs;
    if (this.#native === undefined) return held;
    return [...held, ...this.#place(this.#native.decode(packet))];
  }

  /** The stream ended or jumps: returns what was held back, a few samples. */
  flush(): readonly AudioBlock[] {
    const rest = this.#native === undefined ? [] : this.#place(this.#native.flush());
    this.#clock.jump();
    return rest;
  }

  /** Frees the decoder. Twice is harmless; afterwards packets decode to nothing. */
  close(): void {
    this.#closed = true;
    this.#closeNative();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #break({ discontinuity }: Packet): readonly AudioBlock[] {
    return discontinuity ? this.flush() : [];
  }

  /** Follows a packet's news about its stream; returns the last sound of what was before. */
  #adopt({ info }: Packet): readonly AudioBlock[] {
    if (this.#closed || info?.kind !== "audio") return [];
    if (this.#native !== undefined && sameDecoder(info, this.#info)) return [];
    const rest = this.#native === undefined ? [] : this.#place(this.#native.flush());
    this.#closeNative();
    this.#info = info;
    this.#count.reopened += 1;
    try {
      this.#native = NativeAudioDecoder.open(info);
    } catch {
      this.#earlierErrors += 1;
    }
    return rest;
  }

  #place(sounds: readonly DecodedSound[]): readonly AudioBlock[] {
    const blocks: AudioBlock[] = [];
    for (const { stampUs, samples } of sounds) {
      if (samples.length === 0) continue;
      const placed = this.#clock.place(samples.length / CHANNELS, stampUs);
      if (placed === undefined) continue;
      if (placed.discontinuity) this.#count.jumps += 1;
      this.#count.decoded += 1;
      blocks.push({ ...placed, samples, arrivalUs: this.#newestArrivalUs });
    }
    return blocks;
  }

  #closeNative(): void {
    this.#earlierErrors += this.#native?.errors ?? 0;
    this.#native?.[Symbol.dispose]();
    this.#native = undefined;
  }
}

/** True if a decoder opened for `b` decodes `a` just as well. */
function sameDecoder(a: AudioStreamInfo, b: AudioStreamInfo): boolean {
  if (a.codec !== b.codec || a.sampleRate !== b.sampleRate || a.channels !== b.channels) return false;
  if (a.extradata === undefined || b.extradata === undefined) return a.extradata === b.extradata;
  return Buffer.compare(a.extradata, b.extradata) === 0;
}
