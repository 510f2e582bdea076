import { isAbsolute } from "node:path";
import { checkCarried } from "../core/carried.ts";
import { OUTPUT_CLOSE_MS } from "../core/closing.ts";
import { InternalError, InvalidArgumentError, StorageError, TesseraError } from "../core/error.ts";
import { type Micros, ms, seconds, us } from "../core/time.ts";
import type { Clock } from "../media/clock.ts";
import type { Packet } from "../media/packet.ts";
import { DropCount } from "./drop-count.ts";
import { codecsOf, type Egress, type EgressEvent, type EgressStats, type EgressStreams } from "./egress.ts";
import { EventQueue } from "./event-queue.ts";
import { same } from "./recording-bytes.ts";
import { RecordingFolder } from "./recording-folder.ts";
import { Interleaver } from "./recording-interleave.ts";
import { type Fragment, Part } from "./recording-part.ts";
import { Preroll } from "./recording-preroll.ts";
import { type ContainerKind, configInBand } from "./recording-track.ts";
import { RecordingWriter } from "./recording-writer.ts";

/** How a recording is made. */
export interface RecordingOptions {
  /** Absolute, `.mp4` or `.mkv`, in a folder that exists. Who calls has checked that writing there is allowed. */
  readonly path: string;
  /** Picture, sound, or both. */
  readonly streams: EgressStreams;
  readonly clock: Clock;
  /** For the manifest: wall time of mix time 0, in milliseconds since the Unix epoch. */
  readonly startWallMs: number;
  /** For the manifest. */
  readonly mix: string;
  readonly output: string;
  /** For the manifest, after a takeover. */
  readonly previousNode?: string;
  /** A new part begins at the first key frame after this many seconds. */
  readonly segmentS?: number;
  /**
   * A recording that goes on: the number of its next part, so that parts moved away meanwhile are not numbered again.
   * Without it the first number that no file has, 1 being `path` itself.
   */
  readonly firstPart?: number;
  /** Removes the recording that has this name. Otherwise nothing that exists is touched: the next part is begun. */
  readonly overwrite?: boolean;
  /** Virtual clock: nothing is dropped or failed for being slow; await {@link Recording.drained}. */
  readonly wait?: boolean;
  /** Its abort closes the recording, as {@link Recording.close} does. */
  readonly signal?: AbortSignal;
}

/** An open fragment is written out after this long even if no packet comes to fill it. */
const MAX_FRAGMENT_AGE_US = ms(1500);

/**
 * Begins a recording. It creates its file at its first key frame, and says so with the event `part`.
 *
 * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if the path or the streams make no recording, or its container
 *   does not carry a codec of them.
 */
export function openRecording(options: RecordingOptions): Recording {
  return new Recording(options);
}

/**
 * An MP4 or Matroska recording in one or more parts, each playable from the first second on, whatever happens to the
 * process that writes it: a fragment of at most 1 s reaches the file in one write.
 *
 * A part begins at a key frame, which it calls 0, and holds every packet from there to the next part's key frame; sound
 * from before the first key frame is not recorded. A new part begins on {@link split}, after {@link pause}, after
 * `segmentS`, when the picture's parameters change, and when the file of the open part is deleted.
 */
export class Recording implements Egress {
  readonly events: AsyncIterable<EgressEvent>;
  readonly #container: ContainerKind;
  readonly #clock: Clock;
  #segmentUs: Micros | undefined;
  readonly #wait: boolean;
  readonly #writer: RecordingWriter;
  readonly #interleaver: Interleaver;
  readonly #stop = new AbortController();
  #streams: EgressStreams;
  #part: Part | undefined;
  readonly #preroll = new Preroll();
  #openedUs = us(0);
  #splitWanted = false;
  #paused = false;
  readonly #drops = new DropCount("slow", "late", "failed");
  #closing: Promise<void> | undefined;

