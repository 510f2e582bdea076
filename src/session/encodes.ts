import type { EncoderStatus } from "../contract/status.ts";
import { errorInfo } from "../core/error.ts";
import { frameIndexAt, frameTime } from "../core/rational.ts";
import { type Micros, us } from "../core/time.ts";
import { describe } from "../encode/video-settings.ts";
import type { Clock } from "../media/clock.ts";
import type { Packet } from "../media/packet.ts";
import { RateMeter, Window } from "../media/stats.ts";
import type { SumHandle } from "../mixer/audio/audio-mixer.ts";
import type { SumRequest } from "../mixer/audio/mix-sum.ts";
import type { AudioEncoder } from "../native/audio-encoder.ts";
import { Picture } from "../native/picture.ts";
import { Scaler } from "../native/scaler.ts";
import { VideoEncoder, type VideoEncoderSettings } from "../native/video-encoder.ts";
import type { MixMeters } from "./mix-meters.ts";
import { type PacketTaker, PacketTakers } from "./packet-takers.ts";

/** How far an encoder may be behind before its view repeats pictures (files) or it leaves numbers out (live sinks). */
const MAX_BEHIND_US = 500_000;
/**
 * Nor does it hold more for a file, as pictures are memory: beyond this the newest displaces the one before it and stands
 * under the numbers of both. A repeated picture costs next to nothing, so it catches up, and no number is missing.
 */
const MAX_HELD_US = 10e6;

/** A picture that waits for its encoder. */
interface Job {
  picture: Picture;
  at: Micros;
  arrivalUs: Micros | undefined;
  /** It is the one after the picture before it; false where it has displaced others. */
  follows: boolean;
}

/** What encoders need of their mix. */
export interface EncodeContext {
  readonly clock: Clock;
  readonly meters: MixMeters;
  /** Encode on the calling thread: virtual clock. */
  readonly sync: boolean;
}

/**
 * One video encoder of one view, shared by every output that asked for the same. Pictures go in as the view makes
 * them; the encoder's own size and rate are made here.
 */
export class VideoEncode {
  readonly rate = new RateMeter();
  readonly encodeMs = new Window();
  readonly encoder: VideoEncoder;
  readonly id: string;
  readonly #settings: VideoEncoderSettings;
  readonly #context: EncodeContext;
  readonly #takers = new PacketTakers();
  #scaler: Scaler | undefined;
  #nextIndex: number | undefined;
  #turn: Promise<void> = Promise.resolve();
  #behind = 0;
  #pending = 0;
  /** Mix times of the newest picture handed in and the newest begun. */
  #offeredUs = us(0);
  #begunUs = us(0);
  /** Handed in last and not begun yet. */
  #newest: Job | undefined;
  #skipped = 0;
  #replaced = 0;
  #frames = 0;
  #packets = 0;
  #broken = false;
  #closing: Promise<void> | undefined;

  /** @throws {DeviceError} `ERR_DEVICE` if the encoder does not open. */
  constructor(id: string, settings: VideoEncoderSettings, context: EncodeContext) {
    this.id = id;
    this.#context = context;
    this.#settings = settings;
    this.encoder = VideoEncoder.open(settings);
  }

  /** Numbers without a picture: it fell behind, and nobody keeps all. */
  get skipped(): number {
    return this.#skipped;
  }
  /** Numbers under which whoever keeps all got a later picture instead of their own: it fell very far behind. */
  get replaced(): number {
    return this.#replaced;
  }
  get frames(): number {
    return this.#frames;
  }
  /** Pictures handed in and not yet encoded. */
  get behind(): number {
    return this.#behind;
  }
  /** Settles when everything handed in has been given to the users. */
  async idle(): Promise<void> {
    await this.#turn;
  }

  /** True while it falls so far behind that its view should make its work easier: it must not leave anything out. */
  get isSlow(): boolean {
    return this.#behindUs > MAX_BEHIND_US && this.#keepsAll;
  }

