import { InvalidArgumentError } from "./error.ts";
import { type Micros, us } from "./time.ts";

/** A positive ratio of integers in lowest terms, such as a frame rate in frames per second. */
export interface Rational {
  readonly num: number;
  readonly den: number;
}

/**
 * Reads `30`, `29.97` or `"30000/1001"`. Decimals near an NTSC rate (x/1.001) become that rate exactly.
 *
 * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if it is not a positive finite ratio.
 */
export function rational(value: number | string | Rational): Rational {
  if (typeof value === "object") return reduce(value.num, value.den);
  const [num, den] = typeof value === "string" ? value.split("/").map(Number) : [value, 1];
  if (num === undefined || !(num > 0) || !Number.isFinite(num) || (den !== undefined && !(den > 0))) {
    throw new InvalidArgumentError("rational", `is not a positive ratio: ${value}`);
  }
  if (Number.isInteger(num)) return reduce(num, den ?? 1);
  const ntsc = Math.round(num * 1.001);
  if (Math.abs(ntsc / 1.001 - num) < 0.005) return reduce(ntsc * 1000, 1001);
  return reduce(Math.round(num * 1000), 1000);
}

/** The number nearest to `value`; for display and for arithmetic that need not be exact. */
export const toNumber = (value: Rational): number => value.num / value.den;

/** True if both are the same ratio. */
export const equal = (a: Rational, b: Rational): boolean => a.num * b.den === b.num * a.den;

/**
 * When frame `index` of a stream at `rate` is due, from whole seconds plus remainder, so that it stays exact
 * where `index * 1e6 * den` would pass 2^53.
 */
export function frameTime(index: number, rate: Rational): Micros {
  const ticks = index * rate.den;
  const whole = Math.floor(ticks / rate.num);
  return us(whole * 1e6 + Math.round(((ticks - whole * rate.num) * 1e6) / rate.num));
}

/** Index of the newest frame due at or before `at`; the inverse of {@link frameTime}. */
export function frameIndexAt(at: Micros, rate: Rational): number {
  const guess = Math.floor((at / 1e6) * (rate.num / rate.den));
  for (let index = guess + 1; index >= guess - 1; index--) if (frameTime(index, rate) <= at) return index;
  return guess - 1;
}

/** Length of one frame at `rate`, rounded to the microsecond; never sum these, use {@link frameTime}. */
export const period = (rate: Rational): Micros => us((1e6 * rate.den) / rate.num);

function reduce(num: number, den: number): Rational {
  if (!Number.isSafeInteger(num) || !Number.isSafeInteger(den) || num <= 0 || den <= 0) {
    throw new InvalidArgumentError("rational", `is not a positive ratio: ${num}/${den}`);
  }
  let [a, b] = [num, den];
  while (b !== 0) [a, b] = [b, a % b];
  return { num: num / a, den: den / a };
}
