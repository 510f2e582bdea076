import { describe, expect, test } from "vitest";
import { ms, us } from "../../src/core/time.ts";
import { SourceTimeline, type TimelineOptions } from "../../src/mixer/timeline.ts";

const open = (options: Partial<TimelineOptions> = {}): SourceTimeline =>
  new SourceTimeline({ mode: "live", startUs: us(0), delayMs: { min: 40, max: 2000 }, ...options });

/** A deterministic stand-in for jitter: -1 to 1. */
const noise = (index: number): number => Math.sin(index * 12.9898) * Math.cos(index * 78.233);

describe("a file", () => {
  test("plays its stamp 0 at its start, whatever arrives when", () => {
    const timeline = open({ mode: "fixed", startUs: ms(1000) });
    timeline.observe(us(0), ms(4000));
    expect(timeline.shiftUs).toBe(1_000_000);
  });
});

describe("jumps of the stamps", () => {
  test("re-base sound and picture together", () => {
    const timeline = open({ mode: "fixed" });
    for (let i = 0; i < 25; i++) {
      timeline.place("video", ms(i * 40), ms(40), false);
      timeline.place("audio", ms(i * 40), ms(40), false);
    }
    const picture = timeline.place("video", ms(500_000), ms(40), true);
    const sound = timeline.place("audio", ms(500_010), ms(40), true);
    expect(picture).toBe(1_000_000);
    expect(sound - picture).toBe(10_000);
    expect(timeline.jumps).toBe(1);
  });

  test("back to zero, as when an encoder restarts, goes on where it was", () => {
    const timeline = open({ mode: "fixed" });
    for (let i = 0; i < 50; i++) timeline.place("video", ms(i * 40), ms(40), false);
    expect(timeline.place("video", us(0), ms(40), true)).toBe(2_000_000);
    expect(timeline.place("video", ms(40), ms(40), false)).toBe(2_040_000);
  });

  test("of the very first packet mean nothing", () => {
    const timeline = open({ mode: "fixed" });
    expect(timeline.place("video", ms(7000), ms(40), true)).toBe(7_000_000);
    expect(timeline.jumps).toBe(0);
  });
});

