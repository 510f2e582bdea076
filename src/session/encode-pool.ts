import type { OutputSpec } from "../contract/output-spec.ts";
import type { EncoderStatus } from "../contract/status.ts";
import type { Identified } from "../contract/worker.ts";
import { type Micros, us } from "../core/time.ts";
import { audioSettings } from "../encode/audio-settings.ts";
import { settingsKey, type VideoWish, videoSettings } from "../encode/video-settings.ts";
import { TICK_SAMPLES } from "../media/frame.ts";
import type { AudioMixer } from "../mixer/audio/audio-mixer.ts";
import type { SumRequest } from "../mixer/audio/mix-sum.ts";
import { keyOf } from "../mixer/audio/sum-registry.ts";
import { AudioEncoder, type AudioEncoderSettings } from "../native/audio-encoder.ts";
import { AudioEncode, type EncodeContext, VideoEncode } from "./encodes.ts";
import type { PacketTaker } from "./packet-takers.ts";
import { MinusFeed } from "./sound-feed.ts";
import type { View } from "./view.ts";

/** The encoders of a mix: one per distinct picture or sound, however many outputs ask for it. */
export class EncodePool {
  readonly #mixer: AudioMixer;
  readonly #context: EncodeContext;
  readonly #video = new Map<string, VideoEncode>();
  readonly #views = new Map<VideoEncode, View>();
  readonly #audio = new Map<string, AudioEncode>();
  readonly #feeds = new Map<PacketTaker, MinusFeed>();
  /** Outputs that still get what encoders hold for them. */
  readonly #leaving = new Set<Promise<unknown>>();
  readonly #givenUp = new WeakMap<VideoEncode, { readonly count: number; readonly isRising: boolean }>();
  #count = 0;
  #nextTick: number;

  constructor(mixer: AudioMixer, firstTick: number, context: EncodeContext) {
    this.#mixer = mixer;
    this.#nextTick = firstTick;
    this.#context = context;
  }

  get videos(): Iterable<VideoEncode> {
    return this.#video.values();
  }

  /** Encodes per audio tick. */
  get audioEncodes(): number {
    return this.#audio.size;
  }

  /**
   * The encoder for this wish of this view; the caller adds its output as a user when it is ready to take packets.
   *
   * @throws {DeviceError} `ERR_DEVICE`, {NotSupportedError} `ERR_NOT_SUPPORTED`.
   */
  video(view: View, wish: VideoWish): VideoEncode {
    const shape = { widthPx: view.state.width, heightPx: view.state.height, rate: view.rate };
    const settings = videoSettings(wish, shape);
    const key = settingsKey(view.id, settings, false);
    const known = this.#video.get(key);
    if (known !== undefined) return known;
    const encode = new VideoEncode(this.#newId("video"), settings, this.#context);
    this.#video.set(key, encode);
    this.#views.set(encode, view);
    view.encodes.add(encode);
    return encode;
  }

  /** The encoder of an output's sound. @throws as {@link video}. */
  audio(spec: Identified<OutputSpec>): AudioEncode {
    return this.#audioFor(soundOf(spec), this.#isMinus(spec) ? {} : sumOf(spec));
  }

  /** Connects an output to the sound it asked for. */
  connectAudio(spec: Identified<OutputSpec>, user: PacketTaker): void {
    const shared = this.audio(spec);
    if (!this.#isMinus(spec)) {
      shared.users.add(user);
      return;
    }
    const request = sumOf(spec);
    const handle = this.#mixer.want(request);
    const settings = soundOf(spec);
    this.#feeds.set(
      user,
      new MinusFeed({
        shared,
        user,
        sound: handle,
        openOwn: () => this.#audioFor(settings, request),
        closeOwn: () => void this.sweep(),
      }),
    );
  }

