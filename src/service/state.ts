import type { LayoutRef, MixSpec, ViewSpec } from "../contract/mix-spec.ts";
import type { OutputSpec, OutputUpdate } from "../contract/output-spec.ts";
import type { SourceSpec, SourceUpdate } from "../contract/source-spec.ts";
import type { Identified, MixState, ViewState } from "../contract/worker.ts";
import { type Carrier, checkCarried } from "../core/carried.ts";
import { InvalidArgumentError, NotFoundError } from "../core/error.ts";
import { newId } from "../core/id.ts";
import { rational } from "../core/rational.ts";
import type { LayoutDocument } from "../layout/document.ts";
import { exclusiveTargets } from "./targets.ts";

/** A source of a mix's state. */
export type SourceState = Identified<SourceSpec>;
/** An output of a mix's state. */
export type OutputStateSpec = MixState["outputs"][number];
/** Turns a layout's name into its document; documents pass through. */
export type ResolveLayout = (layout: LayoutRef, pointer: string) => LayoutDocument;

/** The state that a spec asks for, before anything runs. Pure but for fresh ids. */
export function stateOf(spec: MixSpec, id: string, wallMs: number, resolve: ResolveLayout): MixState {
  return checked({
    id,
    name: spec.name,
    revision: 1,
    audio: spec.audio,
    views: spec.views.map((view, index) => viewOf(view, resolve, `/views/${index}/layout`)),
    sources: spec.sources.map(sourceOf),
    outputs: spec.outputs.map(outputOf),
    emptyTimeoutS: spec.emptyTimeoutS,
    epoch: { wallMs, ptsUs: 0 },
    restarts: 0,
  });
}

/** A view as it starts: nothing assigned, revision 1. */
export function viewOf(spec: ViewSpec, resolve: ResolveLayout, pointer: string): ViewState {
  const { num, den } = rational(spec.fps);
  const { id, width, height, accel, slate } = spec;
  const layout = resolve(spec.layout, pointer);
  return { id, width, height, fps: `${num}/${den}`, accel, slate, layout, assign: {}, revision: 1 };
}

/** A source with an id, fresh if the caller gave none. */
export const sourceOf = (spec: SourceSpec): SourceState => ({ ...spec, id: spec.id ?? newId("src") });

/** An output with an id, fresh if the caller gave none. One that sends no picture shows no view. */
export const outputOf = (spec: OutputSpec): OutputStateSpec => ({
  ...spec,
  ...(spec.kind === "rtp" && spec.videoPort === undefined ? { view: null } : {}),
  id: spec.id ?? newId("out"),
});

/** The state after one more change: the next revision, and checked as a whole. */
export const changed = (state: MixState, change: Partial<MixState>): MixState =>
  checked({ ...state, ...change, revision: state.revision + 1 });

/** @throws {NotFoundError} `ERR_NOT_FOUND` */
export const sourceIn = (state: MixState, id: string): SourceState => find(state, "sources", "source", id);
/** @throws {NotFoundError} `ERR_NOT_FOUND` */
export const viewIn = (state: MixState, id: string): ViewState => find(state, "views", "view", id);
/** @throws {NotFoundError} `ERR_NOT_FOUND` */
export const outputIn = (state: MixState, id: string): OutputStateSpec =>
  find(state, "outputs", "output", id);

/** The source with `update` laid over it; `null` takes a field away. */
export function updatedSource(source: SourceState, update: SourceUpdate): SourceState {
  const { audio, video, avatar, ...plain } = update;
  const merged = {
    ...source,
    ...defined(plain),
    ...(avatar === undefined ? {} : { avatar: avatar ?? undefined }),
    audio: { ...source.audio, ...defined(audio ?? {}) },
    video: { ...source.video, ...defined(video ?? {}) },
  };
  return merged as SourceState;
}

/**
 * The output with `update` laid over it; `null` takes a field away.
 *
 * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` for a part that this output does not have.
 */
