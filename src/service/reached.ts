import type { MixState } from "../contract/worker.ts";
import type { Step } from "./plan.ts";

type Lists = Pick<MixState, "views" | "sources" | "outputs">;

/** The state of a mix that was at `from`, is on its way to `to`, and has done `step`. */
export function reached(from: MixState, to: MixState, step: Step): MixState {
  if (step.method === "mix.update") return { ...from, audio: to.audio };
  const list = LIST[step.method.split(".")[0] ?? ""];
  const id = idOf(step);
  if (list === undefined || id === undefined) return from;
  const target = to[list].find((one) => one.id === id);
  const others = (from[list] as readonly { readonly id: string }[]).filter((one) => one.id !== id);
  const removed = step.method.endsWith(".remove");
  return { ...from, [list]: removed || target === undefined ? others : [...others, target] };
}

const LIST: Readonly<Record<string, keyof Lists>> = {
  view: "views",
  layout: "views",
  source: "sources",
  output: "outputs",
};

function idOf({ params }: Step): string | undefined {
  if ("id" in params) return params.id;
  if ("source" in params) return params.source.id;
  if ("output" in params) return params.output.id;
  return "view" in params && typeof params.view === "object" ? params.view.id : undefined;
}
