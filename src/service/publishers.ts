import { SourceSpec } from "../contract/source-spec.ts";
import { ExistsError, ForbiddenError, InvalidArgumentError, NotFoundError } from "../core/error.ts";
import { ID_PATTERN } from "../core/id.ts";
import type { Mix } from "./mix.ts";
import { changed, type SourceState, sourceOf } from "./state.ts";
import { monotonicMs } from "./time.ts";
import { demand, type Tokens } from "./tokens.ts";
import type { WorkerProcess } from "./worker.ts";

/** What a publisher says when it knocks at a door, e.g. `rtmp://host/{app}/{name}?{query}`. */
export interface PublishRequest {
  readonly app: string;
  /** Names the mix. */
  readonly name: string;
  /** `source`: which source it is, `rtmp` if absent; `token`: see {@link Tokens}. */
  readonly query: URLSearchParams;
  /** Address and port, for the log. */
  readonly remote: string;
}

/** Where an accepted publisher's packets go. */
export interface PublishTarget {
  readonly mix: string;
  readonly source: string;
}

/** What publishers need of the service. */
export interface PublisherHost {
  mix(id: string): Mix;
  has(mix: string): boolean;
  removeSource(mix: Mix, source: string): Promise<void>;
  inOrder(mix: string, task: () => Promise<void>): Promise<void>;
}

/** A key whose publisher sent nothing for this long may be taken over. */
const IN_USE_MS = 5000;
/** A source that a publish created stays this long after its publisher, who may be reconnecting. */
const LINGER_MS = 30_000;
const DEFAULT_SOURCE = "rtmp";

/** One accepted publisher, from {@link Publishers.attach} until {@link detach}. */
export class PublisherSeat implements PublishTarget {
  readonly mix: string;
  readonly source: string;
  /** Aborts when a newcomer takes the key over or the source is removed: close the socket then. */
  readonly ended: AbortSignal;
  readonly #end = new AbortController();
  readonly #host: PublisherHost;
  readonly #now: () => number;
  #lastBytesMs: number;
  #detachedMs: number | undefined;
  /** True once its source exists. */
  seated = false;

  constructor(target: PublishTarget, host: PublisherHost, now: () => number) {
    this.#now = now;
    this.#lastBytesMs = now();
    this.mix = target.mix;
    this.source = target.source;
    this.ended = this.#end.signal;
    this.#host = host;
  }

  /** Call whenever bytes arrive. */
  touch(): void {
    this.#lastBytesMs = this.#now();
  }

  /** Every worker that runs the mix, one after the other: write to its packet pipe until the next one comes. */
  async *workers(): AsyncGenerator<WorkerProcess, void> {
    if (this.#host.has(this.mix)) yield* this.#host.mix(this.mix).workers();
  }

  /** The publisher is gone. Idempotent. */
  detach(): void {
    this.#detachedMs ??= this.#now();
  }

  /** True while its publisher is there and sends. */
  get busy(): boolean {
    return this.#detachedMs === undefined && this.#now() - this.#lastBytesMs < IN_USE_MS;
  }

  /** True if nobody came back in time. */
  get abandoned(): boolean {
    return this.#detachedMs !== undefined && this.#now() - this.#detachedMs >= LINGER_MS;
  }

  evict(why: Error): void {
    this.detach();
    this.#end.abort(why);
  }
}

/** Lets publishers in and ties them to sources. Outlives workers: a seat stays when its mix's worker restarts. */
export class Publishers {
  readonly #host: PublisherHost;
  readonly #tokens: Tokens;
  readonly #seats = new Map<string, PublisherSeat>();
  readonly #now: () => number;
  readonly #openedMs: number;

  /** @param now monotonic milliseconds. */
  constructor(host: PublisherHost, tokens: Tokens, now: () => number = monotonicMs) {
    this.#now = now;
    this.#openedMs = now();
    this.#host = host;
    this.#tokens = tokens;
  }

