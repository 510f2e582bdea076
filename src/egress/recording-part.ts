import { assert } from "../core/error.ts";
import { type Micros, us } from "../core/time.ts";
import type { Packet } from "../media/packet.ts";
import type { EgressStreams } from "./egress.ts";
import type { Container, Ending, Patch, Written } from "./recording-container.ts";
import { Mkv } from "./recording-mkv.ts";
import { Mp4 } from "./recording-mp4.ts";
import { type ContainerKind, type Sample, type Track, toSampleData, tracksOf } from "./recording-track.ts";

/** A fragment holds at most this much of the picture (of the sound, where there is no picture). */
const MAX_FRAGMENT_S = 1;
/** Sound goes on alone for this long when the picture stalls. */
const MAX_SOUND_ALONE_S = 1.5;
/** A key frame begins a new fragment unless the open one is shorter than this. */
const MIN_FRAGMENT_S = 0.5;

/** A Matroska block stands at most 1.638 s from its cluster's start. */
const MAX_SPREAD_S = 1.6;

/** Bytes for one write, and what is lost with them. */
export interface Fragment {
  readonly bytes: Uint8Array;
  readonly frames: number;
  readonly packets: number;
  /** Where the part ends with it, from the part's start. */
  readonly endUs: Micros;
}

/**
 * One part of a recording: packets in, bytes out. Its stamps count from its first packet, which is a key frame.
 *
 * Packets of each kind come in decode order. A packet's stamp says when what it decodes to is shown or heard, encoder
 * delay counted: the first AAC packet of an encoder that began at t has t - 1024 samples.
 */
export class Part {
  readonly #container: Container;
  readonly #video: Track | undefined;
  readonly #audio: Track | undefined;
  readonly #firstPts: Micros;
  #lastDts = -1;
  #open: Sample[] = [];
  #earliestS = Number.POSITIVE_INFINITY;
  #latestS = Number.NEGATIVE_INFINITY;
  #endUs = us(0);

  /**
   * @param first the packet that is pushed next: its stamp becomes 0.
   * @param preroll sound from right before it, for a decoder that starts here.
   * @throws {MediaInvalidError} `ERR_MEDIA_INVALID` if it is not known how to decode the streams.
   */
  constructor(kind: ContainerKind, streams: EgressStreams, first: Packet, preroll: readonly Packet[] = []) {
    const [main, ...rest] = tracksOf(streams, first);
    assert(main !== undefined, "a part has a stream");
    const tracks: readonly [Track, ...Track[]] = [main, ...rest];
    this.#video = tracks.find((track) => track.info.kind === "video");
    this.#audio = tracks.find((track) => track.info.kind === "audio");
    this.#firstPts = first.ptsUs;
    const early = preroll.flatMap((packet) => this.#sampleOf(packet) ?? []);
    this.#container = kind === "mp4" ? new Mp4(tracks, early) : new Mkv(tracks);
  }

  /** The mix time that this part calls 0. */
  get startUs(): Micros {
    return this.#firstPts;
  }

  /** What its configuration in the file says of the picture's decoder. */
  get videoConfig(): Uint8Array | undefined {
    return this.#video?.config;
  }

  /** What its file begins with. */
  get header(): Uint8Array {
    return this.#container.header;
  }

  /** Takes a packet, and hands out the fragment that it does not belong to any more. Undefined: none is full yet. */
  push(packet: Packet): Fragment | undefined {
    const sample = this.precedes(packet) ? undefined : this.#sampleOf(packet);
    if (sample === undefined) return undefined;
    const full = this.#isFullFor(sample) ? this.flush() : undefined;
    this.#open.push(sample);
    this.#earliestS = Math.min(this.#earliestS, secondsOf(sample));
    this.#latestS = Math.max(this.#latestS, secondsOf(sample));
    return full;
  }

  /** True if `packet` stands before the part's start and cannot be in it. */
  precedes(packet: Packet): boolean {
    return packet.ptsUs < this.#firstPts;
  }

  /** What is not yet handed out, as a fragment of its own. */
  flush(): Fragment | undefined {
    if (this.#open.length === 0) return undefined;
    const samples = this.#open;
    this.#open = [];
    this.#earliestS = Number.POSITIVE_INFINITY;
    this.#latestS = Number.NEGATIVE_INFINITY;
    settleDurations(samples);
    for (const { pts, duration, track } of samples) {
      const endUs = us(((pts + duration) / track.scale.timescale) * 1e6);
      this.#endUs = us(Math.max(this.#endUs, endUs));
    }
    const frames = samples.filter((sample) => sample.track === this.#video).length;
    const bytes = this.#container.fragment(samples);
    return { bytes, frames, packets: samples.length, endUs: this.#endUs };
  }

  /** To be written over the file once the last fragment is. */
  finish(written: Written): readonly Patch[] {
    return this.#container.finish(written);
  }

  /** What its file can end with once all of it is written. */
  ending(written: Written): Ending | undefined {
    return this.#container.ending?.(written);
  }

  #sampleOf(packet: Packet): Sample | undefined {
    const track = packet.kind === "video" ? this.#video : this.#audio;
    if (track === undefined) return undefined;
    const data = toSampleData(track.info.codec, packet.data);
    // Some encoders end with an empty packet; a sample of no bytes makes readers give up.
    if (data.byteLength === 0) return undefined;
    const { scale } = track;
    const startTicks = scale.at(this.#firstPts);
    const pts = scale.at(packet.ptsUs) - startTicks;
    const dts = packet.kind === "video" ? this.#decodeTicks(scale.at(packet.dtsUs) - startTicks) : pts;
    // A video step is the frame's length by definition; sound counts what its packets say.
    const said = packet.kind === "audio" && packet.durationUs > 0 ? scale.at(packet.durationUs) : 0;
    return { track, data, pts, dts, duration: said || scale.stepTicks, keyFrame: packet.keyFrame };
  }

  /**
   * Where pictures are reordered, the first few are due for decoding before 0. They are squeezed into the first ticks:
   * negative composition offsets instead were measured to show every picture a frame late in FFmpeg 5.1, and an edit
   * list moves the sound.
   */
  #decodeTicks(dts: number): number {
    this.#lastDts = Math.max(dts, this.#lastDts + 1);
    return this.#lastDts;
  }

  #isFullFor(sample: Sample): boolean {
    const atS = secondsOf(sample);
    if (atS - this.#earliestS > MAX_SPREAD_S || this.#latestS - atS > MAX_SPREAD_S) return true;
    const first = this.#open.find((one) => one.track === sample.track);
    if (first === undefined) return false;
    const { timescale } = sample.track.scale;
    const isMain = sample.track.id === 1;
    if (isMain && this.#video !== undefined && sample.keyFrame) {
      return sample.dts - first.dts >= MIN_FRAGMENT_S * timescale;
    }
    const limitS = isMain ? MAX_FRAGMENT_S : MAX_SOUND_ALONE_S;
    return sample.dts + sample.duration - first.dts > limitS * timescale;
  }
}

const secondsOf = ({ pts, track }: Sample): number => pts / track.scale.timescale;

/** A sample lasts until its track's next one; the last keeps its nominal length. */
function settleDurations(samples: Sample[]): void {
  const next = new Map<Track, number>();
  for (let index = samples.length - 1; index >= 0; index--) {
    const sample = samples[index];
    if (sample === undefined) continue;
    const following = next.get(sample.track);
    if (following !== undefined && following > sample.dts) {
      samples[index] = { ...sample, duration: following - sample.dts };
    }
    next.set(sample.track, sample.dts);
  }
}
