import { monitorEventLoopDelay } from "node:perf_hooks";
import type { MixStats } from "../contract/status.ts";
import type { FromWorker, Snapshot, ToWorker, WorkerMethod, WorkerMethods } from "../contract/worker.ts";
import { BusyError, ExistsError, errorInfo, NotFoundError } from "../core/error.ts";
import type { Logger } from "../core/log.ts";
import type { DecodingSlots } from "./decoding-slot.ts";
import { Mix } from "./mix.ts";
import type { Publishers } from "./source-opener.ts";
import { Turns } from "./turns.ts";

/** How often control hears that we live. */
const ALIVE_MS = 500;
/** How often the event loop's delay is measured; Node's figures contain it. */
const LOOP_PERIOD_MS = 10;

/** How long the answer waits for what is removed to finish, so that another may have its name and its key. */
const FINISH_MS = 500;

/** What a worker needs of its process. */
export interface WorkerContext {
  readonly log: Logger;
  readonly publishers: Publishers;
  readonly slots: DecodingSlots;
  send(message: FromWorker): void;
}

type Handlers = {
  readonly [M in WorkerMethod]: (
    params: WorkerMethods[M]["params"],
  ) => WorkerMethods[M]["result"] | Promise<WorkerMethods[M]["result"]>;
};

/** Hosts mixes and answers control. */
export class Worker {
  readonly #context: WorkerContext;
  readonly #mixes = new Map<string, Mix>();
  readonly #snapshots = new Turns<Snapshot>();
  readonly #handlers: Handlers;
  readonly #loopDelay = monitorEventLoopDelay({ resolution: LOOP_PERIOD_MS });

  constructor(context: WorkerContext) {
    this.#context = context;
    this.#handlers = this.#table();
    this.#loopDelay.enable();
  }

  /** Says that it is ready, and from then on that it lives. */
  start(): void {
    const { send } = this.#context;
    send({ type: "ready" });
    setInterval(() => {
      const { user, system } = process.cpuUsage();
      send({ type: "alive", cpuSeconds: (user + system) / 1e6, rssBytes: process.memoryUsage.rss() });
    }, ALIVE_MS).unref();
  }

  /** Runs one call and sends its answer. Never rejects. */
  async call({ id, method, params }: Extract<ToWorker, { type: "call" }>): Promise<void> {
    try {
      const handler = this.#handlers[method] as ((params: unknown) => unknown) | undefined;
      if (handler === undefined) throw new NotFoundError(`a worker has no method ${method}`);
      const result = await handler(params);
      this.#context.send({ type: "answer", id, result });
    } catch (error) {
      const info = errorInfo(error);
      if (info.fault === "bug") this.#context.log.error({ err: error, method }, "a call failed");
      this.#context.send({ type: "answer", id, error: info });
    }
  }

  /** Finishes all mixes. */
  async close(): Promise<void> {
    await Promise.all([...this.#mixes.values()].map((mix) => this.#end(mix)));
  }

  #open(params: WorkerMethods["mix.open"]["params"]): null {
    const { state, settings } = params;
    if (this.#mixes.has(state.id)) throw new ExistsError(`mix ${state.id} is open`);
    const { publishers, slots, log, send } = this.#context;
    const mix = new Mix(state, {
      settings,
      publishers,
      slots,
      log,
      emit: (atUs, event) => send({ type: "event", mix: state.id, atUs, event }),
    });
    this.#mixes.set(state.id, mix);
    void mix.finished.then((summary) => {
      this.#mixes.delete(state.id);
      send({ type: "done", mix: state.id, summary });
    });
    return null;
  }

  async #end(mix: Mix): Promise<null> {
    mix.stop();
    await mix.finished;
    return null;
  }

  #mix(id: string): Mix {
    const mix = this.#mixes.get(id);
    // Control asks for what it opened: a mix that is not here has just ended.
    if (mix === undefined) throw new BusyError(`mix ${id} is ending`);
    return mix;
  }

  /** One in work for each view and format: a thousand who ask cost the mix no more than one. */
  #snapshot({ mix: id, view, format }: WorkerMethods["snapshot.take"]["params"]): Promise<Snapshot> {
    const mix = this.#mix(id);
    return this.#snapshots.take(`${id}/${view}.${format}`, () => mix.snapshot(view, format));
  }

  #process(): MixStats["process"] {
    const { user, system } = process.cpuUsage();
    return {
      cpuSeconds: (user + system) / 1e6,
      rssBytes: process.memoryUsage.rss(),
      loopDelayMs: this.#loopDelayMs(),
    };
  }

  #loopDelayMs(): number {
    const { count, mean } = this.#loopDelay;
    return count === 0 ? 0 : Math.max(0, mean / 1e6 - LOOP_PERIOD_MS);
  }

  #table(): Handlers {
    const mix = (params: { mix: string }): Mix => this.#mix(params.mix);
    const done = (_: unknown): null => null;
    return {
      "mix.open": (params) => this.#open(params),
      "mix.close": (params) => this.#end(mix(params)),
      "mix.update": (params) => done(mix(params).mixer.configure(params.audio)),
      "mix.stats": (params) => ({ ...mix(params).stats(), process: this.#process() }),
      "source.add": (params) => done(mix(params).addSource(params.source)),
      "source.update": (params) => done(mix(params).updateSource(params.id, params.update)),
      "source.remove": (params) => done(mix(params).removeSource(params.id)),
      "view.add": (params) => done(mix(params).addView(params.view)),
      "view.update": (params) => done(mix(params).updateView(params.view)),
      "view.remove": (params) => soon(mix(params).removeView(params.id)),
      "layout.set": (params) =>
        mix(params).setLayout(params.view, params.atPtsUs, params.dryRun, params.change),
      "layout.get": (params) => mix(params).layout(params.view),
      "output.add": (params) => mix(params).addOutput(params.output),
      "output.update": async (params) => done(await mix(params).updateOutput(params.id, params.update)),
      "output.remove": (params) => soon(mix(params).removeOutput(params.id)),
      "output.split": (params) => done(mix(params).output(params.id).recording?.split()),
      "output.pause": (params) => done(mix(params).output(params.id).pause()),
      "output.resume": (params) => done(mix(params).output(params.id).resume()),
      "snapshot.take": (params) => this.#snapshot(params),
      "asset.refresh": async (params) => done(await mix(params).stills.refresh(params.name)),
    };
  }
}

/** Settles with `work`, or before it if that takes long: it goes on by itself then. */
async function soon(work: Promise<void>): Promise<null> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, FINISH_MS);
  work.catch(() => undefined);
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
  return null;
}
