import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, expect, test } from "vitest";
import { soloView } from "../../src/session/solo-view.ts";
import { outputSpec, Stage, sourceSpec, viewState } from "./stage.ts";

const SMALL = { id: "main", width: 160, height: 96, fps: 25 } as const;
const toFile = (id: string, over: object = {}) =>
  outputSpec({ id, kind: "file", path: `${id}.mkv`, video: { preset: "ultrafast" }, ...over });
const until = async (isSo: () => boolean): Promise<void> => {
  for (const endMs = performance.now() + 5000; !isSo() && performance.now() < endMs; )
    await new Promise((resolve) => setTimeout(resolve, 10));
  expect(isSo()).toBe(true);
};

describe("a source", () => {
  test("that is removed leaves its id free at once, and its end does not touch the one that comes after it", async () => {
    await using stage = new Stage({ views: [SMALL] });
    const { mix } = stage;
    const spec = sourceSpec({ id: "anna", kind: "test", pattern: "bars", tone: 440 });
    mix.addSource(spec);
    await until(() => mix.sources.get("anna")?.state === "online");
    mix.removeSource("anna");
    mix.addSource(spec);
    await until(() => mix.sources.get("anna")?.state === "online");
    expect(() => mix.mixer.stats("anna")).not.toThrow();
    expect(mix.stats().sources.map(({ id, state }) => ({ id, state }))).toEqual([
      { id: "anna", state: "online" },
    ]);
  });

  test("that comes back under its id is told on air again", async () => {
    await using stage = new Stage({ views: [SMALL] });
    const { mix } = stage;
    const spec = sourceSpec({ id: "anna", kind: "test", pattern: "bars" });
    const onAir = (): number => stage.about("anna").filter((type) => type === "source.onAir").length;
    mix.addSource(spec);
    await until(() => onAir() === 1);
    mix.removeSource("anna");
    mix.addSource(spec);
    await until(() => onAir() === 2);
  });
});

describe("an output", () => {
  test("that cannot be opened leaves nothing behind", async () => {
    await using stage = new Stage({ views: [SMALL] });
    const { mix } = stage;
    mix.addSource(sourceSpec({ id: "anna", kind: "test", pattern: "bars" }));
    const impossible = { kind: "srt", url: "srt://127.0.0.1:9" } as const;
    expect(() => mix.addOutput(outputSpec({ id: "o", ...impossible }))).toThrow(/not supported/);
    expect(() => mix.addOutput(outputSpec({ id: "o", ...impossible, source: "anna" }))).toThrow(
      /not supported/,
    );
    await until(() => mix.stats().encoders.length === 0);
    expect([...mix.views.keys()]).toEqual(["main"]);
    expect(mix.views.get("main")?.isWatched).toBe(false);
  });

  test("that is removed costs nothing any more: no encoder, no view of its own", async () => {
    await using stage = new Stage({ views: [SMALL] });
    const { mix } = stage;
    mix.addSource(sourceSpec({ id: "anna", kind: "test", pattern: "bars" }));
    const solo = toFile("solo", { source: "anna", video: { width: 160, height: 96 } });
    mix.addOutput(toFile("a"));
    mix.addOutput(solo);
    await until(() => mix.stats().outputs.every(({ frames }) => frames > 5));
    expect([...mix.views.keys()]).toEqual(["main", soloView.idOf(solo)]);
    await mix.removeOutput("solo");
    await mix.removeOutput("a");
    expect(mix.stats().encoders).toEqual([]);
    expect([...mix.views.keys()]).toEqual(["main"]);
    expect(mix.views.get("main")?.isWatched).toBe(false);
  });

  test("that fails costs nothing any more, and the others on its encoder go on", async () => {
    await using stage = new Stage({ views: [SMALL] });
    const { mix } = stage;
    mix.addOutput(toFile("stays"));
    const video = { preset: "ultrafast", bitrateBps: 123_000 } as const;
    mix.addOutput(outputSpec({ id: "bad", kind: "rtmp", url: "rtmp://10.0.0.1/live/key", video }));
    expect(mix.stats().encoders.filter(({ kind }) => kind === "video")).toHaveLength(2);
    await until(() => mix.outputs.get("bad")?.state === "failed");
    await until(() => mix.stats().encoders.filter(({ kind }) => kind === "video").length === 1);
    const kept = mix.stats().encoders.map(({ id }) => id);
    await mix.updateOutput("bad", { video: { bitrateBps: 200_000 }, audio: { matrix: { anna: 1 } } });
    expect(mix.stats().encoders.map(({ id }) => id)).toEqual(kept);
    expect(mix.output("bad").spec).toMatchObject({ video: { bitrateBps: 200_000 } });
    const { frames = 0 } = mix.outputs.get("stays")?.status() ?? {};
    await until(() => (mix.outputs.get("stays")?.status().frames ?? 0) > frames + 10);
    await mix.removeOutput("bad");
  });

  test("whose picture and sound are changed at once opens one encoder, and its sound goes on in the one that it has", async () => {
    await using stage = new Stage({ views: [SMALL] });
    const { mix } = stage;
    mix.addOutput(toFile("a"));
    await until(() => (mix.outputs.get("a")?.status().frames ?? 0) > 5);
    await mix.updateOutput("a", { video: { bitrateBps: 200_000 }, audio: { matrix: { anna: 1 } } });
    expect(mix.stats().encoders.map(({ id }) => id)).toEqual(["video-3", "audio-2"]);
  });

  test("that is removed while it is updated leaves nothing behind", async () => {
    await using stage = new Stage({ views: [SMALL] });
    const { mix } = stage;
    mix.addOutput(toFile("a"));
    await until(() => (mix.outputs.get("a")?.status().frames ?? 0) > 5);
    const update = { video: { bitrateBps: 200_000 }, audio: { matrix: { anna: 1 } } };
    await Promise.all([mix.updateOutput("a", update), mix.removeOutput("a")]);
    expect(mix.stats().encoders).toEqual([]);
    expect(mix.views.get("main")?.isWatched).toBe(false);
  });

  test("whose update cannot be done stays as it was", async () => {
    await using stage = new Stage({ views: [SMALL] });
    const { mix } = stage;
    mix.addSource(sourceSpec({ id: "anna", kind: "test", pattern: "bars" }));
    mix.addOutput(toFile("solo", { source: "anna", video: { width: 160, height: 96 } }));
    const before = mix.output("solo").spec;
    const encoders = mix.stats().encoders.map(({ id }) => id);
    mix.removeSource("anna");
    const update = mix.updateOutput("solo", { audio: { matrix: { bert: 1 } } });
    await expect(update).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
    expect(mix.output("solo").spec).toBe(before);
    expect(mix.stats().encoders.map(({ id }) => id)).toEqual(encoders);
  });
});

