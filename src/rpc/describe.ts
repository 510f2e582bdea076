import type { ViewState } from "../contract/worker.ts";
import type { Mix } from "../service/mix.ts";
import type { OutputStateSpec, SourceState } from "../service/state.ts";

/** A mix as callers get it: what it is made of and how each part is doing. */
export const describeMix = (mix: Mix, rtmpUrl: string | undefined): Record<string, unknown> => ({
  id: mix.id,
  ...(mix.state.name === undefined ? {} : { name: mix.state.name }),
  state: mix.phase,
  ...(mix.failure === undefined ? {} : { error: mix.failure }),
  revision: mix.state.revision,
  restarts: mix.state.restarts,
  createdAt: new Date(mix.control.createdAtMs).toISOString(),
  atUs: mix.nowUs(),
  audio: mix.state.audio,
  views: mix.state.views.map(describeView),
  sources: mix.state.sources.map((source) => describeSource(mix, source, rtmpUrl)),
  outputs: mix.state.outputs.map((output) => describeOutput(mix, output)),
  emptyTimeoutS: mix.state.emptyTimeoutS,
});

/** A source with its state, and for publishers where to. */
export const describeSource = (
  mix: Mix,
  source: SourceState,
  rtmpUrl: string | undefined,
): Record<string, unknown> => ({
  ...source,
  ...mix.status.source(source.id),
  ...(source.kind === "rtmp" && rtmpUrl !== undefined
    ? { publishUrl: `${rtmpUrl}/live/${mix.id}?source=${source.id}` }
    : {}),
});

/** An output with its state. */
export const describeOutput = (mix: Mix, output: OutputStateSpec): Record<string, unknown> => ({
  ...output,
  ...mix.status.output(output.id),
  ...(output.paused === true ? { state: "paused" } : {}),
});

export const describeView = (view: ViewState): Record<string, unknown> => ({ ...view });
