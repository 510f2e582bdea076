import { frameTime } from "../core/rational.ts";
import { type Micros, us } from "../core/time.ts";
import type { Packet } from "../media/packet.ts";
import type { AudioStreamInfo, VideoStreamInfo } from "../media/stream-info.ts";
import { StampTracker } from "./timestamps.ts";

/** What a pass must know of its file. */
export interface FileStreams {
  readonly video: VideoStreamInfo | undefined;
  readonly audio: AudioStreamInfo | undefined;
  readonly wrapUs: number;
}

/** Packets looked at for the first picture and the first sound; a stream that begins later cannot be the earliest. */
const MAX_PEEK = 400;
/** Stamps may miss the frame grid, and sound may outlast the picture, by this much without consequence. */
const TOLERANCE_US = 1000;

/** How far one stream has been played. */
interface Reach {
  lastPtsUs: number;
  /** Duration of one packet, as told or as seen. */
  stepUs: number;
  endUs: number;
}

/**
 * One run through a file: puts its stamps on the ingest's line and finds where the next run must begin.
 *
 * Invariants: the earliest presented stamp of the run lies at its offset; picture and sound keep their relation;
 * nothing that needs a picture before the run's first key frame is let through.
 */
export class FilePass {
  readonly #offsetUs: Micros;
  #streams: FileStreams | undefined;
  #tracker = new StampTracker();
  #peeked: Packet[] = [];
  #shiftUs: number | undefined;
  #keyPtsUs: number | undefined;
  #count = 0;
  readonly #reach = new Map<Packet["kind"], Reach>();

  /** @param offsetUs where the run begins on the ingest's line. */
  constructor(offsetUs: Micros) {
    this.#offsetUs = offsetUs;
  }

  /** True until a packet was let through. */
  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Where the run ends: with its longest stream; if that is the sound, at the end of the frame it reaches into. */
  get endUs(): Micros {
    const [video, audio] = [this.#reach.get("video"), this.#reach.get("audio")];
    const pictureEndUs = this.#snap(video?.endUs ?? this.#offsetUs);
    const soundEndUs = audio?.endUs ?? this.#offsetUs;
    if (video === undefined || soundEndUs <= pictureEndUs || video.stepUs <= 0) {
      return us(Math.max(pictureEndUs, soundEndUs));
    }
    const frames = Math.ceil((soundEndUs - pictureEndUs - TOLERANCE_US) / video.stepUs);
    return this.#snap(pictureEndUs + frames * video.stepUs);
  }

  /** Containers with coarse stamps (Matroska: 1 ms) miss their own frame grid a little; loops must not add that up. */
  #snap(endUs: number): Micros {
    const rate = this.#streams?.video?.frameRate;
    if (rate === undefined) return us(endUs);
    const index = Math.round(((endUs - this.#offsetUs) * rate.num) / (rate.den * 1e6));
    const exactUs = this.#offsetUs + frameTime(index, rate);
    return us(Math.abs(exactUs - endUs) <= TOLERANCE_US ? exactUs : endUs);
  }

  begin(streams: FileStreams): void {
    this.#streams = streams;
    this.#tracker = new StampTracker(streams.wrapUs);
  }

  /** Takes the next packet of the file and returns what is to be played now, perhaps nothing. */
  take(packet: Packet): readonly Packet[] {
    const { ptsUs, dtsUs, discontinuity } = this.#tracker.track(packet.kind, packet);
    const tracked: Packet = { ...packet, ptsUs, dtsUs, ...(discontinuity ? { discontinuity } : {}) };
    if (this.#shiftUs !== undefined) return this.#place([tracked]);
    this.#peeked.push(tracked);
    return this.#peeked.length < MAX_PEEK && !this.#sawAll() ? [] : this.end();
  }

  /** The file is at its end: returns what was still held back to find the start. */
  end(): readonly Packet[] {
    if (this.#shiftUs !== undefined) return [];
    const starts = (["video", "audio"] as const).map((kind) => this.#startOf(kind));
    const earliest = Math.min(...starts.filter((start) => start !== undefined));
    this.#shiftUs = this.#offsetUs - (Number.isFinite(earliest) ? earliest : 0);
    const held = this.#peeked;
    this.#peeked = [];
    return this.#place(held);
  }

  #sawAll(): boolean {
    const { video, audio } = this.#streams ?? {};
    return (
      (video === undefined || this.#startOf("video") !== undefined) &&
      (audio === undefined || this.#startOf("audio") !== undefined)
    );
  }

  /** First presented stamp of a stream among the packets held. */
  #startOf(kind: Packet["kind"]): number | undefined {
    if (kind === "audio") return this.#presentedAudio();
    let seenKey = false;
    for (const packet of this.#peeked) {
      seenKey ||= packet.kind === "video" && packet.keyFrame;
      if (packet.kind === "video" && seenKey && packet.discard !== true) return packet.ptsUs;
    }
    return undefined;
  }

  #presentedAudio(): number | undefined {
    const rate = this.#streams?.audio?.sampleRate ?? 48_000;
    const first = this.#peeked.find((packet) => packet.kind === "audio" && packet.discard !== true);
    return first === undefined ? undefined : first.ptsUs + ((first.skipStart ?? 0) * 1e6) / rate;
  }

  #place(packets: readonly Packet[]): readonly Packet[] {
    const shiftUs = this.#shiftUs ?? 0;
    const placed: Packet[] = [];
    for (const packet of packets) {
      if (packet.kind === "video" && !this.#isAnchored(packet)) continue;
      const moved = { ...packet, ptsUs: us(packet.ptsUs + shiftUs), dtsUs: us(packet.dtsUs + shiftUs) };
      this.#measure(moved);
      placed.push(moved);
    }
    this.#count += placed.length;
    return placed;
  }

  /** False for what comes before the first key frame, in decode order or in presentation order. */
  #isAnchored({ keyFrame, ptsUs }: Packet): boolean {
    if (this.#keyPtsUs === undefined && keyFrame) this.#keyPtsUs = ptsUs;
    return this.#keyPtsUs !== undefined && ptsUs >= this.#keyPtsUs;
  }

  #measure(packet: Packet): void {
    if (packet.discard) return;
    const { kind, ptsUs, durationUs, skipEnd = 0 } = packet;
    const reach = this.#reach.get(kind) ?? { lastPtsUs: ptsUs, stepUs: 0, endUs: Number.NEGATIVE_INFINITY };
    const sinceLast = ptsUs - reach.lastPtsUs;
    const rate = this.#streams?.audio?.sampleRate ?? 48_000;
    // MP4 has shortened the last packet by what is to be skipped, Matroska and Ogg have not.
    const usualUs = reach.stepUs > 0 ? reach.stepUs : durationUs;
    const heardUs = Math.max(0, usualUs - (skipEnd * 1e6) / rate);
    if (skipEnd === 0 && durationUs > 0) reach.stepUs = durationUs;
    else if (durationUs === 0 && sinceLast > 0) reach.stepUs = sinceLast;
    const lengthUs = durationUs > 0 ? durationUs : reach.stepUs;
    const endUs = ptsUs + (skipEnd > 0 ? Math.min(lengthUs, heardUs) : lengthUs);
    reach.endUs = packet.discontinuity ? endUs : Math.max(reach.endUs, endUs);
    reach.lastPtsUs = ptsUs;
    this.#reach.set(kind, reach);
  }
}
