import { describe, expect, test } from "vitest";
import type { Ingest } from "../../src/ingest/ingest.ts";
import type { Clock } from "../../src/media/clock.ts";
import type { Packet } from "../../src/media/packet.ts";
import { OnAir } from "../../src/session/on-air.ts";
import type { Publishers } from "../../src/session/source-opener.ts";
import { codedPictures } from "./packets.ts";
import { outputSpec, Stage, sourceSpec, viewState } from "./stage.ts";

const PERIOD_US = 40_000;
const VIEW = { width: 160, height: 96, fps: 25, layout: "grid" } as const;
const isolated = (source: string, fps = 25) => {
  const video = { width: 160, height: 96, fps, preset: "ultrafast" } as const;
  return outputSpec({ id: `${source}-${fps}`, kind: "file", path: `${source}.mkv`, source, video });
};
const pauseMs = (delayMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, delayMs));

/** Publishers of 25 pictures a second, each of which comes so many milliseconds after its time. */
class Cameras implements Publishers {
  readonly #pictures: readonly Packet[];
  readonly #lateMs: Readonly<Record<string, number>>;

  constructor(pictures: readonly Packet[], lateMs: Readonly<Record<string, number>>) {
    this.#pictures = pictures;
    this.#lateMs = lateMs;
  }

  open({ source }: { readonly source: string }, clock: Clock, signal: AbortSignal): Ingest {
    const [pictures, lateMs] = [this.#pictures, this.#lateMs[source] ?? 0];
    const close = async (): Promise<void> => undefined;
    const input = {
      dropped: 0,
      isFinite: false,
      close,
      [Symbol.asyncDispose]: close,
      async *[Symbol.asyncIterator](): AsyncGenerator<Packet, void> {
        const beganUs = clock.now() + lateMs * 1000;
        for (const packet of pictures) {
          while (clock.now() < beganUs + packet.ptsUs && !signal.aborted) await pauseMs(1);
          if (signal.aborted) return;
          const { info } = packet;
          const told = info?.kind === "video" ? { info: { ...info, frameRate: { num: 25, den: 1 } } } : {};
          yield { ...packet, ...told, arrivalUs: clock.now() };
        }
      },
    };
    return input;
  }
}

describe("frames of a source sit mid-tick", () => {
  const cases = [
    { name: "in a view that is not called main", views: ["side"], isolate: false },
    { name: "in a recording of it alone, which no view shows", views: [], isolate: true },
  ];
  for (const { name, views, isolate } of cases) {
    test(name, async () => {
      // However the sources' clocks stand to ours, not both are at our ticks by chance.
      const cameras = new Cameras(await codedPictures(200, 25), { anna: 0, bert: 13 });
      const spec = { views: views.map((id) => ({ id, ...VIEW })) };
      await using stage = new Stage(spec, {}, cameras);
      const { mix } = stage;
      for (const id of ["anna", "bert"]) {
        mix.addSource(sourceSpec({ id, kind: "rtmp" }));
        if (isolate) mix.addOutput(isolated(id));
      }
      using _watching = mix.views.get("side")?.glance() ?? { [Symbol.dispose]: () => undefined };
      const fromTickUs = (id: string): number => {
        const shiftUs = mix.sources.get(id)?.timeline.shiftUs ?? 1;
        return Math.abs(shiftUs - Math.round(shiftUs / PERIOD_US) * PERIOD_US);
      };
      let inRow = 0;
      for (let i = 0; i < 300 && inRow < 25; i++) {
        await pauseMs(20);
        const offUs = Math.max(fromTickUs("anna"), fromTickUs("bert"));
        inRow = offUs < 1500 && mix.sources.get("bert")?.timeline.isTied === true ? inRow + 1 : 0;
      }
      expect(inRow).toBe(25);
    });
  }
});

describe("a source is steered", () => {
  const onAirOf = async (stage: Stage): Promise<OnAir> => {
    const onAir = new OnAir(stage.mix);
    for (const view of stage.mix.views.values()) view.prepare();
    await onAir.update();
    return onAir;
  };
  const stageWith = (): Stage => {
    const stage = new Stage({ views: [] }, {});
    stage.mix.addSource(sourceSpec({ id: "anna", kind: "test", pattern: "bars" }));
    return stage;
  };

  test("by the first view that shows it and is looked at, in the order of the mix", async () => {
    await using stage = stageWith();
    const [first, second] = ["b", "a"].map((id) => stage.mix.addView(viewState({ id })));
    expect((await onAirOf(stage)).steering("anna")).toBeUndefined();
    const look = second?.glance();
    expect((await onAirOf(stage)).steering("anna")).toBe("a");
    const looks = [first?.glance(), look];
    expect((await onAirOf(stage)).steering("anna")).toBe("b");
    for (const one of looks) one?.[Symbol.dispose]();
  });

  test("by the first view of its rate, where one before that has another", async () => {
    await using stage = new Stage({ views: [] }, {}, new Cameras(await codedPictures(50, 25), {}));
    stage.mix.addSource(sourceSpec({ id: "anna", kind: "rtmp" }));
    const looks = [viewState({ id: "other", fps: "30/1" }), viewState({ id: "fits", fps: "25/1" })].map(
      (view) => stage.mix.addView(view).glance(),
    );
    const source = stage.mix.sources.get("anna");
    for (let i = 0; i < 200 && source?.picture.info === undefined; i++) await pauseMs(10);
    expect((await onAirOf(stage)).steering("anna")).toBe("fits");
    for (const look of looks) look[Symbol.dispose]();
  });

  test("by a recording of it alone only while no view shows it", async () => {
    await using stage = stageWith();
    stage.mix.addOutput(isolated("anna"));
    expect((await onAirOf(stage)).steering("anna")).toMatch(/^anna@/);
    using _watching = stage.mix.addView(viewState({ id: "late" })).glance();
    expect((await onAirOf(stage)).steering("anna")).toBe("late");
  });
});
