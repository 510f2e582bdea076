import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { join, resolve } from "node:path";
import type { MixSpec } from "../contract/mix-spec.ts";
import type { WorkerSettings } from "../contract/worker.ts";
import { DestinationPolicy, type DestinationRules } from "../core/destinations.ts";
import { BusyError, ExistsError, NotFoundError } from "../core/error.ts";
import { newId } from "../core/id.ts";
import type { Logger } from "../core/log.ts";
import { Admission } from "./admission.ts";
import { type Asset, Assets } from "./assets.ts";
import { bodiesOf, bodyOf } from "./bodies.ts";
import { EventHub } from "./events.ts";
import { Housekeeping } from "./housekeeping.ts";
import { Layouts } from "./layouts.ts";
import { Mix, type MixHost } from "./mix.ts";
import { Publishers } from "./publishers.ts";
import { type Later, type Request, Requests, type ScopedAnswer } from "./requests.ts";
import { changed, sourceIn, stateOf, withoutSource } from "./state.ts";
import { Store, type StoredMix } from "./store.ts";
import { Targets } from "./targets.ts";
import { monotonicMs, wallMs, within } from "./time.ts";
import { Tokens } from "./tokens.ts";
import { WorkerPool } from "./worker-pool.ts";

/** All that a node must be told. */
export interface ServiceOptions {
  /** Name of this node. */
  readonly node: string;
  readonly version: string;
  readonly dataDir: string;
  readonly fileDirs: readonly string[];
  readonly destinations: DestinationRules;
  readonly token: string | undefined;
  /** What publishers are told, e.g. `rtmp://127.0.0.1:1935`; undefined: no RTMP door. */
  readonly rtmpUrl: string | undefined;
  readonly worker: {
    readonly entry: string;
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly silenceMs?: number;
  };
  /** Says what this machine can do, in a process of its own: control never loads a codec or a driver. */
  readonly prober: { probe(): Promise<unknown> };
  readonly mixesPerWorker: number;
  readonly maxWorkers: number;
  /** How long a request may take; default 15 s. */
  readonly answerMs?: number;
  readonly log: Logger;
  /** A pino level, for workers. */
  readonly logLevel: string;
}

/** How long workers may take to finish recordings when the service ends. */
const DRAIN_MS = 10_000;

/** The control plane of one node: its mixes, their workers, and what is on disk about them. */
export class Service implements AsyncDisposable {
  readonly hub: EventHub = new EventHub();
  readonly tokens: Tokens;
  readonly assets: Assets;
  readonly layouts: Layouts;
  readonly admission: Admission;
  readonly publishers: Publishers;
  readonly targets: Targets = new Targets(this);
  readonly pool: WorkerPool;
  /** Restarts of workers since the start, by reason. */
  readonly workerRestarts: Map<string, number> = new Map();
  readonly #options: ServiceOptions;
  readonly #log: Logger;
  readonly #store: Store;
  readonly #requests: Requests;
  readonly #mixes = new Map<string, Mix>();
  readonly #settings: WorkerSettings;
  readonly #startedMs = monotonicMs();
  readonly #housekeeping: Housekeeping;
  #draining = false;
  #profiles: unknown = null;
  #probing: Promise<unknown> | undefined;
  #closing: Promise<void> | undefined;