  /**
   * Says whether a publisher may come in, and as which source of which mix.
   *
   * @throws {UnauthorizedError} `ERR_UNAUTHORIZED` by its token; {@link NotFoundError} no such mix;
   *   {@link ExistsError} the key is in use or the source is of another kind.
   */
  async authorize(request: PublishRequest): Promise<PublishTarget> {
    const grant = this.#tokens.check(request.query.get("token") ?? undefined);
    demand(grant, "publish", request.name);
    if (request.app !== "live") throw new NotFoundError(`there is no application ${request.app}; use live`);
    const mix = this.#host.mix(request.name);
    const source = request.query.get("source") ?? DEFAULT_SOURCE;
    if (!ID_PATTERN.test(source)) throw new InvalidArgumentError("source", "is not an id");
    const declared = mix.state.sources.find(({ id }) => id === source);
    if (declared !== undefined && declared.kind !== "rtmp") {
      throw new ExistsError(`source ${source} is of kind ${declared.kind}`);
    }
    if (mix.control.quarantined.includes(source)) throw new ForbiddenError(`source ${source} is quarantined`);
    if (this.#seats.get(key(mix.id, source))?.busy)
      throw new ExistsError(`source ${source} is being published`);
    return { mix: mix.id, source };
  }

  /**
   * Seats an authorized publisher; its source is created if nobody declared it.
   *
   * @throws as {@link authorize}, if things changed since.
   */
  async attach(target: PublishTarget): Promise<PublisherSeat> {
    const id = key(target.mix, target.source);
    const before = this.#seats.get(id);
    if (before?.busy) throw new ExistsError(`source ${target.source} is being published`);
    const seat = new PublisherSeat(target, this.#host, this.#now);
    this.#seats.set(id, seat);
    before?.evict(new ExistsError("another publisher took over"));
    try {
      await this.#host.inOrder(target.mix, () => this.#declare(target));
    } catch (error) {
      if (this.#seats.get(id) === seat) this.#seats.delete(id);
      throw error;
    }
    seat.seated = true;
    return seat;
  }

  /** Removes sources that a publish created and whose publisher stays away; call about once a second. */
  async sweep(mix: Mix): Promise<void> {
    const declared = new Set(mix.state.sources.map(({ id }) => id));
    for (const seat of this.#seats.values()) {
      if (seat.mix === mix.id && seat.seated && !declared.has(seat.source)) this.evict(mix.id, seat.source);
    }
    for (const source of mix.control.undeclared) {
      const seat = this.#seats.get(key(mix.id, source));
      const gone = seat === undefined ? this.#now() - this.#openedMs >= LINGER_MS : seat.abandoned;
      if (gone) await this.#host.inOrder(mix.id, () => this.#remove(mix, source));
    }
  }

  /** Ends the publishers of sources that are gone; of the whole mix without `source`. */
  evict(mix: string, source?: string): void {
    for (const [id, seat] of this.#seats) {
      if (seat.mix !== mix || (source !== undefined && seat.source !== source)) continue;
      seat.evict(new NotFoundError(`source ${seat.source} was removed`));
      this.#seats.delete(id);
    }
  }

  async #declare({ mix: id, source }: PublishTarget): Promise<void> {
    const mix = this.#host.mix(id);
    if (mix.state.sources.some((one) => one.id === source)) return;
    const spec: SourceState = sourceOf(SourceSpec.parse({ kind: "rtmp", id: source, name: source }));
    await mix.change(changed(mix.state, { sources: [...mix.state.sources, spec] }));
    mix.note({ undeclared: [...mix.control.undeclared, source] });
  }

  async #remove(mix: Mix, source: string): Promise<void> {
    const seat = this.#seats.get(key(mix.id, source));
    if (seat !== undefined && !seat.abandoned) return;
    await this.#host.removeSource(mix, source);
  }
}

const key = (mix: string, source: string): string => `${mix}/${source}`;
