import { describe, expect, test } from "vitest";
import { us } from "../../src/core/time.ts";
import { StampTracker } from "../../src/ingest/timestamps.ts";

/** Decode stamps in milliseconds of each stream as they come, and what is to come out of them. */
interface Row {
  readonly name: string;
  readonly wrapUs?: number;
  readonly stamps: readonly (readonly [stream: "v" | "a", dtsMs: number])[];
  /** Milliseconds; unchanged if absent. */
  readonly want?: readonly number[];
  /** Which of the packets are marked. */
  readonly marked: readonly number[];
}

/** Length of one turn of MPEG's 33-bit 90 kHz counter (ISO 13818-1 §2.4.3.6), in microseconds. */
const WRAP_33_BIT_90_KHZ = (2 ** 33 / 90_000) * 1e6;
/** Length of one turn of RTMP's and FLV's 32-bit millisecond counter, in microseconds. */
const WRAP_32_BIT_MS = 2 ** 32 * 1000;
const turn33 = WRAP_33_BIT_90_KHZ / 1000;
const turn32 = WRAP_32_BIT_MS / 1000;

const rows: readonly Row[] = [
  {
    name: "a steady stream",
    stamps: [
      ["v", 0],
      ["v", 40],
      ["v", 80],
    ],
    marked: [],
  },
  {
    name: "stamps before zero",
    stamps: [
      ["v", -80],
      ["v", -40],
      ["v", 0],
    ],
    marked: [],
  },
  {
    name: "a pause of ten seconds is no jump",
    stamps: [
      ["v", 0],
      ["v", 10_000],
      ["v", 10_040],
    ],
    marked: [],
  },
  {
    name: "more than ten seconds ahead is one",
    stamps: [
      ["v", 0],
      ["v", 10_001],
      ["v", 10_041],
    ],
    marked: [1],
  },
  {
    name: "half a second back is jitter",
    stamps: [
      ["v", 1000],
      ["v", 500],
      ["v", 1040],
    ],
    marked: [],
  },
  {
    name: "more than that is a jump",
    stamps: [
      ["v", 1000],
      ["v", 499],
      ["v", 539],
    ],
    marked: [1],
  },
  {
    name: "a restart at zero is marked once",
    stamps: [
      ["v", 60_000],
      ["v", 0],
      ["v", 40],
      ["v", 80],
    ],
    marked: [1],
  },
  {
    name: "each stream is marked once, the second when it follows",
    stamps: [
      ["v", 60_000],
      ["a", 60_000],
      ["v", 0],
      ["a", 60_020],
      ["a", 60_040],
      ["a", 20],
      ["v", 40],
      ["a", 40],
    ],
    marked: [2, 5],
  },
  {
    name: "a sparse stream beside a busy one is no jump",
    stamps: [
      ["v", 0],
      ["a", 0],
      ["a", 6000],
      ["a", 12_000],
      ["a", 18_000],
      ["v", 15_000],
      ["v", 30_000],
    ],
    marked: [6],
  },
  {
    name: "slides every fifteen seconds beside steady sound",
    stamps: [
      ["v", 0],
      ["a", 0],
      ["a", 8000],
      ["a", 14_900],
      ["v", 15_000],
      ["a", 22_000],
      ["a", 29_900],
      ["v", 30_000],
    ],
    marked: [],
  },
  {
    name: "33 bits wrap",
    wrapUs: WRAP_33_BIT_90_KHZ,
    stamps: [
      ["v", turn33 - 40],
      ["v", 0],
      ["v", 40],
    ],
    want: [turn33 - 40, turn33, turn33 + 40],
    marked: [],
  },
  {
    name: "32 bits of milliseconds wrap, again and again",
    wrapUs: WRAP_32_BIT_MS,
    stamps: [
      ["v", turn32 - 20],
      ["v", 20],
      ["v", turn32 / 2 - 5],
      ["v", turn32 - 20],
      ["v", 20],
    ],
    want: [turn32 - 20, turn32 + 20, 1.5 * turn32 - 5, 2 * turn32 - 20, 2 * turn32 + 20],
    marked: [2, 3],
  },
  {
    name: "a stream that begins behind the wrap joins the other",
    wrapUs: WRAP_33_BIT_90_KHZ,
    stamps: [
      ["v", turn33 - 40],
      ["a", 10],
      ["v", 0],
      ["a", 30],
    ],
    want: [turn33 - 40, turn33 + 10, turn33, turn33 + 30],
    marked: [],
  },
  {
    name: "stragglers from before the wrap stay before it",
    wrapUs: WRAP_33_BIT_90_KHZ,
    stamps: [
      ["v", turn33 - 40],
      ["v", 0],
      ["a", turn33 - 20],
      ["v", 40],
    ],
    want: [turn33 - 40, turn33, turn33 - 20, turn33 + 40],
    marked: [],
  },
];

describe("stamps", () => {
  for (const { name, wrapUs, stamps, want, marked } of rows) {
    test(name, () => {
      const tracker = wrapUs === undefined ? new StampTracker() : new StampTracker(wrapUs);
      const tracked = stamps.map(([stream, dtsMs]) => {
        const dtsUs = us(dtsMs * 1000);
        return tracker.track(stream, { dtsUs, ptsUs: us(dtsUs + 80_000) });
      });
      const wanted = (want ?? stamps.map(([, dtsMs]) => dtsMs)).map((dtsMs) => dtsMs * 1000);
      for (const [index, dtsUs] of wanted.entries()) {
        expect(Math.abs((tracked[index]?.dtsUs ?? 0) - dtsUs), `packet ${index}`).toBeLessThanOrEqual(1);
        expect((tracked[index]?.ptsUs ?? 0) - (tracked[index]?.dtsUs ?? 0)).toBe(80_000);
      }
      expect(tracked.flatMap(({ discontinuity }, index) => (discontinuity ? [index] : []))).toEqual(marked);
    });
  }

  test("a presentation stamp that has wrapped before its decode stamp stays ahead of it", () => {
    const tracker = new StampTracker(WRAP_33_BIT_90_KHZ);
    const dtsUs = us(WRAP_33_BIT_90_KHZ - 40_000);
    const tracked = tracker.track("v", { dtsUs, ptsUs: us(40_000) });
    expect(tracked.ptsUs - tracked.dtsUs).toBe(80_000);
  });
});
