import type { OutputSpec } from "../contract/output-spec.ts";
import type { EncoderStatus } from "../contract/status.ts";
import type { Identified } from "../contract/worker.ts";
import { type Micros, us } from "../core/time.ts";
import { audioSettings } from "../encode/audio-settings.ts";
import { settingsKey, type VideoWish, videoSettings } from "../encode/video-settings.ts";
import { TICK_SAMPLES } from "../media/frame.ts";
import type { AudioMixer } from "../mixer/audio/audio-mixer.ts";
import type { SumRequest } from "../mixer/audio/mix-sum.ts";
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
    const encode = new VideoEncode(this.#newId("video"), view.id, settings, this.#context);
    this.#video.set(key, encode);
    this.#views.set(encode, view);
    view.encodes.add(encode);
    return encode;
  }

  /** The encoder of an output's sound. @throws as {@link video}. */
  audio(spec: Identified<OutputSpec>): AudioEncode {
    const settings = audioSettings(spec.audio, spec.kind === "rtp" ? "opus" : "aac");
    return this.#audioFor(settings, this.#isMinus(spec) ? {} : sumOf(spec));
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
    const settings = audioSettings(spec.audio, "opus");
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

  /** Gives an output another sum, from the next tick on. */
  reconnectAudio(spec: Identified<OutputSpec>, user: PacketTaker): void {
    this.#feeds.get(user)?.close();
    this.#feeds.delete(user);
    for (const encode of this.#audio.values()) encode.users.delete(user);
    this.connectAudio(spec, user);
    void this.sweep();
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
    for (const [key, encode] of this.#audio) if (encode.users.size === 0) this.#closeAudio(key, encode);
    const idle = [...this.#video].filter(([, encode]) => encode.users === 0);
    for (const [key, encode] of idle) {
      this.#video.delete(key);
      this.#views.get(encode)?.encodes.delete(encode);
      this.#views.delete(encode);
    }
    await Promise.all(idle.map(([, encode]) => encode.close()));
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

  #audioFor(settings: ReturnType<typeof audioSettings>, request: SumRequest): AudioEncode {
    const sound = this.#mixer.want(request);
    const key = `${sound.key}/${JSON.stringify(settings)}`;
    const known = this.#audio.get(key);
    if (known !== undefined) {
      sound[Symbol.dispose]();
      return known;
    }
    const encode = new AudioEncode(this.#newId("audio"), key, settings, sound, this.#nextTick * TICK_SAMPLES);
    this.#audio.set(key, encode);
    return encode;
  }

  /** Opus frames are ticks, so a listener can go from one encoder to another; AAC frames are not. */
  #isMinus(spec: Identified<OutputSpec>): boolean {
    return (
      spec.audio.without !== undefined &&
      audioSettings(spec.audio, spec.kind === "rtp" ? "opus" : "aac").codec === "opus"
    );
  }

  #newId(kind: string): string {
    this.#count += 1;
    return `${kind}-${this.#count}`;
  }
}

function sumOf({ source, audio }: Identified<OutputSpec>): SumRequest {
  if (audio.matrix !== undefined) return { matrix: audio.matrix };
  if (audio.without !== undefined) return { without: audio.without };
  return source === undefined ? {} : { only: source };
}
