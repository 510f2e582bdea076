import { z } from "zod";
import { Id } from "../contract/source-spec.ts";
import type { MixState, ViewState } from "../contract/worker.ts";
import { InvalidArgumentError, RevisionError } from "../core/error.ts";
import type { LayoutDocument } from "../layout/document.ts";
import type { Mix } from "../service/mix.ts";
import type { Service } from "../service/service.ts";
import { viewIn } from "../service/state.ts";
import { type Method, method, ofMix } from "./method.ts";
import { refuseLayoutSet } from "./not-supported.ts";

/** No answer takes longer than a caller waits. */
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
      checkRevision(mix, before, params.expect);
      const layout = params.layout === undefined ? undefined : documentOf(service, params.layout);
      const change = { layout, assign: assignable(params.assign ?? {}, mix.state), revisions: 1 } as const;
      if (params.dryRun) return await mix.layouts.preview(before.id, change);
      if (params.at === undefined) return await mix.layouts.set(before.id, change);
      return await mix.layouts.setAt(before.id, change, params.at);
    },
  }),
  method({
    name: "layout.get",
    action: "control",
    reads: true,
    params: z.strictObject({ mix: Id, view: Id.default("main") }),
    covers: ofMix,
    handle: ({ service }, { mix, view }) => service.mix(mix).layouts.get(view),
  }),
];

/** Who schedules a change has changed the view for everybody who comes after, though it is not to be seen yet. */
function checkRevision(mix: Mix, { id, revision }: ViewState, expect: number | undefined): void {
  const scheduled = mix.layouts.scheduled(id);
  if (expect === undefined || expect === revision + scheduled) return;
  const more = scheduled === 0 ? "" : ` with ${scheduled} more to come`;
  throw new RevisionError(`view ${id} is at revision ${revision}${more}, not ${expect}`);
}

const documentOf = (service: Service, layout: string | object): LayoutDocument =>
  typeof layout === "string"
    ? service.layouts.named(layout, "/layout")
    : service.layouts.check(layout, "/layout");

function assignable<T extends Readonly<Record<string, string | null>>>(assign: T, state: MixState): T {
  const known = new Set(["empty", null, ...state.sources.map(({ id }) => id)]);
  for (const [slot, source] of Object.entries(assign)) {
    if (!known.has(source)) throw new InvalidArgumentError(`/assign/${slot}`, `there is no source ${source}`);
  }
  return assign;
}
