declare const micros: unique symbol;

/** Integer microseconds on the mix clock, or a duration in microseconds. The one time unit inside Tessera. */
export type Micros = number & { readonly [micros]: true };

/** Brands an integer as {@link Micros}; rounds to the nearest microsecond. */
export const us = (value: number): Micros => Math.round(value) as Micros;
/** Milliseconds to {@link Micros}. */
export const ms = (value: number): Micros => Math.round(value * 1000) as Micros;
/** Seconds to {@link Micros}. */
export const seconds = (value: number): Micros => Math.round(value * 1e6) as Micros;
/** {@link Micros} to fractional milliseconds, for display and statistics. */
export const toMs = (value: Micros): number => value / 1000;
/** {@link Micros} to fractional seconds, for display and statistics. */
export const toSeconds = (value: Micros): number => value / 1e6;
