import type { HistogramCounts } from "../contract/status.ts";

/** One mix's counts. */
export interface Counted {
  readonly mix: string;
  readonly counts: HistogramCounts;
}

/**
 * A histogram that workers have counted, in Prometheus' text format 0.0.4. prom-client's own can only be observed
 * into, one value at a time, not told.
 *
 * @param name with its unit, as in INTERFACE.
 */
export function remoteHistogram(name: string, help: string, counted: readonly Counted[]): string {
  return [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} histogram`,
    ...counted.flatMap((one) => samples(name, one)),
  ].join("\n");
}

/** Buckets hold all that is at or below their bound. Ids need no escaping. */
function samples(name: string, { mix, counts: { bounds, counts, sumSeconds } }: Counted): string[] {
  let total = 0;
  const buckets = [...bounds, "+Inf"].map((le, index) => {
    total += counts[index] ?? 0;
    return `${name}_bucket{mix="${mix}",le="${le}"} ${total}`;
  });
  return [...buckets, `${name}_sum{mix="${mix}"} ${sumSeconds}`, `${name}_count{mix="${mix}"} ${total}`];
}
