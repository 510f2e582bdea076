import type { EncoderStatus } from "../contract/status.ts";
import { type ErrorInfo, errorInfo } from "../core/error.ts";
import { frameIndexAt, frameTime } from "../core/rational.ts";
import { type Micros, us } from "../core/time.ts";
import { describe, settingsKey } from "../encode/video-settings.ts";
import type { Clock } from "../media/clock.ts";
import type { Packet } from "../media/packet.ts";
import { RateMeter, Window } from "../media/stats.ts";
import type { SumHandle } from "../mixer/audio/audio-mixer.ts";
import { AudioEncoder, type AudioEncoderSettings } from "../native/audio-encoder.ts";
import { Picture } from "../native/picture.ts";
import { Scaler } from "../native/scaler.ts";
import { VideoEncoder, type VideoEncoderSettings } from "../native/video-encoder.ts";
import type { MixMeters } from "./mix-meters.ts";

/** Who gets an encoder's packets. Never waits, never throws. */
export interface PacketTaker {
  /** Every picture counts, as in a file: for others a slow encoder leaves pictures out. */
  readonly keepsAll?: boolean;
  take(packet: Packet): void;
  /** The encoder broke: nothing more will come. */
  lost(error: ErrorInfo): void;
}

/** How far an encoder may be behind before its view repeats pictures (files) or it leaves numbers out (live sinks). */
const MAX_BEHIND_US = 500_000;
/** Nor does it hold more for a file: pictures are memory. */
const MAX_HELD_US = 10e6;

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
  readonly key: string;
  readonly rate = new RateMeter();
  readonly encodeMs = new Window();
  readonly users = new Set<PacketTaker>();
  readonly encoder: VideoEncoder;
  readonly id: string;
  readonly #settings: VideoEncoderSettings;
  readonly #context: EncodeContext;
  #scaler: Scaler | undefined;
  #nextIndex: number | undefined;
  #turn: Promise<void> = Promise.resolve();
  #wantsKey = false;
  #behind = 0;
  #pending = 0;
  /** Mix times of the newest picture handed in and the newest begun. */
  #offeredUs = us(0);
  #begunUs = us(0);
  /** The last picture handed in was left out: what follows does not fill its place. */
  #leftOut = false;
  #skipped = 0;
  #frames = 0;
  #broken = false;
  #closing: Promise<void> | undefined;

  /** @throws {DeviceError} `ERR_DEVICE` if the encoder does not open. */
  constructor(id: string, view: string, settings: VideoEncoderSettings, context: EncodeContext) {
    this.id = id;
    this.#context = context;
    this.#settings = settings;
    this.key = settingsKey(view, settings, false);
    this.encoder = VideoEncoder.open(settings);
  }

  get skipped(): number {
    return this.#skipped;
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

  /** True while nothing that was handed in is on its way. */
  get isIdle(): boolean {
    return this.#pending === 0;
  }

  /** True while it falls so far behind that its view should make its work easier: it must not leave anything out. */
  get isSlow(): boolean {
    return this.#behindUs > MAX_BEHIND_US && this.#keepsAll;
  }

  get #behindUs(): number {
    return this.#pending === 0 ? 0 : this.#offeredUs - this.#begunUs;
  }

  get #keepsAll(): boolean {
    for (const { keepsAll } of this.users) if (keepsAll === true) return true;
    return this.#context.sync;
  }

  add(user: PacketTaker): void {
    this.users.add(user);
    this.#wantsKey = true;
  }

  /**
   * Takes the picture of mix time `at`; disposes it. Settles when it is encoded, or left out because too many wait.
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
    if (this.#behindUs > (this.#keepsAll ? MAX_HELD_US : MAX_BEHIND_US)) {
      picture[Symbol.dispose]();
      this.#leftOut = true;
      return this.#turn;
    }
    const follows = !this.#leftOut;
    this.#leftOut = false;
    this.#behind += 1;
    this.#pending += 1;
    this.#turn = this.#turn.then(() => this.#take(picture, { at, arrivalUs, follows }));
    return this.#turn;
  }

  async #take(
    picture: Picture,
    { at, arrivalUs, follows }: { at: Micros; arrivalUs: Micros | undefined; follows: boolean },
  ): Promise<void> {
    using owned = picture;
    this.#behind -= 1;
    this.#begunUs = at;
    const due = frameIndexAt(at, this.#settings.rate);
    const next = this.#nextIndex ?? due;
    const isGap = frameTime(due - next, this.#settings.rate) > MAX_BEHIND_US && !this.#keepsAll;
    const first = follows && !isGap ? next : Math.max(next, due);
    this.#skipped += first - next;
    for (this.#nextIndex = first; this.#nextIndex <= due && !this.#broken; this.#nextIndex++)
      await this.#encode(owned, this.#nextIndex);
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
    await this.encoder.close();
    this.#scaler?.[Symbol.dispose]();
  }

  status(nowUs: Micros): EncoderStatus {
    const { perSecond, bitsPerSecond } = this.rate.read(nowUs);
    return {
      id: this.id,
      key: describe(this.#settings),
      kind: "video",
      users: this.users.size,
      fps: perSecond,
      bitrateBps: Math.round(bitsPerSecond),
      device: "cpu",
      encodeMs: this.encodeMs.quantile(0.5),
    };
  }

  async #encode(view: Picture, index: number): Promise<void> {
    const forceKey = this.#wantsKey;
    this.#wantsKey = false;
    const began = performance.now();
    try {
      const picture = await this.#fitted(view);
      this.#give(
        await this.encoder.encode(picture, index, { forceKey, sync: this.#context.sync }),
        frameTime(index, this.#settings.rate),
      );
      this.#frames += 1;
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
      await this.#scaler.scale(view.raw, picture, this.#context.sync);
      return picture;
    } catch (error) {
      picture[Symbol.dispose]();
      throw error;
    }
  }

  #give(packets: readonly Packet[], nowUs: Micros): void {
    for (const packet of packets) {
      this.rate.add(nowUs, packet.data.byteLength);
      for (const user of this.users) user.take(packet);
    }
  }

  #break(error: unknown): void {
    if (this.#broken) return;
    this.#broken = true;
    for (const user of this.users) user.lost(errorInfo(error));
  }
}

/** One audio encoder on one sum of the mixer, shared by every output that asked for the same. */
export class AudioEncode {
  readonly id: string;
  readonly key: string;
  readonly rate = new RateMeter();
  readonly users = new Set<PacketTaker>();
  readonly encoder: AudioEncoder;
  readonly #sound: SumHandle;
  #broken = false;
  #encodes = 0;

  /** @throws {DeviceError} `ERR_DEVICE` if the encoder does not open. */
  constructor(
    id: string,
    key: string,
    settings: AudioEncoderSettings,
    sound: SumHandle,
    startSample: number,
  ) {
    this.id = id;
    this.key = key;
    this.#sound = sound;
    this.encoder = AudioEncoder.open(settings, startSample);
  }

  get encodes(): number {
    return this.#encodes;
  }

  /** True while its sum is the shared mix bit for bit. */
  get isShared(): boolean {
    return this.#sound.shared;
  }

  /** Encodes the tick that the mixer just made. */
  tick(nowUs: Micros): void {
    if (this.#broken) return;
    try {
      this.#give(this.encoder.push(this.#sound.pcm), nowUs);
      this.#encodes += 1;
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
