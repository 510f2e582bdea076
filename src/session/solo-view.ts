import type { OutputSpec } from "../contract/output-spec.ts";
import type { Identified, ViewState } from "../contract/worker.ts";

/** The view behind an output that takes one source instead of a view: that source alone, whole, in the output's size. */
export const soloView = {
  idOf({ source, video }: Identified<OutputSpec>): string {
    return `${source}@${video.width ?? 1280}x${video.height ?? 720}@${video.fps ?? 30}`;
  },

  /** True if a view of this id is of that kind: callers' ids have no `@`. */
  is(id: string): boolean {
    return id.includes("@");
  },

  state(spec: Identified<OutputSpec>): ViewState {
    const { source = "", video } = spec;
    return {
      id: soloView.idOf(spec),
      width: video.width ?? 1280,
      height: video.height ?? 720,
      fps: String(video.fps ?? 30),
      accel: video.accel,
      layout: {
        tessera: 1,
        name: "solo",
        background: { color: "#000000" },
        arrangements: [
          { slots: [{ id: "solo", x: 0, y: 0, width: 1, height: 1, fit: "contain", take: { source } }] },
        ],
      },
      assign: {},
      revision: 0,
    };
  },
};
