import { monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { MixStats } from "../contract/status.ts";
import type { Service } from "../service/service.ts";
import { DoorMetrics, type Doors } from "./door-metrics.ts";
import { remoteHistogram } from "./remote-histogram.ts";

/** How long a scrape waits for a mix; one that hangs is left out, and shows as a worker restart soon after. */
const SCRAPE_MS = 1000;
/** FFmpeg's encoders whose names are not their codec's. */
const CODEC_OF: Readonly<Record<string, string>> = {
  libx264: "h264",
  libx265: "hevc",
  libvpx: "vp8",
  "libvpx-vp9": "vp9",
  libopus: "opus",
};
const LOOP_PERIOD_MS = 20;
const RPC_BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

/** The node's metrics in Prometheus' text format, base units. Numbers of mixes are asked for at each scrape. */
export class Metrics implements Disposable {
  readonly contentType: string;
  readonly #service: Service;
  readonly #registry = new Registry();
  readonly #loopDelay: ReturnType<typeof monitorEventLoopDelay>;
  readonly #fallbacks: Disposable;
  readonly #rpc: Histogram<"method" | "transport">;
  readonly #counts: ReturnType<typeof counters>;
  readonly #gauges: ReturnType<typeof gauges>;
  readonly #fallbackCount: Counter<"from" | "to" | "why">;
  readonly #doorMetrics = new DoorMetrics(this.#registry);
  #doors: Doors | undefined;
  #loopDelayS = 0;
  #scraping: Promise<string> | undefined;

  constructor(service: Service) {
    this.#service = service;
    this.contentType = this.#registry.contentType;
    this.#counts = counters(this.#registry);
    this.#gauges = gauges(this.#registry);
    this.#fallbackCount = new Counter({
      name: "tessera_device_fallback_total",
      help: "Stages that fell back to another device",
      labelNames: ["from", "to", "why"],
      registers: [this.#registry],
    });
    this.#rpc = new Histogram({
      name: "tessera_rpc_seconds",
      help: "Time from a request's arrival to its answer",
      labelNames: ["method", "transport"],
      buckets: RPC_BUCKETS_S,
      registers: [this.#registry],
    });
    this.#loopDelay = monitorEventLoopDelay({ resolution: LOOP_PERIOD_MS });
    this.#loopDelay.enable();
    this.#fallbacks = this.#countFallbacks();
  }

  /** Counts one request; see `rpc/dispatch.ts`. */
  observe(method: string, transport: string, seconds: number): void {
    this.#rpc.observe({ method, transport }, seconds);
  }

  /** Tells of these doors too, from now on. */
  watch(doors: Doors): void {
    this.#doors = doors;
  }

  /** All metrics as text. Scrapers that come together share one. */
  scrape(): Promise<string> {
    this.#scraping ??= this.#scrape().finally(() => {
      this.#scraping = undefined;
    });
    return this.#scraping;
  }

  [Symbol.dispose](): void {
    this.#loopDelay.disable();
    this.#fallbacks[Symbol.dispose]();
  }

  async #scrape(): Promise<string> {
    const mixes = this.#service.mixes();
    const asked = mixes.map((mix) => mix.stats(SCRAPE_MS).catch(() => undefined));
    const stats = (await withinScrape(asked)).filter((one) => one !== undefined);
    for (const metric of [...Object.values(this.#gauges), ...Object.values(this.#counts)]) metric.reset();
    this.#tellNode();
    this.#doorMetrics.tell(this.#doors?.readings() ?? []);
    for (const one of stats) this.#tellMix(one);
    return [await this.#registry.metrics(), ...histograms(stats)].join("\n");
  }

  #tellNode(): void {
    const { mixes, loopDelay, sources, outputs } = this.#gauges;
    mixes.set(this.#service.mixes().length);
    loopDelay.set({ process: "control" }, this.#readLoopDelay());
    for (const mix of this.#service.mixes()) {
      for (const { kind } of mix.state.sources) sources.inc({ kind });
      for (const { id, kind } of mix.state.outputs) outputs.inc({ kind, state: mix.status.output(id).state });
    }
    for (const [why, count] of this.#service.workerRestarts) this.#counts.restarts.inc({ why }, count);
  }

  /** The 99th percentile since the last reading, in seconds; Node's figures contain the timer's own period. */
  #readLoopDelay(): number {
    if (this.#loopDelay.count > 0) {
      this.#loopDelayS = Math.max(0, this.#loopDelay.percentile(99) / 1e9 - LOOP_PERIOD_MS / 1000);
      this.#loopDelay.reset();
    }
    return this.#loopDelayS;
  }

  #tellMix({ mix, sources, views, encoders, outputs, process }: MixStats): void {
    for (const view of views) {
      this.#counts.late.inc({ mix, view: view.id }, view.late);
      this.#counts.repeated.inc({ mix, view: view.id }, view.repeated);
    }
    for (const { id, droppedBy } of outputs)
      for (const [why, count] of Object.entries(droppedBy))
        this.#counts.dropped.inc({ mix, output: id, why }, count);
    for (const { id, codec, decoder, avOffsetMs, warnings } of sources) {
      this.#gauges.avOffset.set({ mix, source: id }, avOffsetMs / 1000);
      for (const [why, count] of Object.entries(warnings))
        this.#counts.warnings.inc({ mix, source: id, why }, count);
      if (decoder !== undefined) this.#gauges.decoders.inc({ device: decoder, codec: codec.video ?? "" });
    }
    for (const { device, key } of encoders) {
      const encoder = key.split(" ")[0] ?? "";
      this.#gauges.encoders.inc({ device, codec: CODEC_OF[encoder] ?? encoder });
    }
    this.#gauges.loopDelay.set({ process: `worker of ${mix}` }, process.loopDelayMs / 1000);
  }

  /** Fallbacks are only ever told as events. */
  #countFallbacks(): Disposable {
    const events = this.#service.hub.subscribe({ types: ["device.fallback"] });
    const count = async (): Promise<void> => {
      for await (const event of events) {
        if (event.type === "device.fallback") this.#fallbackCount.inc(labelsOf(event));
      }
    };
    void count();
    return events;
  }
}

const labelsOf = ({ from, to, why }: { from: string; to: string; why: string }) => ({
  from,
  to,
  why: why.slice(0, 64),
});

/** A mix that is being restarted would hold its answer back for longer than a scrape may take. */
async function withinScrape<T>(asked: readonly Promise<T>[]): Promise<(T | undefined)[]> {
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => late.resolve(undefined), SCRAPE_MS);
  try {
    return await Promise.all(asked.map((one) => Promise.race([one, late.promise])));
  } finally {
    clearTimeout(timer);
  }
}

