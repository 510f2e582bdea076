/** One look at a process's memory. */
export interface MemorySample {
  /** Media time or wall time; the slope is per minute of it. */
  readonly atMs: number;
  readonly bytes: number;
}

/**
 * How fast memory grows: the slope of a least-squares line, in megabytes (10^6) per minute.
 *
 * @param fromMs samples before this are warming up and do not count.
 * @throws with fewer than 10 samples: a line through less says nothing.
 */
export function memorySlope(samples: readonly MemorySample[], fromMs = 0): number {
  const counted = samples.filter(({ atMs }) => atMs >= fromMs);
  if (counted.length < 10)
    throw new Error(`${counted.length} samples after ${fromMs} ms are too few for a slope`);
  const mean = (pick: (sample: MemorySample) => number): number =>
    counted.reduce((sum, sample) => sum + pick(sample), 0) / counted.length;
  const meanMs = mean(({ atMs }) => atMs);
  const meanBytes = mean(({ bytes }) => bytes);
  const covariance = mean(({ atMs, bytes }) => (atMs - meanMs) * (bytes - meanBytes));
  const variance = mean(({ atMs }) => (atMs - meanMs) ** 2);
  const bytesPerMs = covariance / variance;
  return (bytesPerMs * 60_000) / 1e6;
}
