import type { LayoutChange } from "../contract/layout-change.ts";
import type { OutputUpdate } from "../contract/output-spec.ts";
import type { SourceUpdate } from "../contract/source-spec.ts";
import type { MixState, ViewState, WorkerMethod, WorkerMethods } from "../contract/worker.ts";
import { canonical } from "./canonical.ts";
import type { OutputStateSpec, SourceState } from "./state.ts";

/** One call to a worker. */
export type Step = {
  [M in WorkerMethod]: { readonly method: M; readonly params: WorkerMethods[M]["params"] };
}[WorkerMethod];

/**
 * The calls that turn a running mix from one state into another: only what differs, ends before beginnings, so that
 * a name or a key is free before it is taken again. What cannot change while it runs is removed and added.
 */
export function plan(from: MixState, to: MixState): Step[] {
  const mix = to.id;
  const views = compare(from.views, to.views, viewLives);
  const sources = compare(from.sources, to.sources, (a, b) => sourceUpdate(a, b) !== undefined);
  const isKept = ({ source, view }: OutputStateSpec): boolean =>
    source === undefined ? !has(views.removed, view) : !has(sources.removed, source);
  const outputs = compare(from.outputs, to.outputs, (a, b) => isKept(a) && outputLives(a, b));
  return [
    ...(same(from.audio, to.audio) ? [] : [step("mix.update", { mix, audio: to.audio })]),
    ...outputs.removed.map(({ id }) => step("output.remove", { mix, id })),
    ...views.removed.map(({ id }) => step("view.remove", { mix, id })),
    ...sources.removed.map(({ id }) => step("source.remove", { mix, id })),
    ...views.added.map((view) => step("view.add", { mix, view })),
    ...sources.added.map((source) => step("source.add", { mix, source })),
    ...sources.kept.map(([a, b]) =>
      step("source.update", { mix, id: b.id, update: sourceUpdate(a, b) ?? {} }),
    ),
    ...views.kept.flatMap(([a, b]) => viewSteps(mix, a, b)),
    ...outputs.added.map((output) => step("output.add", { mix, output })),
    ...outputs.kept.flatMap(([a, b]) => outputSteps(mix, a, b)),
  ];
}

/** Builds a step; types see to it that method and params belong together. */
export const step = <M extends WorkerMethod>(method: M, params: WorkerMethods[M]["params"]): Step =>
  ({ method, params }) as Step;

interface Comparison<T> {
  readonly removed: readonly T[];
  readonly added: readonly T[];
  /** Pairs that differ and can change in place. */
  readonly kept: readonly (readonly [T, T])[];
}

function compare<T extends { readonly id: string }>(
  from: readonly T[],
  to: readonly T[],
  lives: (a: T, b: T) => boolean,
): Comparison<T> {
  const before = new Map(from.map((one) => [one.id, one]));
  const after = new Map(to.map((one) => [one.id, one]));
  const goesOn = (a: T | undefined, b: T | undefined): boolean =>
    a !== undefined && b !== undefined && lives(a, b);
  return {
    removed: from.filter((one) => !goesOn(one, after.get(one.id))),
    added: to.filter((one) => !goesOn(before.get(one.id), one)),
    kept: to.flatMap((b) => {
      const a = before.get(b.id);
      return a !== undefined && lives(a, b) && !same(a, b) ? [[a, b] as const] : [];
    }),
  };
}

const same = (a: unknown, b: unknown): boolean => canonical(a) === canonical(b);

/** Size, rate and device of a view are fixed for life. */
const viewLives = (a: ViewState, b: ViewState): boolean =>
  a.width === b.width && a.height === b.height && a.fps === b.fps && a.accel === b.accel;

function viewSteps(mix: string, a: ViewState, b: ViewState): Step[] {
  const steps: Step[] = [];
  if (!same(a.slate, b.slate)) steps.push(step("view.update", { mix, view: b }));
  if (!same([a.layout, a.assign], [b.layout, b.assign])) {
    steps.push(step("layout.set", { mix, view: b, change: reassigned(a, b), dryRun: false }));
  }
  return steps;
}