/** Totals that workers hold: reset and told anew at each scrape. */
function counters(registry: Registry) {
  const make = <L extends string>(name: string, help: string, labelNames: L[]): Counter<L> =>
    new Counter({ name, help, labelNames, registers: [registry] });
  return {
    late: make("tessera_tick_late_total", "Ticks that began over half a period late", ["mix", "view"]),
    repeated: make("tessera_frames_repeated_total", "Pictures sent again for want of time", ["mix", "view"]),
    dropped: make("tessera_frames_dropped_total", "Packets that one output lost", ["mix", "output", "why"]),
    warnings: make("tessera_source_warnings_total", "What was odd about a source", ["mix", "source", "why"]),
    restarts: make("tessera_worker_restarts_total", "Workers that died under a mix", ["why"]),
  };
}

function gauges(registry: Registry) {
  const make = <L extends string>(name: string, help: string, labelNames: L[]): Gauge<L> =>
    new Gauge({ name, help, labelNames, registers: [registry] });
  return {
    mixes: make("tessera_mixes", "Mixes of this node", []),
    sources: make("tessera_sources", "Sources of all mixes", ["kind"]),
    outputs: make("tessera_outputs", "Outputs of all mixes", ["kind", "state"]),
    encoders: make("tessera_encoders", "Encoders that run", ["device", "codec"]),
    decoders: make("tessera_decoders", "Decoders that run", ["device", "codec"]),
    avOffset: make("tessera_av_offset_seconds", "Sound ahead of its picture", ["mix", "source"]),
    loopDelay: make("tessera_event_loop_delay_seconds", "Delay of the event loop, 99th percentile", [
      "process",
    ]),
  };
}

/** What workers have timed; see {@link remoteHistogram}. */
function histograms(stats: readonly MixStats[]): string[] {
  const tell = (name: string, help: string, of: keyof NonNullable<MixStats["histograms"]>): string => {
    const counted = stats.flatMap(({ mix, histograms: all }) => {
      const counts = all?.[of];
      return counts === undefined ? [] : [{ mix, counts }];
    });
    return `${remoteHistogram(name, help, counted)}\n`;
  };
  return [
    tell("tessera_compose_seconds", "Time to compose one picture", "compose"),
    tell("tessera_encode_seconds", "Time to encode one picture", "encode"),
    tell(
      "tessera_added_latency_seconds",
      "A shown picture's first packet in to its encoded frame out",
      "addedLatency",
    ),
  ];
}
