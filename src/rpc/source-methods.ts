import { z } from "zod";
import { Id, SourceSpec, SourceUpdate } from "../contract/source-spec.ts";
import type { Mix } from "../service/mix.ts";
import { changed, type SourceState, sourceIn, sourceOf, updatedSource } from "../service/state.ts";
import { addedBefore, noteAdded } from "./added-before.ts";
import { describeSource } from "./describe.ts";
import { type Method, method, ofMix } from "./method.ts";
import { refuseSource } from "./not-supported.ts";
import { relocating } from "./pointer.ts";

/** The source of a publisher who came before it was declared, as it is here: it goes on, and stays from now on. */
function guestOf(mix: Mix, { kind, id }: SourceSpec): SourceState | undefined {
  if (kind !== "rtmp" || id === undefined || !mix.control.undeclared.includes(id)) return undefined;
  return sourceIn(mix.state, id);
}

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
      const guest = guestOf(mix, spec);
      const existing = guest === undefined ? addedBefore(mix, "source", sources, spec) : undefined;
      if (existing !== undefined) return describeSource(mix, existing, service.rtmpUrl);
      service.assets.demand(spec.avatar, "/source/avatar");
      const added = sourceOf(await service.admission.source(spec, "/source"));
      const source = guest === undefined ? added : { ...added, name: spec.name ?? guest.name };
      const others = sources.filter(({ id }) => id !== source.id);
      const next = relocating(`/sources/${others.length}`, "/source", () =>
        changed(mix.state, { sources: [...others, source] }),
      );
      await mix.change(next);
      noteAdded(mix, "source", source.id, spec);
      mix.note({ undeclared: mix.control.undeclared.filter((id) => id !== source.id) });
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
