import { Histogram } from "prom-client";
import type { HistogramCounts } from "../contract/status.ts";

/** One mix's counts, with the labels they stand under. */
export interface Counted {
  readonly labels: Readonly<Record<string, string>>;
  readonly counts: HistogramCounts;
}

interface Sample {
  readonly value: number;
  readonly labels: Record<string, string | number>;
  readonly metricName: string;
}

/** A histogram that workers have counted; here it is only told. */
export class RemoteHistogram extends Histogram<string> {
  readonly #name: string;
  #counted: readonly Counted[] = [];

  constructor(options: {
    readonly name: string;
    readonly help: string;
    readonly labelNames: readonly string[];
  }) {
    super({ ...options, labelNames: [...options.labelNames], registers: [] });
    this.#name = options.name;
  }

  /** Replaces what is told. */
  set(counted: readonly Counted[]): void {
    this.#counted = counted;
  }

  override async get(): ReturnType<Histogram<string>["get"]> {
    const base = await super.get();
    return { ...base, values: this.#counted.flatMap((one) => this.#samples(one)) };
  }

  /** Prometheus' text format: buckets hold all that is at or below their bound. */
  #samples({ labels, counts: { bounds, counts, sumSeconds } }: Counted): Sample[] {
    let total = 0;
    const buckets = [...bounds, "+Inf"].map((le, index) => {
      total += counts[index] ?? 0;
      return { value: total, labels: { ...labels, le }, metricName: `${this.#name}_bucket` };
    });
    return [
      ...buckets,
      { value: sumSeconds, labels, metricName: `${this.#name}_sum` },
      { value: total, labels, metricName: `${this.#name}_count` },
    ];
  }
}