export function updatedOutput(output: OutputStateSpec, update: OutputUpdate): OutputStateSpec {
  if (update.video !== undefined && output.view === null)
    throw new InvalidArgumentError("/video", "this output has no picture");
  if (update.video !== undefined && output.video.rateControl === "crf")
    throw new InvalidArgumentError("/video/bitrateBps", "is not heeded with crf");
  if (update.audio !== undefined && output.audio.codec === "none")
    throw new InvalidArgumentError("/audio", "this output has no sound");
  const { without, matrix } = update.audio ?? {};
  const audio = {
    ...output.audio,
    ...(matrix === undefined ? {} : { matrix }),
    ...(without === undefined ? {} : { without: without ?? undefined }),
  };
  if (audio.without !== undefined && audio.matrix !== undefined)
    throw new InvalidArgumentError("/audio/without", "is not heeded with a matrix");
  const video = { ...output.video, ...defined(update.video ?? {}) };
  const merged = { ...output, video, audio };
  if (update.segmentS === undefined) return merged;
  if (!("segmentS" in merged) && merged.kind !== "file") {
    throw new InvalidArgumentError("/segmentS", `an output of kind ${output.kind} has no segments`);
  }
  return { ...merged, segmentS: update.segmentS ?? undefined } as OutputStateSpec;
}

/** Isolated recordings of a source end with it. */
export const withoutSource = (state: MixState, id: string): Partial<MixState> => ({
  sources: state.sources.filter((source) => source.id !== id),
  outputs: state.outputs.filter((output) => output.source !== id),
  views: state.views.map((view) => ({ ...view, assign: withoutValue(view.assign, id) })),
});

const withoutValue = (record: Readonly<Record<string, string>>, value: string): Record<string, string> =>
  Object.fromEntries(Object.entries(record).filter(([, one]) => one !== value));

const defined = <T extends object>(value: T): Partial<T> =>
  Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as Partial<T>;

function find<K extends "sources" | "views" | "outputs">(
  state: MixState,
  list: K,
  what: string,
  id: string,
): MixState[K][number] {
  const found = (state[list] as readonly MixState[K][number][]).find((one) => one.id === id);
  if (found === undefined) throw new NotFoundError(`mix ${state.id} has no ${what} ${id}`);
  return found;
}

function checked(state: MixState): MixState {
  unique(state.views, "/views");
  unique(state.sources, "/sources");
  unique(state.outputs, "/outputs");
  const targets = new Set<string>();
  for (const [index, output] of state.outputs.entries()) {
    checkOutput(state, output, `/outputs/${index}`);
    for (const target of exclusiveTargets(output)) {
      if (targets.has(target))
        throw new InvalidArgumentError(`/outputs/${index}`, "another output goes there");
      targets.add(target);
    }
  }
  return state;
}

function checkOutput(state: MixState, output: OutputStateSpec, pointer: string): void {
  if (output.kind === "rtp" && output.audioPort === undefined)
    throw new InvalidArgumentError(`${pointer}/audioPort`, "is needed");
  if (output.view === null && output.audio.codec === "none")
    throw new InvalidArgumentError(`${pointer}/audio/codec`, "leaves neither picture nor sound");
  checkCodecs(output, pointer);
  if (output.source !== undefined) {
    if (state.sources.some(({ id }) => id === output.source)) return;
    throw new InvalidArgumentError(`${pointer}/source`, `there is no source ${output.source}`);
  }
  if (output.view === null || state.views.some(({ id }) => id === output.view)) return;
  throw new InvalidArgumentError(`${pointer}/view`, `there is no view ${output.view}; null is sound only`);
}

/** Only what is sent counts: an output without a picture may wish for any. */
function checkCodecs(output: OutputStateSpec, pointer: string): void {
  const { view, video, audio } = output;
  const carrier = carrierOf(output);
  if (carrier === undefined) return;
  const codecs = {
    video: view === null ? undefined : video.codec,
    audio: audio.codec === "none" ? undefined : audio.codec,
  };
  checkCarried(carrier, codecs, pointer);
}

/** Undefined for kinds that this build does not send. */
function carrierOf(output: OutputSpec): Carrier | undefined {
  if (output.kind === "file") return /\.mkv$/i.test(output.path) ? "mkv" : "mp4";
  return output.kind === "rtmp" || output.kind === "rtp" ? output.kind : undefined;
}

function unique(list: readonly { readonly id: string }[], pointer: string): void {
  const seen = new Set<string>();
  for (const [index, { id }] of list.entries()) {
    if (seen.has(id)) throw new InvalidArgumentError(`${pointer}/${index}/id`, `${id} stands here twice`);
    seen.add(id);
  }
}
