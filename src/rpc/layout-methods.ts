import { z } from "zod";
import { Id } from "../contract/source-spec.ts";
import type { MixState, ViewState } from "../contract/worker.ts";
import { InvalidArgumentError, RevisionError } from "../core/error.ts";
import type { Service } from "../service/service.ts";
import { changed, viewIn } from "../service/state.ts";
import { type Method, method, ofMix } from "./method.ts";
import { refuseLayoutSet } from "./not-supported.ts";

/** A mix's requests wait for each other, and none waits longer than a caller does. */
const MAX_AHEAD_US = 10_000_000;

/** Checked as a layout and not here, so that its faults are `ERR_LAYOUT_INVALID`. */
const Document = z.looseObject({});

const LayoutSet = z.strictObject({
  mix: Id,
  view: Id.default("main"),
  /** Absent: the one on air, for assignments alone. */
  layout: z.union([z.string().min(1).max(64), Document]).optional(),
  assign: z.record(Id, z.union([Id, z.null()])).optional(),
  expect: z.number().int().optional(),
  dryRun: z.boolean().default(false),
  /** On the mix clock, in microseconds; at most 10 s ahead. */
  at: z.number().int().min(0).optional(),
  ready: z.enum(["now", "wait"]).optional(),
  waitMs: z.number().min(0).max(500).optional(),
});

export const LAYOUT_METHODS: readonly Method[] = [
  method({
    name: "layout.set",
    action: "control",
    params: LayoutSet,
    covers: ofMix,
    handle: async ({ service }, params) => {
      refuseLayoutSet(params);
      const mix = service.mix(params.mix);
      const before = viewIn(mix.state, params.view);
      if ((params.at ?? 0) > mix.nowUs() + MAX_AHEAD_US)
        throw new InvalidArgumentError(
          "/at",
          `is more than 10 s ahead of the mix, which is at ${mix.nowUs()}`,
        );
      if (params.expect !== undefined && params.expect !== before.revision) {
        throw new RevisionError(`view ${before.id} is at revision ${before.revision}, not ${params.expect}`);
      }
      const view: ViewState = {
        ...before,
        layout: documentOf(service, params.layout, before),
        assign: assigned(before.assign, params.assign ?? {}, mix.state),
        revision: before.revision + 1,
      };
      const views = mix.state.views.map((one) => (one.id === view.id ? view : one));
      const options = { atPtsUs: params.at, dryRun: params.dryRun };
      return await mix.setLayout(changed(mix.state, { views }), view.id, options);
    },
  }),
  method({
    name: "layout.get",
    action: "control",
    reads: true,
    params: z.strictObject({ mix: Id, view: Id.default("main") }),
    covers: ofMix,
    handle: ({ service }, { mix, view }) => service.mix(mix).layout(view),
  }),
];

function documentOf(service: Service, layout: z.output<typeof LayoutSet>["layout"], before: ViewState) {
  if (layout === undefined) return before.layout;
  return typeof layout === "string"
    ? service.layouts.named(layout, "/layout")
    : service.layouts.check(layout, "/layout");
}

function assigned(
  before: ViewState["assign"],
  change: Readonly<Record<string, string | null>>,
  state: MixState,
): Record<string, string> {
  const known = new Set(state.sources.map(({ id }) => id));
  const next = new Map(Object.entries(before));
  for (const [slot, source] of Object.entries(change)) {
    if (source !== null && source !== "empty" && !known.has(source)) {
      throw new InvalidArgumentError(`/assign/${slot}`, `there is no source ${source}`);
    }
    if (source === null) next.delete(slot);
    else next.set(slot, source);
  }
  return Object.fromEntries(next);
}
