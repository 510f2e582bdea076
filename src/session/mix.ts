import type { MixEventBody } from "../contract/events.ts";
import type { LayoutChange } from "../contract/layout-change.ts";
import type { OutputSpec, OutputUpdate } from "../contract/output-spec.ts";
import type { SourceSpec, SourceUpdate } from "../contract/source-spec.ts";
import type { MixStats } from "../contract/status.ts";
import type {
  Identified,
  LayoutReceipt,
  MixState,
  MixSummary,
  Snapshot,
  ViewState,
  WorkerSettings,
} from "../contract/worker.ts";
import { ExistsError, NotFoundError } from "../core/error.ts";
import type { Logger } from "../core/log.ts";
import { period } from "../core/rational.ts";
import { type Micros, us } from "../core/time.ts";
import { type Clock, LiveClock, VirtualClock, wallTimeMs } from "../media/clock.ts";
import { AudioMixer, TICK_US } from "../mixer/audio/audio-mixer.ts";
import { TileCache } from "../mixer/video/tile.ts";
import { Conductor } from "./conductor.ts";
import type { DecodingSlots } from "./decoding-slot.ts";
import { openEgress, streamsOf } from "./egress-opener.ts";
import { EncodePool } from "./encode-pool.ts";
import { MixMeters } from "./mix-meters.ts";
import { mixStats, mixSummary } from "./mix-report.ts";
import { OnAir } from "./on-air.ts";
import { Output } from "./output.ts";
import { OverloadWatch } from "./overload.ts";
import { Pulse } from "./pulse.ts";
import { takeSnapshot } from "./snapshot.ts";
import { soloView } from "./solo-view.ts";
import { Source } from "./source.ts";
import { type Publishers, SourceOpener } from "./source-opener.ts";
import { Stills } from "./stills.ts";
import { updatedOutput } from "./updated-output.ts";
import { View } from "./view.ts";

const TICKS_PER_SECOND = 50;

/** What a mix needs of its worker. */
export interface MixContext {
  readonly settings: WorkerSettings;
  readonly publishers: Publishers;
  readonly slots: DecodingSlots;
  readonly log: Logger;
  emit(atUs: Micros, event: MixEventBody): void;
}

/**
 * The data plane of one mix: sources, views, sound, encoders and outputs, and the conductor that gives the beat.
 *
 * Methods answer at once and never wait for a peer. Whatever breaks in one source or output stays there.
 */
export class Mix {
  readonly id: string;
  readonly clock: Clock;
  readonly mixer: AudioMixer;
  readonly sources = new Map<string, Source>();
  readonly views = new Map<string, View>();
  readonly outputs = new Map<string, Output>();
  readonly pool: EncodePool;
  readonly pulse = new Pulse();
  readonly meters = new MixMeters();
  readonly stills: Stills;
  readonly tiles = new TileCache();
  readonly settings: WorkerSettings;
  /** How it went, once everything is closed. Never rejects. */
  readonly finished: Promise<MixSummary>;
  readonly #context: MixContext;
  readonly #opener: SourceOpener;
  readonly #overload = new OverloadWatch();
  readonly #onAir = new OnAir(this);
  readonly #conductor: Conductor;
  readonly #startWallMs: number;
  #joined = 0;
  #talkers = 0;
  #avOffsetMs = 0;
  #speaker: string | null = null;
  /** The mixer keeps the array while it does not change. */
  #speakers: readonly string[] | undefined;

