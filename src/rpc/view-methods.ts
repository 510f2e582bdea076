import { z } from "zod";
import { ViewSpec, ViewUpdate } from "../contract/mix-spec.ts";
import { Id } from "../contract/source-spec.ts";
import { InvalidArgumentError } from "../core/error.ts";
import { changed, viewIn, viewOf } from "../service/state.ts";
import { addedBefore, noteAdded } from "./added-before.ts";
import { describeView } from "./describe.ts";
import { type Method, method, ofMix } from "./method.ts";
import { refuseView } from "./not-supported.ts";

export const VIEW_METHODS: readonly Method[] = [
  method({
    name: "view.add",
    action: "control",
    params: z.strictObject({ mix: Id, view: ViewSpec }),
    covers: ofMix,
    handle: async ({ service }, { mix: id, view: spec }) => {
      refuseView(spec, "/view");
      const mix = service.mix(id);
      const existing = addedBefore(mix, "view", mix.state.views, spec);
      if (existing !== undefined) return describeView(existing);
      const view = viewOf(spec, (layout, at) => service.layouts.resolve(layout, at), "/view/layout");
      service.assets.demand(spec.slate, "/view/slate");
      await mix.change(changed(mix.state, { views: [...mix.state.views, view] }));
      noteAdded(mix, "view", view.id, spec);
      return describeView(view);
    },
  }),
  method({
    name: "view.update",
    action: "control",
    params: ViewUpdate.extend({ mix: Id, view: Id }),
    covers: ofMix,
    handle: async ({ service }, { mix: id, view, slate }) => {
      const mix = service.mix(id);
      const before = viewIn(mix.state, view);
      service.assets.demand(slate, "/slate");
      const updated = slate === undefined ? before : { ...before, slate: slate ?? undefined };
      const views = mix.state.views.map((one) => (one.id === view ? updated : one));
      await mix.change(changed(mix.state, { views }));
      return describeView(updated);
    },
  }),
  method({
    name: "view.remove",
    action: "control",
    params: z.strictObject({ mix: Id, view: Id }),
    covers: ofMix,
    handle: async ({ service }, { mix: id, view }) => {
      const mix = service.mix(id);
      viewIn(mix.state, view);
      const user = mix.state.outputs.find((output) => output.source === undefined && output.view === view);
      if (user !== undefined) throw new InvalidArgumentError("/view", `output ${user.id} shows it`);
      await mix.change(changed(mix.state, { views: mix.state.views.filter((one) => one.id !== view) }));
      return null;
    },
  }),
  method({
    name: "view.list",
    action: "control",
    reads: true,
    params: z.strictObject({ mix: Id }),
    covers: ofMix,
    handle: ({ service }, { mix }) => service.mix(mix).state.views.map(describeView),
  }),
];