  get #behindUs(): number {
    return this.#pending === 0 ? 0 : this.#offeredUs - this.#begunUs;
  }

  get #keepsAll(): boolean {
    return this.#takers.keepAll || this.#context.sync;
  }

  /** How many take its packets and are not leaving. */
  get users(): number {
    return this.#takers.size;
  }

  has(user: PacketTaker): boolean {
    return this.#takers.has(user);
  }

  /** Gives `user` what is encoded from the next picture handed in on, a key frame first. */
  add(user: PacketTaker): void {
    this.#takers.add(user, this.#nextUs);
  }

  /**
   * Takes `user` over from another encoder, at the picture of mix time `fromUs`.
   *
   * @param after what the other one still has for it comes first: settles when that is given.
   */
  takeOver(user: PacketTaker, fromUs: Micros, after: Promise<void>): void {
    this.#takers.add(user, fromUs, after);
    const { rate } = this.#settings;
    this.#nextIndex ??= frameIndexAt(us(fromUs - 1), rate) + 1;
  }

  /**
   * Gives `user` the pictures handed in so far and no more.
   *
   * @returns the mix time from which on it gets none, undefined if there was none yet; and when it has got all before,
   *   which it will as others come in or when this is closed.
   */
  leave(user: PacketTaker): { readonly untilUs: Micros | undefined; readonly left: Promise<void> } {
    const untilUs = this.#nextUs;
    const left = this.#takers.leave(user, untilUs ?? 0);
    this.#settle();
    return { untilUs, left };
  }

  /** When the picture after those handed in is due; undefined before the first. */
  get #nextUs(): Micros | undefined {
    const { rate } = this.#settings;
    const afterOffered = this.#pending === 0 ? 0 : frameIndexAt(this.#offeredUs, rate) + 1;
    if (this.#nextIndex === undefined && this.#pending === 0) return undefined;
    return frameTime(Math.max(this.#nextIndex ?? 0, afterOffered), rate);
  }

  get #holdsBack(): boolean {
    return this.#packets < this.#frames;
  }

  /** Who is leaving and has got everything has left. */
  #settle(): void {
    const next = this.#nextIndex;
    if (this.#broken) this.#takers.end();
    else if (!this.#holdsBack)
      this.#takers.given(next === undefined ? 0 : frameTime(next, this.#settings.rate));
  }

  /**
   * Takes the picture of mix time `at`; disposes it. Settles when it is encoded, or another in its place because too many
   * wait.
   *
   * @param arrivalUs when the newest source picture in it arrived, if it has a new one.
   */
  offer(picture: Picture, at: Micros, arrivalUs?: Micros): Promise<void> {
    if (this.#closing !== undefined) {
      picture[Symbol.dispose]();
      return this.#closing;
    }
    if (this.#pending === 0) this.#begunUs = at;
    this.#offeredUs = at;
    const waiting = this.#newest;
    const tooMany = this.#behindUs > (this.#keepsAll ? MAX_HELD_US : MAX_BEHIND_US);
    if (tooMany && waiting !== undefined) {
      waiting.picture[Symbol.dispose]();
      Object.assign(waiting, { picture, at, arrivalUs, follows: false });
      return this.#turn;
    }
    const job = { picture, at, arrivalUs, follows: true };
    this.#newest = job;
    this.#behind += 1;
    this.#pending += 1;
    this.#turn = this.#turn.then(() => this.#take(job));
    return this.#turn;
  }

  async #take(job: Job): Promise<void> {
    if (this.#newest === job) this.#newest = undefined;
    const { picture, at, arrivalUs, follows } = job;
    using owned = picture;
    this.#behind -= 1;
    this.#begunUs = at;
    const due = frameIndexAt(at, this.#settings.rate);
    const next = this.#nextIndex ?? due;
    const isGap = frameTime(due - next, this.#settings.rate) > MAX_BEHIND_US;
    const mayFill = this.#keepsAll || (follows && !isGap);
    const first = mayFill ? next : Math.max(next, due);
    this.#skipped += first - next;
    if (!follows) this.#replaced += Math.max(0, due - first);
    for (this.#nextIndex = first; this.#nextIndex <= due && !this.#broken; this.#nextIndex++)
      await this.#encode(owned, this.#nextIndex);
    this.#settle();
    if (arrivalUs !== undefined)
      this.#context.meters.addedLatency.observe((this.#context.clock.now() - arrivalUs) / 1e6);
    this.#pending -= 1;
  }

  /** Encodes what is still inside and tells the users; then closes. Idempotent, never rejects. */
  close(): Promise<void> {
    this.#closing ??= this.#finish();
    return this.#closing;
  }

  async #finish(): Promise<void> {
    await this.#turn;
    try {
      if (!this.#broken && this.#frames > 0) this.#give(await this.encoder.flush(), us(0));
    } catch (error) {
      this.#break(error);
    }
    this.#takers.end();
    await this.encoder.close();
    this.#scaler?.[Symbol.dispose]();
  }

  status(nowUs: Micros): EncoderStatus {
    const { perSecond, bitsPerSecond } = this.rate.read(nowUs);
    return {
      id: this.id,
      key: describe(this.#settings),
      kind: "video",
      users: this.users,
      fps: perSecond,
      bitrateBps: Math.round(bitsPerSecond),
      device: "cpu",
      encodeMs: this.encodeMs.quantile(0.5),
    };
  }

  async #encode(view: Picture, index: number): Promise<void> {
    const forceKey = this.#takers.needKey(frameTime(index, this.#settings.rate), this.#holdsBack);
    const began = performance.now();
    try {
      const picture = await this.#fitted(view);
      const packets = await this.encoder.encode(picture, index, { forceKey, sync: this.#context.sync });
      this.#frames += 1;
      this.#give(packets, frameTime(index, this.#settings.rate));
    } catch (error) {
      this.#break(error);
    } finally {
      const tookMs = performance.now() - began;
      this.encodeMs.add(tookMs);
      this.#context.meters.encode.observe(tookMs / 1000);
    }
  }

  async #fitted(view: Picture): Promise<Picture> {
    const { widthPx, heightPx } = this.#settings;
    if (view.widthPx === widthPx && view.heightPx === heightPx) return view.clone();
    const crop = { x: 0, y: 0, width: view.widthPx, height: view.heightPx };
    this.#scaler ??= new Scaler({ crop, orientation: { rotate: 0, mirror: false }, widthPx, heightPx });
    const picture = Picture.alloc(widthPx, heightPx);
    try {
      await this.#scaler.scale(view.raw, picture, this.#context.sync ? "caller" : "pool");
      return picture;
    } catch (error) {
      picture[Symbol.dispose]();
      throw error;
    }
  }

  #give(packets: readonly Packet[], nowUs: Micros): void {
    for (const packet of packets) {
      this.rate.add(nowUs, packet.data.byteLength);
      this.#takers.give(packet);
    }
    this.#packets += packets.length;
  }

  #break(error: unknown): void {
    if (this.#broken) return;
    this.#broken = true;
    this.#takers.lose(errorInfo(error));
    this.#takers.end();
  }
}

/** One audio encoder on one sum of the mixer, shared by every output that asked for the same. */
export class AudioEncode {
  readonly id: string;
  readonly rate = new RateMeter();
  readonly users = new Set<PacketTaker>();
  readonly encoder: AudioEncoder;
  readonly #sound: SumHandle;
  #broken = false;

  /** @param sound what it encodes; owned from here on, as is the encoder. */
  constructor(id: string, encoder: AudioEncoder, sound: SumHandle) {
    this.id = id;
    this.encoder = encoder;
    this.#sound = sound;
  }

  /** Encodes another sum from the tick after next on, into which it cross-fades. */
  change(request: SumRequest): void {
    this.#sound.change(request);
  }

  /**
   * Another encode, of the same sound, whose packets go on where this one's are: for a user that is to hear something else.
   *
   * @throws {DeviceError} `ERR_DEVICE` if the encoder does not open.
   */
  fork(id: string): AudioEncode {
    return new AudioEncode(id, this.encoder.fork(), this.#sound.clone());
  }

  /** Encodes the tick that the mixer just made. */
  tick(nowUs: Micros): void {
    if (this.#broken) return;
    try {
      this.#give(this.encoder.push(this.#sound.pcm), nowUs);
    } catch (error) {
      this.#break(error);
    }
  }

  /** Gives the users what is still inside; then closes. Once, never throws. */
  close(nowUs: Micros): void {
    try {
      if (!this.#broken) this.#give(this.encoder.flush(), nowUs);
    } catch (error) {
      this.#break(error);
    }
    this.encoder.close();
    this.#sound[Symbol.dispose]();
  }

  #break(error: unknown): void {
    this.#broken = true;
    for (const user of this.users) user.lost(errorInfo(error));
  }

  status(nowUs: Micros): EncoderStatus {
    const { perSecond, bitsPerSecond } = this.rate.read(nowUs);
    const { encoder, bitrateBps, channels } = this.encoder.settings;
    return {
      id: this.id,
      key: `${encoder} ${channels}ch ${Math.round(bitrateBps / 1000)}k`,
      kind: "audio",
      users: this.users.size,
      fps: perSecond,
      bitrateBps: Math.round(bitsPerSecond),
      device: "cpu",
      encodeMs: 0,
    };
  }

  #give(packets: readonly Packet[], nowUs: Micros): void {
    for (const packet of packets) {
      this.rate.add(nowUs, packet.data.byteLength);
      for (const user of this.users) user.take(packet);
    }
  }
}
