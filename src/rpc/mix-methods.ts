import { z } from "zod";
import { MixSpec } from "../contract/mix-spec.ts";
import { Id } from "../contract/source-spec.ts";
import type { MixState } from "../contract/worker.ts";
import { InvalidArgumentError, RevisionError } from "../core/error.ts";
import { newId } from "../core/id.ts";
import { bodiesOf } from "../service/bodies.ts";
import { digest } from "../service/canonical.ts";
import type { Mix } from "../service/mix.ts";
import type { Service } from "../service/service.ts";
import { changed, stateOf } from "../service/state.ts";
import { describeMix } from "./describe.ts";
import { type Method, method, ofMix, ofNode } from "./method.ts";
import { refuseOutput, refuseSource, refuseView } from "./not-supported.ts";
import { relocating } from "./pointer.ts";

const STATS_MS = 10_000;
const OfMix = z.strictObject({ mix: Id });

/** An id that a retry on any node comes to as well. */
const idFor = (key: string | undefined): string =>
  key === undefined ? newId("mix") : `mix-${digest(key).slice(0, 16)}`;

export const MIX_METHODS: readonly Method[] = [
  method({
    name: "mix.create",
    action: "control",
    params: MixSpec,
    covers: ofNode,
    runsIn: ({ id }) => id,
    complete: ({ id }, key) => ({ id: id ?? idFor(key) }),
    handle: async ({ service }, spec) => {
      refuseUnsupported(spec, "");
      return describeMix(await service.create(spec), service.rtmpUrl);
    },
  }),
  method({
    name: "mix.get",
    action: "control",
    reads: true,
    params: OfMix,
    covers: ofMix,
    handle: ({ service }, { mix }) => describeMix(service.mix(mix), service.rtmpUrl),
  }),
  method({
    name: "mix.list",
    action: "control",
    reads: true,
    params: z.strictObject({}),
    covers: ofNode,
    handle: ({ service }) => service.mixes().map((mix) => describeMix(mix, service.rtmpUrl)),
  }),
  method({
    name: "mix.stats",
    action: "control",
    reads: true,
    params: OfMix,
    covers: ofMix,
    handle: ({ service }, { mix }) => service.mix(mix).stats(STATS_MS),
  }),
  method({
    name: "mix.close",
    action: "control",
    params: OfMix,
    covers: ofMix,
    handle: async ({ service }, { mix }) => {
      await service.remove(mix, "was asked to");
      return null;
    },
  }),
  method({
    name: "mix.apply",
    action: "control",
    params: z.strictObject({ mix: Id, spec: MixSpec, expect: z.number().int().optional() }),
    covers: ofMix,
    handle: async ({ service }, { mix: id, spec, expect }) => {
      refuseUnsupported(spec, "/spec");
      const mix = service.mix(id);
      if (spec.id !== undefined && spec.id !== id)
        throw new InvalidArgumentError("/spec/id", `is not ${id}, and a mix keeps its id`);
      if (expect !== undefined && expect !== mix.state.revision) {
        throw new RevisionError(`mix ${id} is at revision ${mix.state.revision}, not ${expect}`);
      }
      await apply(service, mix, spec);
      return describeMix(mix, service.rtmpUrl);
    },
  }),
];

/** Assignments are the operator's, not the spec's, so they stay; a view whose layout changes counts on. */
async function apply(service: Service, mix: Mix, spec: MixSpec): Promise<void> {
  const admitted = await service.admit(spec, "/spec");
  const next = relocating("", "/spec", () => {
    const wanted = stateOf({ ...admitted, id: mix.id }, mix.id, 0, (layout, at) =>
      service.layouts.resolve(layout, at),
    );
    const { name, audio, sources, outputs, emptyTimeoutS } = wanted;
    const views = wanted.views.map((view) => withHistory(view, mix.state));
    return changed(mix.state, { name, audio, views, sources, outputs, emptyTimeoutS });
  });
  using _targets = relocating("", "/spec", () => service.targets.reserve(next));
  await mix.change(next);
  // Whatever is in the spec is declared by it, also if a publisher was there first.
  mix.note({ bodies: bodiesOf(spec, next), undeclared: [] });
}

function withHistory(view: MixState["views"][number], state: MixState): MixState["views"][number] {
  const before = state.views.find(({ id }) => id === view.id);
  if (before === undefined) return view;
  const isSame = digest(before.layout) === digest(view.layout);
  return { ...view, assign: before.assign, revision: isSame ? before.revision : before.revision + 1 };
}

function refuseUnsupported(spec: MixSpec, pointer: string): void {
  for (const [index, view] of spec.views.entries()) refuseView(view, `${pointer}/views/${index}`);
  for (const [index, source] of spec.sources.entries()) refuseSource(source, `${pointer}/sources/${index}`);
  for (const [index, output] of spec.outputs.entries()) refuseOutput(output, `${pointer}/outputs/${index}`);
}