  constructor(state: MixState, context: MixContext) {
    const { settings } = context;
    this.id = state.id;
    this.settings = settings;
    this.#context = context;
    const virtual = settings.clock === "virtual";
    const held = settings.waitForInputs === true;
    const sinceUs = virtual || held ? 0 : (wallTimeMs() - state.epoch.wallMs) * 1000;
    const originUs = us(Math.max(0, state.epoch.ptsUs + sinceUs));
    this.clock = virtual ? new VirtualClock() : new LiveClock(originUs, { held });
    this.#startWallMs = wallTimeMs() - this.clock.now() / 1000;
    this.mixer = new AudioMixer(state.audio);
    this.stills = new Stills(settings.assetDir);
    this.#opener = new SourceOpener({
      mix: state.id,
      clock: this.clock,
      publishers: context.publishers,
      virtual,
      longestPeriodUs: () => this.#longestPeriodUs(),
      destinations: settings.destinations,
    });
    const firstTick = Math.ceil(this.clock.now() / TICK_US);
    this.pool = new EncodePool(this.mixer, firstTick, {
      clock: this.clock,
      meters: this.meters,
      sync: virtual,
    });
    for (const view of state.views) this.addView(view);
    for (const source of state.sources) this.addSource(source);
    this.#conductor = new Conductor(this, firstTick);
    for (const output of state.outputs) this.#restore(output);
    this.finished = this.#conductor.run().then(() => this.#close());
  }

  get virtual(): boolean {
    return this.settings.clock === "virtual";
  }

  addSource(spec: Identified<SourceSpec>): void {
    if (this.sources.has(spec.id)) throw new ExistsError(`source ${spec.id} exists`);
    this.#joined += 1;
    const slot = this.#context.slots.take(this.id, spec.id);
    const { clock, mixer, pulse } = this;
    const source = new Source(spec, this.#joined, slot, {
      clock,
      mixer,
      pulse,
      opener: this.#opener,
      log: this.#context.log,
      virtual: this.virtual,
      longestPeriodUs: () => this.#longestPeriodUs(),
      endsWithInput: this.settings.until?.inputsEnd === true,
      emit: (event) => this.emit(event),
    });
    this.sources.set(spec.id, source);
    this.emit({ type: "source.added", source: spec.id });
    source.start();
  }

  #longestPeriodUs(): number {
    return Math.max(0, ...[...this.views.values()].map(({ rate }) => period(rate)));
  }

  updateSource(id: string, update: SourceUpdate): void {
    this.#source(id).update(update);
  }

  removeSource(id: string): void {
    const source = this.#source(id);
    this.sources.delete(id);
    this.tiles.forget(id);
    this.#onAir.forget(id);
    this.emit({ type: "source.removed", source: id });
    void source.close();
    this.pulse.beat();
  }

  addView(state: ViewState): View {
    if (this.views.has(state.id)) throw new ExistsError(`view ${state.id} exists`);
    const { sources, virtual } = this;
    const view = new View(state, this.clock.now(), {
      sources,
      virtual,
      meters: this.meters,
      log: this.#context.log,
      tiles: this.tiles,
      stills: this.stills,
      speaker: () => this.#speaker,
      steering: (source) => this.#onAir.steering(source),
      emit: (event) => this.emit(event),
    });
    this.views.set(state.id, view);
    this.#conductor?.begin(view);
    return view;
  }

  async removeView(id: string): Promise<void> {
    const view = this.#view(id);
    this.views.delete(id);
    const specs = [...this.outputs.values()].map(({ spec }) => spec);
    // What is of one source has a view of its own, whichever it names.
    const showing = specs.filter(({ source, view }) => source === undefined && view === id);
    await Promise.all(showing.map((spec) => this.removeOutput(spec.id)));
    this.#conductor.retire(view);
  }

  updateView(state: ViewState): void {
    this.#view(state.id).update(state);
  }

  setLayout(
    view: ViewState,
    atUs: number | undefined,
    dryRun: boolean,
    change?: LayoutChange,
  ): Promise<LayoutReceipt> {
    if (dryRun) return Promise.resolve(this.#view(view.id).preview(view));
    return this.#view(view.id).setLayout(view, atUs === undefined ? undefined : us(atUs), change);
  }

  layout(view: string): LayoutReceipt {
    return this.#view(view).layout();
  }

  /** @throws {DeviceError} `ERR_DEVICE`, {NotSupportedError} `ERR_NOT_SUPPORTED`, {InvalidArgumentError}: nothing is added. */
  addOutput(spec: Identified<OutputSpec>, mayGoOn = false): { readonly sdp?: string } {
    if (this.outputs.has(spec.id)) throw new ExistsError(`output ${spec.id} exists`);
    try {
      return this.#openOutput(spec, mayGoOn);
    } catch (error) {
      void this.pool.sweep();
      this.#retireSolo(spec);
      throw error;
    }
  }

  #openOutput(spec: Identified<OutputSpec>, mayGoOn: boolean): { readonly sdp?: string } {
    const view = this.#viewFor(spec);
    const video = view === undefined ? undefined : this.pool.video(view, spec.video);
    const audio = spec.audio.codec === "none" ? undefined : this.pool.audio(spec);
    const { clock, settings, id: mix } = this;
    const egress = openEgress(spec, streamsOf(video, audio), {
      mix,
      clock,
      settings,
      startWallMs: this.#startWallMs,
      mayGoOn,
    });
    const output = new Output(spec, egress, { now: () => clock.now(), emit: (event) => this.emit(event) });
    this.outputs.set(spec.id, output);
    video?.add(output);
    if (audio !== undefined) this.pool.connectAudio(spec, output);
    // Nobody takes from its encoders any more.
    void output.over.then(() => this.pool.release(output));
    return egress.sdp === undefined ? {} : { sdp: egress.sdp() };
  }

  /** Settles when the new encoders have taken over, with no picture missing or twice. If it rejects nothing has changed. */
  async updateOutput(id: string, update: OutputUpdate): Promise<void> {
    const output = this.output(id);
    const spec = updatedOutput(output.spec, update);
    // It has let go of its encoders, for good.
    if (output.isOver) {
      output.spec = spec;
      return;
    }
    const shown = this.#viewFor(spec);
    const view = update.video === undefined ? undefined : shown;
    try {
      // What may fail comes first.
      if (view !== undefined) this.pool.video(view, spec.video);
      if (update.audio !== undefined) this.pool.reconnectAudio(spec, output);
    } catch (error) {
      void this.pool.sweep();
      throw error;
    }
    if (update.segmentS !== undefined) output.recording?.setSegment(update.segmentS ?? undefined);
    output.spec = spec;
    if (view !== undefined) await this.pool.moveVideo(view, spec.video, output);
  }

  /** One that never opened, or that is not there any more, is gone already. */
  async removeOutput(id: string): Promise<void> {
    this.#conductor.forget(id);
    const output = this.outputs.get(id);
    if (output === undefined) return;
    this.outputs.delete(id);
    await this.pool.release(output);
    await output.close();
    this.#retireSolo(output.spec);
  }

  /** The view of an output's own goes with the last output that it is for. */
  #retireSolo(spec: Identified<OutputSpec>): void {
    const solo = this.views.get(soloView.idOf(spec));
    if (solo !== undefined && solo.encodes.size === 0) void this.removeView(solo.id);
  }

  output(id: string): Output {
    const output = this.outputs.get(id);
    if (output === undefined) throw new NotFoundError(`no output ${id} in mix ${this.id}`);
    return output;
  }

  /** What the view shows now. @throws as {@link takeSnapshot}. */
  async snapshot(id: string, format: "png" | "jpeg"): Promise<Snapshot> {
    return await takeSnapshot(this, this.#view(id), format);
  }

  stats(): Omit<MixStats, "process"> {
    return mixStats(this);
  }

  /** Ends the mix; {@link finished} settles when all is written. */
  stop(): void {
    this.#conductor.stop();
  }

  emit(event: MixEventBody): void {
    this.#context.emit(this.clock.now(), event);
  }

  /** How many sources are mixed now. */
  get talkers(): number {
    return this.#talkers;
  }

  /** The largest distance of any source's sound from its picture so far, in milliseconds; positive: sound first. */
  get avOffsetMs(): number {
    return this.#avOffsetMs;
  }

  /** One audio tick: mixes, encodes, and brings up to date what follows time. */
  audioTick(index: number): void {
    const now = us((index + 1) * TICK_US);
    const sound = this.mixer.tick(index);
    this.pool.tick(index, now);
    this.#talkers = sound.talkers;
    if (index % TICKS_PER_SECOND === 0) {
      this.#noteOffsets();
      for (const what of this.pool.overloads()) this.emit({ type: "overload", what });
      for (const event of this.#overload.look(this.views.values(), now)) this.emit(event);
    }
    if (sound.speaker !== this.#speaker || sound.speakers !== this.#speakers) {
      this.#speaker = sound.speaker;
      this.#speakers = sound.speakers;
      this.emit({ type: "speaker.changed", speaker: sound.speaker, speakers: sound.speakers });
    }
  }

  #noteOffsets(): void {
    for (const id of this.sources.keys()) {
      const offset = -this.mixer.stats(id).playout.errorMs;
      if (Math.abs(offset) > Math.abs(this.#avOffsetMs)) this.#avOffsetMs = offset;
    }
  }

  /** Tells sources who shows them, so that nobody else is decoded. Settles when they have caught up. */
  updateVisibility(): Promise<void> {
    return this.#onAir.update();
  }

  /** Outputs do not wait for inputs that take long to let go. */
  async #close(): Promise<MixSummary> {
    const sources = [...this.sources.values()].map((source) => source.close());
    await this.pool.finish(this.clock.now());
    await Promise.all([...this.outputs.values()].map((output) => output.close()));
    await Promise.all(sources);
    const summary = mixSummary(this, this.#conductor);
    for (const view of this.views.values()) view.close();
    this.tiles[Symbol.dispose]();
    this.stills[Symbol.dispose]();
    this.mixer[Symbol.dispose]();
    return summary;
  }

  /** An output of a restored mix that cannot be opened any more costs itself only. */
  #restore(spec: MixState["outputs"][number]): void {
    try {
      this.addOutput(spec, true);
      if (spec.paused === true) this.outputs.get(spec.id)?.pause();
    } catch (error) {
      this.#conductor.fail(spec.id, error);
    }
  }

  #viewFor(spec: Identified<OutputSpec>): View | undefined {
    if (spec.source !== undefined) {
      if (spec.view === null) return undefined;
      this.#source(spec.source);
      return this.views.get(soloView.idOf(spec)) ?? this.addView(soloView.state(spec));
    }
    return spec.view === null ? undefined : this.#view(spec.view);
  }

  #source(id: string): Source {
    const source = this.sources.get(id);
    if (source === undefined) throw new NotFoundError(`no source ${id} in mix ${this.id}`);
    return source;
  }

  #view(id: string): View {
    const view = this.views.get(id);
    if (view === undefined) throw new NotFoundError(`no view ${id} in mix ${this.id}`);
    return view;
  }
}
