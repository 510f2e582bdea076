import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MixSpec, type MixSpecInput } from "../../src/contract/mix-spec.ts";
import type { MixState } from "../../src/contract/worker.ts";
import { canonical } from "../../src/service/canonical.ts";
import { Layouts } from "../../src/service/layouts.ts";
import { plan } from "../../src/service/plan.ts";
import { reached } from "../../src/service/reached.ts";
import { stateOf } from "../../src/service/state.ts";

const layouts = new Layouts();
const state = (spec: MixSpecInput): MixState =>
  stateOf(MixSpec.parse(spec), "m", 0, (layout, at) => layouts.resolve(layout, at));
const steps = (from: MixSpecInput, to: MixSpecInput): string[] =>
  plan(state(from), state(to)).map(({ method, params }) => {
    const id = "id" in params ? params.id : Object.values(params).find((one) => typeof one === "object")?.id;
    return `${method} ${id}`;
  });

const test1 = { kind: "test", id: "a" } as const;
const file = { kind: "file", id: "f", path: "f.mp4" } as const;

describe("only what differs is changed", () => {
  const cases: [string, MixSpecInput, MixSpecInput, string[]][] = [
    ["nothing", { sources: [test1] }, { sources: [test1] }, []],
    ["a source comes", {}, { sources: [test1] }, ["source.add a"]],
    ["a source goes", { sources: [test1] }, {}, ["source.remove a"]],
    [
      "a source is renamed",
      { sources: [{ ...test1, name: "A" }] },
      { sources: [{ ...test1, name: "B" }] },
      ["source.update a"],
    ],
    [
      "a source is muted",
      { sources: [test1] },
      { sources: [{ ...test1, audio: { muted: true } }] },
      ["source.update a"],
    ],
    [
      "a source becomes another one",
      { sources: [test1] },
      { sources: [{ kind: "rtmp", id: "a" }] },
      ["source.remove a", "source.add a"],
    ],
    [
      "a pattern is fixed for life",
      { sources: [test1] },
      { sources: [{ ...test1, pattern: "bars" }] },
      ["source.remove a", "source.add a"],
    ],
    [
      "a layout changes",
      { views: [{ layout: "grid" }] },
      { views: [{ layout: "speaker" }] },
      ["layout.set main"],
    ],
    ["a slate changes", {}, { views: [{ slate: "s" }] }, ["view.update main"]],
    [
      "a view's size changes, and what shows it starts anew",
      { outputs: [file] },
      { views: [{ width: 640, height: 360 }], outputs: [file] },
      ["output.remove f", "view.remove main", "view.add main", "output.add f"],
    ],
    [
      "a source is replaced, and its own recording starts anew",
      { sources: [test1], outputs: [{ ...file, source: "a" }] },
      { sources: [{ ...test1, pattern: "bars" }], outputs: [{ ...file, source: "a" }] },
      ["output.remove f", "source.remove a", "source.add a", "output.add f"],
    ],
    [
      "a bitrate changes",
      { outputs: [file] },
      { outputs: [{ ...file, video: { bitrateBps: 1e6 } }] },
      ["output.update f"],
    ],
    [
      "a path changes",
      { outputs: [file] },
      { outputs: [{ ...file, path: "g.mp4" }] },
      ["output.remove f", "output.add f"],
    ],
    [
      "mix-minus of another source",
      { outputs: [{ ...file, audio: { without: "a" } }] },
      { outputs: [{ ...file, audio: { without: "b" } }] },
      ["output.update f"],
    ],
  ];
  for (const [name, from, to, want] of cases) {
    test(name, () => expect(steps(from, to)).toEqual(want));
  }
});

test("from any state to any other, the steps lead exactly there", () => {
  const ids = fc.constantFrom("a", "b", "c");
  const source = fc.oneof(
    fc.record({ id: ids, kind: fc.constant("test" as const), pattern: fc.constantFrom("bars", "moving") }),
    fc.record({ id: ids, kind: fc.constant("rtmp" as const), name: fc.constantFrom("x", "y") }),
  );
  const view = fc.record({
    id: ids,
    width: fc.constantFrom(320, 640),
    layout: fc.constantFrom("grid", "speaker"),
  });
  const output = fc.record({
    id: ids,
    kind: fc.constant("file" as const),
    view: fc.constant(null),
    segmentS: fc.constantFrom(1, 2, undefined),
  });
  const byId = { selector: ({ id }: { id: string }) => id, maxLength: 3 };
  const spec = fc
    .record({
      sources: fc.uniqueArray(source, byId),
      views: fc.uniqueArray(view, byId),
      outputs: fc.uniqueArray(output, byId),
    })
    .map(({ sources, views, outputs }) =>
      state({
        sources,
        views,
        outputs: outputs.map((one) => ({ ...one, path: `${one.id}.mp4` })),
      } as MixSpecInput),
    );
  const sorted = ({ sources, views, outputs }: MixState): string =>
    canonical([sources, views, outputs].map((list) => list.map((one) => canonical(one)).sort()));
  fc.assert(
    fc.property(spec, spec, (from, to) => {
      let now = from;
      for (const step of plan(from, to)) now = reached(now, to, step);
      expect(sorted(now)).toBe(sorted(to));
    }),
    { numRuns: 300 },
  );
});
