import { frameTime, type Rational } from "../core/rational.ts";
import type { Micros } from "../core/time.ts";

/** A rounded microsecond stands this near to the frame it means; anything else is off the grid. */
const GRID_TOLERANCE_US = 2;

/** Turns microseconds of the mix clock into one track's ticks, exactly where the stream has a grid. */
export interface TickScale {
  /** Ticks per second. */
  readonly timescale: number;
  /** Ticks between two frames; of a coded audio block when its packets do not say, 0 if unknown. */
  readonly stepTicks: number;
  at(ptsUs: Micros): number;
}

/**
 * Ticks in which every frame at `rate` stands at a whole number: 30000 for 30000/1001 and for 30, 25000 for 25.
 *
 * A stamp that is a rounded n * den / num becomes n frames exactly; another one, the nearest tick.
 */
export function videoScale(rate: Rational): TickScale {
  let factor = 1;
  while (rate.num * factor < 10_000) factor *= 10;
  const timescale = rate.num * factor;
  const stepTicks = rate.den * factor;
  return {
    timescale,
    stepTicks,
    at: (ptsUs) => {
      const index = Math.round((ptsUs / 1e6) * (rate.num / rate.den));
      const onGrid = Math.abs(frameTime(index, rate) - ptsUs) <= GRID_TOLERANCE_US;
      return onGrid ? index * stepTicks : ticksAt(ptsUs, timescale);
    },
  };
}

/** Counts samples. */
export const audioScale = (sampleRate: number, samplesPerPacket: number): TickScale => ({
  timescale: sampleRate,
  stepTicks: samplesPerPacket,
  at: (ptsUs) => ticksAt(ptsUs, sampleRate),
});

/** Nearest tick, from whole seconds plus remainder: a product would pass 2^53 after two days. */
function ticksAt(ptsUs: number, timescale: number): number {
  const whole = Math.floor(ptsUs / 1e6);
  return whole * timescale + Math.round(((ptsUs - whole * 1e6) * timescale) / 1e6);
}
