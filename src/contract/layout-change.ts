import type { LayoutDocument } from "../layout/document.ts";
import type { ViewState } from "./worker.ts";

/** What changes in a view's layout, whatever else has changed by the time it comes on air. */
export interface LayoutChange {
  /** Absent: the document stays. */
  readonly layout?: LayoutDocument | undefined;
  /** Slot id to source id or `empty`; `null` gives the slot back to the document; others stay. */
  readonly assign: Readonly<Record<string, string | null>>;
  /** Added to the view's revision: 0 for what only follows from a change elsewhere, such as a source's end. */
  readonly revisions: 0 | 1;
}

/** The view with `change` laid over it. */
export function laidOver(view: ViewState, change: LayoutChange): ViewState {
  const assign = Object.entries({ ...view.assign, ...change.assign });
  return {
    ...view,
    layout: change.layout ?? view.layout,
    assign: Object.fromEntries(assign.filter((one): one is [string, string] => one[1] !== null)),
    revision: view.revision + change.revisions,
  };
}