describe("a view", () => {
  test("that is removed takes its outputs along and answers who waits for its next layout", async () => {
    await using stage = new Stage({ views: [SMALL] });
    const { mix } = stage;
    const side = viewState({ id: "side", fps: "5/1" });
    mix.addView(side);
    mix.addOutput(toFile("a", { view: "side" }));
    const receipt = mix.setLayout({ ...side, revision: 2 }, mix.clock.now() + 60e6, false);
    await mix.removeView("side");
    await receipt;
    expect([...mix.views.keys(), ...mix.outputs.keys()]).toEqual(["main"]);
    expect(stage.about("a").at(-1)).toBe("output.ended");
  });
});

test("an output of one source outlives every view, also the one that outputs show unless told otherwise", async () => {
  await using stage = new Stage({ views: [SMALL] });
  const { mix } = stage;
  mix.addSource(sourceSpec({ id: "cam", kind: "test", pattern: "bars" }));
  mix.addOutput(toFile("iso", { source: "cam", video: { width: 160, height: 96 } }));
  mix.addOutput(toFile("shown"));
  const framesOfIso = (): number => mix.outputs.get("iso")?.status().frames ?? 0;
  await until(() => framesOfIso() > 5);
  await mix.removeView("main");
  const before = framesOfIso();
  await until(() => framesOfIso() > before + 10);
  expect(mix.output("iso").state).toBe("live");
  expect([...mix.outputs.keys()]).toEqual(["iso"]);
});

test("an output that did not come back with its mix can be removed, and is none of its results then", async () => {
  const lost = { id: "lost", kind: "srt", url: "srt://127.0.0.1:9" } as const;
  const stage = new Stage({ views: [SMALL], outputs: [lost] });
  const { mix } = stage;
  expect(stage.about("lost")).toEqual(["output.failed"]);
  await mix.removeOutput("lost");
  await stage[Symbol.asyncDispose]();
  expect((await mix.finished).outputs).toEqual([]);
});

describe("a mix", () => {
  test("on the virtual clock ends when it is told to, also while an input keeps it waiting", async () => {
    const silent = createServer().listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as AddressInfo;
    const url = `http://127.0.0.1:${port}/never.ts`;
    const stage = new Stage(
      { views: [SMALL], sources: [{ id: "s", kind: "pull", url }] },
      { clock: "virtual" },
    );
    await new Promise((resolve) => setTimeout(resolve, 200));
    await stage[Symbol.asyncDispose]();
    silent.close();
    expect(stage.mix.sources.get("s")?.state).not.toBe("online");
  });
});
