import type { MixSpec } from "../contract/mix-spec.ts";
import type { MixState } from "../contract/worker.ts";
import { digest } from "./canonical.ts";

/** What callers add to a mix, each under an id of its own. */
export type PartKind = "view" | "source" | "output";

/** The fingerprint of what was asked for under an id, given or made, so that it is known when it is asked for again. */
export const bodyOf = (spec: object, id: string): string => digest({ ...spec, id });

/** Where a part's fingerprint is kept. */
export const bodyKey = (kind: PartKind, id: string): string => `${kind}/${id}`;

/** The fingerprints of a mix (`""`) and of everything in it; `state` is what `spec` has become. */
export function bodiesOf(spec: MixSpec, state: MixState): Record<string, string> {
  const of = (
    kind: PartKind,
    specs: readonly object[],
    parts: readonly { readonly id: string }[],
  ): [string, string][] => parts.map(({ id }, index) => [bodyKey(kind, id), bodyOf(specs[index] ?? {}, id)]);
  return Object.fromEntries([
    ["", bodyOf(spec, state.id)],
    ...of("view", spec.views, state.views),
    ...of("source", spec.sources, state.sources),
    ...of("output", spec.outputs, state.outputs),
  ]);
}