  /** Use {@link openRecording}. */
  constructor(options: RecordingOptions) {
    const { streams, clock, wait = false, startWallMs, segmentS, signal } = options;
    this.#container = checked(options);
    this.#clock = clock;
    this.#wait = wait;
    this.#segmentUs = segmentS === undefined ? undefined : seconds(segmentS);
    this.#streams = streams;
    this.#interleaver = new Interleaver(streams.video === undefined || streams.audio === undefined);
    const events = new EventQueue();
    events.emit({ type: "connecting" });
    this.events = events;
    const { path, mix, output, previousNode, overwrite = false, firstPart = 1 } = options;
    const owner = { mix, output, ...(previousNode === undefined ? {} : { previousNode }) };
    const folder = RecordingFolder.open(path, owner, { overwrite, firstPart });
    this.#writer = new RecordingWriter({ folder, events, drops: this.#drops, clock, wait, startWallMs });
    if (!wait) void this.#watchAge();
    const onAbort = (): void => void this.close();
    signal?.addEventListener("abort", onAbort, { once: true, signal: this.#stop.signal });
    if (signal?.aborted) onAbort();
  }

  push(packet: Packet): void {
    if (this.#closing !== undefined || this.#writer.failure !== undefined) this.#drops.add("failed");
    else if (this.#paused) this.#preroll.pass(packet);
    else for (const next of this.#interleaver.push(packet)) this.#take(next);
  }

  drained(): Promise<void> {
    return this.#writer.drained();
  }

  stats(): EgressStats {
    return { ...this.#writer.counts, ...this.#drops.read(), retries: 0 };
  }

  /** Changes when new parts begin, in seconds of media; undefined: never by length. */
  setSegment(segmentS: number | undefined): void {
    this.#segmentUs = segmentS === undefined ? undefined : seconds(segmentS);
  }

  /** Begins a new part at the next key frame. */
  split(): void {
    this.#splitWanted = true;
  }

  /** Closes the open part with what has come so far; idempotent. What comes until {@link resume} is not recorded. */
  pause(): void {
    if (this.#paused || this.#closing !== undefined) return;
    this.#endAll();
    this.#paused = true;
  }

  /** Goes on in a new part, at the next key frame; idempotent. */
  resume(): void {
    this.#paused = false;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #take(packet: Packet): void {
    try {
      if (this.#beginsPart(packet)) this.#begin(packet);
      if (this.#part?.precedes(packet)) this.#drops.add("late");
      else this.#emit(this.#part?.push(packet));
      this.#preroll.pass(packet);
    } catch (error) {
      // A first frame that nobody could decode ends the recording; anything else that gets here is a bug, and ends it too.
      const isOurs = error instanceof TesseraError;
      this.#writer.fail(isOurs ? error : new InternalError("the recording broke", { cause: error }));
    }
  }

  /** Parts begin at what can be decoded alone, and not before mix time 0, where only an encoder's priming stands. */
  #beginsPart(packet: Packet): boolean {
    this.#adopt(packet);
    const kind = this.#streams.video === undefined ? "audio" : "video";
    if (packet.kind !== kind || !packet.keyFrame || packet.ptsUs < 0) return false;
    if (this.#part === undefined || this.#splitWanted || this.#writer.lost === this.#part) return true;
    if (this.#segmentUs !== undefined && packet.ptsUs - this.#part.startUs >= this.#segmentUs) return true;
    return packet.kind === "video" && this.#isChanged(packet);
  }

  #isChanged(packet: Packet): boolean {
    const [before, now] = [
      this.#part?.videoConfig,
      configInBand(this.#streams.video?.codec ?? "", packet.data),
    ];
    return before !== undefined && now !== undefined && !same(before, now);
  }

  /** Codec parameters that a packet announces hold from the next part on. */
  #adopt({ info, kind }: Packet): void {
    const { video, audio } = this.#streams;
    if (info?.kind === "video" && video !== undefined) {
      this.#streams = { ...this.#streams, video: { ...video, ...info, frameRate: video.frameRate } };
    } else if (info?.kind === "audio" && audio !== undefined && kind === "audio") {
      const { extradata = new Uint8Array() } = audio;
      if (info.extradata !== undefined && !same(info.extradata, extradata)) this.#splitWanted = true;
      this.#streams = { ...this.#streams, audio: { ...audio, ...info } };
    }
  }

  #begin(first: Packet): void {
    const part = new Part(this.#container, this.#streams, first, this.#preroll.before(first));
    this.#end();
    this.#splitWanted = false;
    this.#part = part;
    this.#openedUs = this.#clock.now();
    this.#writer.begin(part);
  }

  #emit(fragment: Fragment | undefined): void {
    if (this.#part === undefined || fragment === undefined) return;
    this.#openedUs = this.#clock.now();
    this.#writer.write(this.#part, fragment);
  }

  #end(): void {
    if (this.#part === undefined) return;
    this.#emit(this.#part.flush());
    this.#writer.end(this.#part);
    this.#part = undefined;
  }

  #endAll(): void {
    for (const packet of this.#interleaver.flush()) this.#take(packet);
    this.#end();
  }

  async #watchAge(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted && this.#writer.failure === undefined) {
      await this.#clock
        .sleepUntil(us(this.#clock.now() + MAX_FRAGMENT_AGE_US / 3), signal)
        .catch(() => undefined);
      const ageUs = this.#clock.now() - this.#openedUs;
      if (!signal.aborted && ageUs > MAX_FRAGMENT_AGE_US) this.#emit(this.#part?.flush());
    }
  }

  async #close(): Promise<void> {
    this.#stop.abort();
    if (!this.#paused) this.#endAll();
    const finished = this.#writer.finish();
    if (this.#wait) return finished;
    const timer = new AbortController();
    const tooLate = this.#clock.sleepUntil(us(this.#clock.now() + ms(OUTPUT_CLOSE_MS)), timer.signal).then(
      () =>
        this.#writer.fail(
          new StorageError(`the disk did not take the end within ${OUTPUT_CLOSE_MS / 1000} s`),
          "slow",
        ),
      () => undefined,
    );
    await Promise.race([finished, tooLate]);
    timer.abort();
  }
}

function checked({ path, streams, segmentS }: RecordingOptions): ContainerKind {
  const extension = /\.(mp4|mkv)$/i.exec(path)?.[1]?.toLowerCase();
  if (!isAbsolute(path)) throw new InvalidArgumentError("path", "is not absolute");
  if (extension !== "mp4" && extension !== "mkv")
    throw new InvalidArgumentError("path", "must end in .mp4 or .mkv");
  if (streams.video === undefined && streams.audio === undefined) {
    throw new InvalidArgumentError("streams", "holds neither picture nor sound");
  }
  if (segmentS !== undefined && !(segmentS > 0))
    throw new InvalidArgumentError("segmentS", "is not positive");
  checkCarried(extension, codecsOf(streams), "/streams");
  return extension;
}