/** Assignments that go with their source leave alone a layout that comes on air just now. */
function reassigned(a: ViewState, b: ViewState): LayoutChange | undefined {
  if (a.revision !== b.revision || !same(a.layout, b.layout)) return undefined;
  const gone = Object.keys(a.assign).filter((slot) => !(slot in b.assign));
  return { assign: { ...Object.fromEntries(gone.map((slot) => [slot, null])), ...b.assign }, revisions: 0 };
}

const SOURCE_FIELDS = [
  "name",
  "role",
  "priority",
  "staleAfterMs",
  "delayMs",
  "avatar",
  "audio",
  "video",
] as const;

/** What `source.update` must say to make `b` of `a`; undefined if `b` needs a new source. */
function sourceUpdate(a: SourceState, b: SourceState): SourceUpdate | undefined {
  const update: Record<string, unknown> = {};
  for (const field of SOURCE_FIELDS) {
    if (same(a[field], b[field])) continue;
    if (b[field] === undefined && field !== "avatar") return undefined;
    const gone = field === "audio" || field === "video" ? goneKey(a[field], b[field]) : undefined;
    if (gone !== undefined) return undefined;
    update[field] = b[field] ?? null;
  }
  return same(rest(a), rest(b)) ? (update as SourceUpdate) : undefined;
}

const rest = (source: SourceState): unknown =>
  Object.entries(source)
    .filter(([key]) => !(SOURCE_FIELDS as readonly string[]).includes(key))
    .sort(([x], [y]) => (x < y ? -1 : 1));

const goneKey = (a: object, b: object): string | undefined =>
  Object.entries(a).find(([key, value]) => value !== undefined && !(key in b))?.[0];

const has = (list: readonly { readonly id: string }[], wanted: string | null): boolean =>
  list.some(({ id }) => id === wanted);

/** An output goes on if only its bitrate, its sound or its segments change. */
function outputLives(a: OutputStateSpec, b: OutputStateSpec): boolean {
  if (a.audio.matrix !== undefined && b.audio.matrix === undefined) return false;
  if (a.video.bitrateBps !== undefined && b.video.bitrateBps === undefined) return false;
  return same(fixed(a), fixed(b));
}

const fixed = ({ paused: _, ...output }: OutputStateSpec): unknown => ({
  ...output,
  segmentS: undefined,
  video: { ...output.video, bitrateBps: undefined },
  audio: { ...output.audio, without: undefined, matrix: undefined },
});

function outputSteps(mix: string, a: OutputStateSpec, b: OutputStateSpec): Step[] {
  const steps: Step[] = [];
  const update = outputUpdate(a, b);
  if (Object.keys(update).length > 0) steps.push(step("output.update", { mix, id: b.id, update }));
  if ((a.paused ?? false) !== (b.paused ?? false)) {
    steps.push(step(b.paused === true ? "output.pause" : "output.resume", { mix, id: b.id }));
  }
  return steps;
}

function outputUpdate(a: OutputStateSpec, b: OutputStateSpec): OutputUpdate {
  const { bitrateBps } = b.video;
  const audio = {
    ...(same(a.audio.without, b.audio.without) ? {} : { without: b.audio.without ?? null }),
    ...(same(a.audio.matrix, b.audio.matrix) ? {} : { matrix: b.audio.matrix }),
  };
  const [before, after] = [segmentS(a), segmentS(b)];
  return {
    ...(bitrateBps === undefined || bitrateBps === a.video.bitrateBps ? {} : { video: { bitrateBps } }),
    ...(Object.keys(audio).length === 0 ? {} : { audio }),
    ...(before === after ? {} : { segmentS: after }),
  };
}

const segmentS = (output: OutputStateSpec): number | null =>
  "segmentS" in output && output.segmentS !== undefined ? output.segmentS : null;