  private constructor(options: ServiceOptions, store: Store) {
    const dataDir = resolve(options.dataDir);
    const recordingsDir = join(dataDir, "recordings");
    mkdirSync(recordingsDir, { recursive: true });
    this.#options = options;
    this.#log = options.log;
    this.#store = store;
    this.#requests = new Requests(
      {
        answer: (scope, key) => store.answer(scope, key),
        save: (mix, answer) => this.#save(mix, answer),
        revert: (mix) => this.#revert(mix),
      },
      options.answerMs,
    );
    this.assets = new Assets(store, join(dataDir, "assets"));
    this.layouts = new Layouts(this.assets);
    this.tokens = new Tokens(
      options.token,
      store.secret("token-key", () => randomBytes(32)),
    );
    const destinations = new DestinationPolicy(options.destinations);
    this.admission = new Admission({ destinations, recordingsDir, fileDirs: options.fileDirs });
    this.publishers = new Publishers(this, this.tokens);
    this.#settings = {
      dataDir: recordingsDir,
      assetDir: this.assets.folder,
      logLevel: options.logLevel,
      rtmpUrl: options.rtmpUrl,
      clock: "live",
      overwrite: false,
      destinations: options.destinations,
    };
    const { mixesPerWorker, maxWorkers } = options;
    this.pool = new WorkerPool({
      worker: { ...options.worker, log: options.log },
      mixesPerWorker,
      maxWorkers,
    });
    this.#housekeeping = new Housekeeping(this, options.log);
  }

  /**
   * Opens the node's data and brings its mixes back; they start while this returns.
   *
   * @param store the node's database, owned; opened in the data folder if none is given.
   * @throws {StorageError} `ERR_STORAGE` if the data cannot be used; it is left as it was.
   */
  static async open(
    options: ServiceOptions,
    store: Store = Store.open(resolve(options.dataDir)),
  ): Promise<Service> {
    try {
      const stored = store.mixes();
      const service = new Service(options, store);
      for (const one of stored) service.#restore(one);
      return service;
    } catch (error) {
      store.close();
      throw error;
    }
  }

  /** True if a mix that is asked for now can start. */
  get ready(): boolean {
    return !this.#draining && this.pool.ready;
  }

  /** What publishers are told, if there is an RTMP door. */
  get rtmpUrl(): string | undefined {
    return this.#options.rtmpUrl;
  }

  /** @throws {NotFoundError} `ERR_NOT_FOUND` */
  mix(id: string): Mix {
    const mix = this.#mixes.get(id);
    if (mix === undefined) throw new NotFoundError(`there is no mix ${id}`);
    return mix;
  }

  has(id: string): boolean {
    return this.#mixes.has(id);
  }

  mixes(): Mix[] {
    return [...this.#mixes.values()];
  }

  /** Carries out a request in its turn; see {@link Requests.run}. */
  run<T>(request: Request, work: () => Promise<T | Later<T>>): Promise<T> {
    return this.#requests.run(request, work);
  }

  /** Answers who only reads; see {@link Requests.read}. */
  read<T>(caller: object, mix: string | undefined, work: () => Promise<T>): Promise<T> {
    return this.#requests.read(caller, mix, work);
  }

  /** As {@link run}, for the node's own work on a mix. */
  inOrder(mix: string, work: () => Promise<void>): Promise<void> {
    return this.#requests.inOrder(mix, work);
  }

  /**
   * Creates a mix and starts it; call within {@link run}. The same id with an equal body gives the one that is there.
   *
   * @throws {ExistsError} `ERR_EXISTS`; {@link BusyError} `ERR_BUSY` if the node is full or draining.
   */
  async create(spec: MixSpec): Promise<Mix> {
    const id = spec.id ?? newId("mix");
    const existing = this.#mixes.get(id);
    if (existing !== undefined) {
      if (existing.control.bodies[""] === bodyOf(spec, id)) return existing;
      throw new ExistsError(`mix ${id} exists and is another one`);
    }
    if (this.#draining) throw new BusyError("this node is draining");
    const state = stateOf(await this.admit(spec), id, wallMs(), (layout, at) =>
      this.layouts.resolve(layout, at),
    );
    using _targets = this.targets.reserve(state);
    const control = {
      createdAtMs: wallMs(),
      bodies: bodiesOf(spec, state),
      crashes: {},
      quarantined: [],
      undeclared: [],
    };
    const mix = new Mix({ state, control, nextSeq: 1, floorUs: 0 }, this.#host(), false);
    this.#mixes.set(id, mix);
    try {
      await mix.opened;
    } catch (error) {
      this.#mixes.delete(id);
      throw error;
    }
    mix.emit({ type: "mix.created" });
    return mix;
  }

  /** The spec with everything checked against this node's rules and assets; it stands at `pointer`. */
  async admit(spec: MixSpec, pointer = ""): Promise<MixSpec> {
    for (const [index, { slate }] of spec.views.entries())
      this.assets.demand(slate, `${pointer}/views/${index}/slate`);
    for (const [index, { avatar }] of spec.sources.entries())
      this.assets.demand(avatar, `${pointer}/sources/${index}/avatar`);
    const sources = await Promise.all(
      spec.sources.map((source, index) => this.admission.source(source, `${pointer}/sources/${index}`)),
    );
    const outputs = await Promise.all(
      spec.outputs.map((output, index) => this.admission.output(output, `${pointer}/outputs/${index}`)),
    );
    return { ...spec, sources, outputs };
  }

  /** Stores an image, as {@link Assets.put}; mixes that show another one under its name show this one now. */
  async putAsset(name: string, data: Uint8Array): Promise<Asset> {
    const asset = await this.assets.put(name, data);
    await Promise.all(this.mixes().map((mix) => mix.refreshAsset(name)));
    return asset;
  }

  /** Takes a source out of a mix, with its publisher and its isolated recordings. Call within {@link run}. */
  async removeSource(mix: Mix, source: string): Promise<void> {
    sourceIn(mix.state, source);
    await mix.change(changed(mix.state, withoutSource(mix.state, source)));
    this.publishers.evict(mix.id, source);
  }

  /** Ends a mix for good: outputs are finished, its state is forgotten. Call within {@link run}. */
  async remove(id: string, why: string): Promise<void> {
    const mix = this.mix(id);
    this.publishers.evict(id);
    await mix.close();
    this.#mixes.delete(id);
    this.#store.save({ remove: [id] });
    mix.emit({ type: "mix.closed", why });
  }

  /** Takes no new mixes any more; those that run go on. */
  drain(): void {
    this.#draining = true;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Tries what this machine can do; kept for {@link info}. Those who ask together share one attempt. */
  probe(): Promise<unknown> {
    this.#probing ??= this.#probe().finally(() => {
      this.#probing = undefined;
    });
    return this.#probing;
  }

  info(): Record<string, unknown> {
    return {
      node: this.#options.node,
      version: this.#options.version,
      uptimeS: Math.round((monotonicMs() - this.#startedMs) / 1000),
      profiles: this.#profiles,
      load: { perCore: (loadavg()[0] ?? 0) / availableParallelism(), cores: availableParallelism() },
      mixes: this.#mixes.size,
      draining: this.#draining,
    };
  }

  /** Ends the service, not its mixes: workers finish their files, and the next start brings the mixes back. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#draining = true;
    this.#housekeeping[Symbol.dispose]();
    this.#saveAll(false);
    const ends = Promise.all(this.mixes().map((mix) => mix.close()));
    await within(ends, DRAIN_MS, undefined);
    await this.pool.close(1000);
    this.#saveAll(true);
    this.hub.close();
    this.#store.close();
  }

  async #probe(): Promise<unknown> {
    this.#profiles = await this.#options.prober.probe();
    return this.#profiles;
  }

  /** The last readings of clocks; a disk that fails must not keep recordings from being finished. */
  #saveAll(isLast: boolean): void {
    try {
      this.#store.save({ put: this.mixes().map((mix) => mix.toStore(isLast)) });
    } catch (error) {
      this.#log.error({ err: error }, "the state could not be saved at the end");
    }
  }

  #restore(stored: StoredMix): void {
    this.#mixes.set(stored.state.id, new Mix(stored, this.#host(), true));
  }

  #host(): MixHost {
    return {
      pool: this.pool,
      hub: this.hub,
      settings: this.#settings,
      log: this.#log,
      inOrder: (mix, task) => this.inOrder(mix, task),
      countRestart: (why) => this.workerRestarts.set(why, (this.workerRestarts.get(why) ?? 0) + 1),
    };
  }

  /** What could not be stored must not stay: the mix goes back to what is on disk, or away if it is not there. */
  async #revert(id: string | undefined): Promise<void> {
    const mix = id === undefined ? undefined : this.#mixes.get(id);
    if (mix === undefined || (await mix.revert())) return;
    this.#mixes.delete(mix.id);
    await mix.close();
    mix.emit({ type: "mix.closed", why: "could not be stored" });
  }

  #save(id: string | undefined, answer: ScopedAnswer | undefined): void {
    const mix = id === undefined ? undefined : this.#mixes.get(id);
    const put = mix?.dirty ? [mix.toStore()] : [];
    if (put.length === 0 && answer === undefined) return;
    this.#store.save({ put, ...(answer === undefined ? {} : { answer }) });
    mix?.saved();
  }
}