  /**
   * Moves an output to the encoder of another wish between two pictures. Settles when the one before has given its last.
   *
   * @throws as {@link video}; then the output stays where it is.
   */
  async moveVideo(view: View, wish: VideoWish, user: PacketTaker): Promise<void> {
    const next = this.video(view, wish);
    const before = [...this.#video.values()].find((encode) => encode.has(user));
    if (before === next) return;
    const { untilUs, left } = before?.leave(user) ?? {};
    if (untilUs !== undefined && left !== undefined) next.takeOver(user, untilUs, left);
    else if (before !== undefined) next.add(user);
    await this.#going([left, this.sweep()]);
  }

  /**
   * Gives an output another sum, without a packet missing or twice: on an encoder that goes on where its own is.
   *
   * @throws as {@link video}; then nothing has changed.
   */
  reconnectAudio(spec: Identified<OutputSpec>, user: PacketTaker): void {
    const before = [...this.#audio].find(([, { users }]) => users.has(user));
    if (before === undefined || this.#mayJoin(spec, user)) this.#rejoin(spec, user);
    else this.#carryOn(before, spec, user);
    this.#sweepAudio();
  }

  /** True if an encoder of what it wants is there to go to. Of Opus any is, as frames are ticks; else only its own. */
  #mayJoin(spec: Identified<OutputSpec>, user: PacketTaker): boolean {
    const settings = soundOf(spec);
    const known = this.#audio.get(keyFor(sumOf(spec), settings));
    if (settings.codec === "opus") return known !== undefined || this.#isMinus(spec);
    return known?.users.has(user) === true;
  }

  #rejoin(spec: Identified<OutputSpec>, user: PacketTaker): void {
    // What may fail comes first.
    this.audio(spec);
    this.#feeds.get(user)?.close();
    this.#feeds.delete(user);
    for (const encode of this.#audio.values()) encode.users.delete(user);
    this.connectAudio(spec, user);
  }

  /** Changes what the encoder encodes if nobody else uses it, or what one like it does. */
  #carryOn([before, encode]: [string, AudioEncode], spec: Identified<OutputSpec>, user: PacketTaker): void {
    const isAlone = encode.users.size === 1;
    const own = isAlone ? encode : encode.fork(this.#newId("audio"));
    if (isAlone) this.#audio.delete(before);
    encode.users.delete(user);
    own.users.add(user);
    own.change(sumOf(spec));
    const key = keyFor(sumOf(spec), own.encoder.settings);
    // Frames of AAC begin anywhere: another encoder of the same may be there, and would not continue this one's.
    this.#audio.set(this.#audio.has(key) ? `${key}/${own.id}` : key, own);
  }

  /** Lets an output go, after what its encoders have for it; encoders without users close. */
  async release(user: PacketTaker): Promise<void> {
    this.#feeds.get(user)?.close();
    this.#feeds.delete(user);
    for (const [key, encode] of this.#audio) {
      // Its last user: gets what is still inside.
      if (encode.users.has(user) && encode.users.size === 1) this.#closeAudio(key, encode);
      encode.users.delete(user);
    }
    const leaving = [...this.#video.values()].map((encode) => encode.leave(user).left);
    await this.#going([...leaving, this.sweep()]);
  }

  /** Closes encoders without users; they are out of their views at once. Never rejects. */
  async sweep(): Promise<void> {
    this.#sweepAudio();
    const idle = [...this.#video].filter(([, encode]) => encode.users === 0);
    for (const [key, encode] of idle) {
      this.#video.delete(key);
      this.#views.get(encode)?.encodes.delete(encode);
      this.#views.delete(encode);
    }
    await Promise.all(idle.map(([, encode]) => encode.close()));
  }

  #sweepAudio(): void {
    for (const [key, encode] of this.#audio) if (encode.users.size === 0) this.#closeAudio(key, encode);
  }

  async #going(parts: readonly (Promise<void> | undefined)[]): Promise<void> {
    const gone = Promise.all(parts);
    this.#leaving.add(gone);
    await gone;
    this.#leaving.delete(gone);
  }

  #closeAudio(key: string, encode: AudioEncode): void {
    this.#audio.delete(key);
    encode.close(us(0));
  }

  /** The video encoders that have begun to leave out or repeat pictures since this was last asked, each in words. */
  overloads(): string[] {
    const said: string[] = [];
    for (const encode of this.videos) {
      const { count, isRising } = this.#givenUp.get(encode) ?? { count: 0, isRising: false };
      const now = encode.skipped + encode.replaced;
      this.#givenUp.set(encode, { count: now, isRising: now > count });
      if (now > count && !isRising)
        said.push(`encoder ${encode.id} is too slow: it leaves out or repeats pictures`);
    }
    return said;
  }

  /** Encodes the audio tick that the mixer just made. */
  tick(index: number, nowUs: Micros): void {
    // A feed may open an encoder that begins with this very tick.
    this.#nextTick = index;
    for (const feed of this.#feeds.values()) feed.tick();
    for (const encode of this.#audio.values()) encode.tick(nowUs);
    this.#nextTick = index + 1;
  }

  /** Flushes all encoders to their users. */
  async finish(nowUs: Micros): Promise<void> {
    for (const feed of this.#feeds.values()) feed.finish();
    this.#feeds.clear();
    for (const encode of this.#audio.values()) encode.close(nowUs);
    this.#audio.clear();
    await Promise.all([...this.#leaving, ...[...this.#video.values()].map((encode) => encode.close())]);
  }

  status(nowUs: Micros): EncoderStatus[] {
    return [...this.#video.values(), ...this.#audio.values()].map((encode) => encode.status(nowUs));
  }

  #audioFor(settings: AudioEncoderSettings, request: SumRequest): AudioEncode {
    const key = keyFor(request, settings);
    const known = this.#audio.get(key);
    if (known !== undefined) return known;
    const encoder = AudioEncoder.open(settings, this.#nextTick * TICK_SAMPLES);
    const encode = new AudioEncode(this.#newId("audio"), encoder, this.#mixer.want(request));
    this.#audio.set(key, encode);
    return encode;
  }

  /** Opus frames are ticks, so a listener can go from one encoder to another; AAC frames are not. */
  #isMinus(spec: Identified<OutputSpec>): boolean {
    return spec.audio.without !== undefined && soundOf(spec).codec === "opus";
  }

  #newId(kind: string): string {
    this.#count += 1;
    return `${kind}-${this.#count}`;
  }
}

const soundOf = ({ audio, kind }: Identified<OutputSpec>): AudioEncoderSettings =>
  audioSettings(audio, kind === "rtp" ? "opus" : "aac");

const keyFor = (request: SumRequest, settings: AudioEncoderSettings): string =>
  `${keyOf(request)}/${JSON.stringify(settings)}`;

function sumOf({ source, audio }: Identified<OutputSpec>): SumRequest {
  if (audio.matrix !== undefined) return { matrix: audio.matrix };
  if (audio.without !== undefined) return { without: audio.without };
  return source === undefined ? {} : { only: source };
}
