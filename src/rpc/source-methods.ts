import { z } from "zod";
import { Id, SourceSpec, SourceUpdate } from "../contract/source-spec.ts";
import { changed, sourceIn, sourceOf, updatedSource } from "../service/state.ts";
import { addedBefore, noteAdded } from "./added-before.ts";
import { describeSource } from "./describe.ts";
import { type Method, method, ofMix } from "./method.ts";
import { refuseSource } from "./not-supported.ts";
import { relocating } from "./pointer.ts";

export const SOURCE_METHODS: readonly Method[] = [
  method({
    name: "source.add",
    action: "control",
    params: z.strictObject({ mix: Id, source: SourceSpec }),
    covers: ofMix,
    handle: async ({ service }, { mix: id, source: spec }) => {
      refuseSource(spec, "/source");
      const mix = service.mix(id);
      const { sources } = mix.state;
      const existing = addedBefore(mix, "source", sources, spec);
      if (existing !== undefined) return describeSource(mix, existing, service.rtmpUrl);
      service.assets.demand(spec.avatar, "/source/avatar");
      const source = sourceOf(await service.admission.source(spec, "/source"));
      const next = relocating(`/sources/${sources.length}`, "/source", () =>
        changed(mix.state, { sources: [...sources, source] }),
      );
      await mix.change(next);
      noteAdded(mix, "source", source.id, spec);
      return describeSource(mix, source, service.rtmpUrl);
    },
  }),
  method({
    name: "source.update",
    action: "control",
    params: SourceUpdate.extend({ mix: Id, source: Id }),
    covers: ofMix,
    handle: async ({ service }, { mix: id, source, ...update }) => {
      const mix = service.mix(id);
      const updated = updatedSource(sourceIn(mix.state, source), update);
      service.assets.demand(update.avatar, "/avatar");
      const sources = mix.state.sources.map((one) => (one.id === source ? updated : one));
      await mix.change(changed(mix.state, { sources }));
      return describeSource(mix, updated, service.rtmpUrl);
    },
  }),
  method({
    name: "source.remove",
    action: "control",
    params: z.strictObject({ mix: Id, source: Id }),
    covers: ofMix,
    handle: async ({ service }, { mix, source }) => {
      await service.removeSource(service.mix(mix), source);
      return null;
    },
  }),
  method({
    name: "source.list",
    action: "control",
    reads: true,
    params: z.strictObject({ mix: Id }),
    covers: ofMix,
    handle: ({ service }, { mix: id }) => {
      const mix = service.mix(id);
      return mix.state.sources.map((source) => describeSource(mix, source, service.rtmpUrl));
    },
  }),
];