describe("a live source", () => {
  test("with jitter is delayed just so that all but nothing comes late", () => {
    const timeline = open();
    let late = 0;
    for (let i = 0; i < 3000; i++) {
      const sourceUs = ms(i * 33);
      const arrival = us(ms(500) + sourceUs + (noise(i) + 1) * 30_000);
      timeline.observe(sourceUs, arrival);
      timeline.advance(arrival);
      if (i > 300 && sourceUs + timeline.shiftUs < arrival) late += 1;
    }
    expect(late).toBe(0);
    expect(timeline.delayMs).toBeGreaterThan(40);
    expect(timeline.delayMs).toBeLessThan(90);
    expect(timeline.jitterMs).toBeGreaterThan(40);
  });

  test("a burst raises the delay at once; 10 s after it is forgotten it is given back", () => {
    const timeline = open();
    const feed = (from: number, to: number, extraUs: number): void => {
      for (let i = from; i < to; i++) {
        const at = us(ms(100) + ms(i * 20) + extraUs);
        timeline.observe(ms(i * 20), at);
        timeline.advance(at);
      }
    };
    feed(0, 500, 0);
    expect(timeline.delayMs).toBeCloseTo(40, 0);
    feed(500, 501, 600_000);
    expect(timeline.delayMs).toBeGreaterThanOrEqual(600);
    feed(501, 501 + 1100, 0);
    expect(timeline.delayMs).toBeLessThan(60);
  });

  test("the delay falls no faster than time-stretching hides, 100 ms a second", () => {
    const timeline = open();
    let before = 0;
    for (let i = 0; i < 2000; i++) {
      const at = us(ms(i * 20) + (i === 300 ? 500_000 : 0));
      timeline.observe(ms(i * 20), at);
      timeline.advance(us(ms(i * 20)));
      if (i > 320) expect(before - timeline.shiftUs).toBeLessThanOrEqual(2100);
      before = timeline.shiftUs;
    }
  });

  test("a burst at the start is played from its end", () => {
    const timeline = open();
    for (let i = 0; i < 60; i++) timeline.observe(ms(i * 33), us(100_000 + i * 500));
    expect(timeline.shiftUs).toBeLessThan(ms(100 + 60 - 59 * 33 + 60));
  });

  test("what is sent at once to begin with is played from its end, and sound leaps there", () => {
    const timeline = open();
    // Two seconds of media within 0.8 s, as a server's buffer comes over a link of its own speed.
    for (let i = 0; i < 100; i++) timeline.observe(ms(i * 20), us(ms(1000) + i * 8000));
    expect(timeline.leaps).toBeGreaterThan(0);
    let during = timeline.leaps;
    for (let i = 100; i < 600; i++) {
      if (i === 120) during = timeline.leaps;
      const at = us(ms(1800) + (i - 100) * 20_000 + (noise(i) + 1) * 10_000);
      timeline.observe(ms(i * 20), at);
      timeline.advance(at);
    }
    expect(timeline.leaps).toBe(during);
    expect(timeline.delayMs).toBeLessThan(60);
  });

  test("sound that comes eight frames at once begins with the delay that it needs", () => {
    const timeline = open();
    const shifts: number[] = [];
    for (let i = 0; i < 200; i++) {
      const group = Math.floor(i / 8);
      timeline.observe(us(i * 21_333), us(ms(1000) + group * 8 * 21_333 + (i % 8) * 200));
      if (i % 8 === 7) shifts.push(timeline.shiftUs);
    }
    expect(Math.max(...shifts) - Math.min(...shifts)).toBeLessThan(1);
    expect(timeline.delayMs).toBeLessThan(180);
  });

  test("a clock 200 ppm off is followed for ten minutes", () => {
    const timeline = open();
    for (let i = 0; i < 30_000; i++) {
      const at = us(i * 20_000 * (1 - 200e-6) + 1e6);
      timeline.observe(us(i * 20_000), at);
      timeline.advance(at);
    }
    expect(timeline.delayMs).toBeGreaterThan(38);
    expect(timeline.delayMs).toBeLessThan(48);
  });

  test("frames of the view's own rate are put on its ticks and stay there under millisecond stamps", () => {
    const timeline = open();
    const period = 1e6 / 30;
    const distances: number[] = [];
    for (let i = 0; i < 900; i++) {
      const sourceUs = us(Math.round(i * 33.3333) * 1000);
      const at = us(sourceUs + 7300 + (noise(i) + 1) * 2000);
      timeline.align(period, sourceUs, period / 2);
      timeline.observe(sourceUs, at);
      timeline.advance(at);
      const phase = (((sourceUs + timeline.shiftUs) % period) + period) % period;
      if (i > 60) distances.push(Math.min(phase, period - phase));
    }
    expect(Math.max(...distances)).toBeLessThan(period / 4);
  });

  test("bounds of the delay may be changed while it plays", () => {
    const timeline = open();
    const feed = (from: number, to: number): void => {
      for (let i = from; i < to; i++) {
        timeline.observe(ms(i * 20), us(ms(100) + ms(i * 20)));
        timeline.advance(us(ms(100) + ms(i * 20)));
      }
    };
    feed(0, 50);
    expect(timeline.delayMs).toBeCloseTo(40, 0);
    timeline.bound({ min: 300, max: 2000 });
    feed(50, 51);
    expect(timeline.delayMs).toBeCloseTo(300, 0);
    timeline.bound({ min: 40, max: 2000 });
    feed(51, 250);
    expect(timeline.delayMs).toBeCloseTo(40, 0);
  });
});

describe.each(["fixed", "paced"] as const)("a %s source", (mode) => {
  const period = 1e6 / 30;
  const edgeUs = period / 2 - 1000;
  /** Tick at which a frame is shown. */
  const tickOf = (timeline: SourceTimeline, sourceUs: number): number =>
    Math.floor((sourceUs + timeline.shiftUs - timeline.nudgeUs - edgeUs) / period) + 1;

  test.each([-1500, -500, 0, 500, 1500])(
    "whose frames lie %i us from the edge of a tick has one to a tick",
    (offUs) => {
      const timeline = open({ mode, startUs: us(edgeUs + offUs) });
      timeline.observe(us(0), us(edgeUs + offUs));
      const ticks: number[] = [];
      for (let i = 0; i < 900; i++) {
        const sourceUs = us(Math.round(i * 33.3333) * 1000);
        timeline.align(period, sourceUs, edgeUs);
        if (i > 5) ticks.push(tickOf(timeline, sourceUs));
      }
      const steps = ticks.slice(1).map((tick, index) => tick - (ticks[index] ?? 0));
      expect(new Set(steps)).toEqual(new Set([1]));
    },
  );

  test("well inside a tick is looked for where it is", () => {
    const timeline = open({ mode, startUs: us(0) });
    timeline.observe(us(0), us(0));
    timeline.align(period, us(-timeline.shiftUs), edgeUs);
    expect(timeline.nudgeUs).toBe(0);
  });
});

describe("a paced source", () => {
  test("begins a little after its first item, and moves later when it stalls", () => {
    const timeline = open({ mode: "paced" });
    timeline.observe(us(0), ms(1000));
    const first = timeline.shiftUs;
    expect(first).toBeGreaterThan(1_000_000);
    timeline.observe(ms(2000), ms(1500));
    expect(timeline.shiftUs).toBe(first);
    timeline.observe(ms(2040), ms(9000));
    expect(timeline.shiftUs).toBeGreaterThanOrEqual(9_000_000 - 2_040_000);
  });
});
