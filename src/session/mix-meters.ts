import { DurationHistogram } from "../media/stats.ts";

/** What a mix measures of itself, for `mix.stats` and `/metrics`. */
export class MixMeters {
  readonly compose = new DurationHistogram([0.001, 0.002, 0.004, 0.008, 0.016, 0.033, 0.066, 0.25]);
  readonly encode = new DurationHistogram([0.001, 0.002, 0.004, 0.008, 0.016, 0.033, 0.066, 0.25]);
  /** From the arrival of the newest shown frame's first packet to the departure of the encoded frame. */
  readonly addedLatency = new DurationHistogram([0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.25, 0.5, 1, 2]);
}
