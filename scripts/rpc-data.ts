import type { MixEvent, MixEventBody } from "../src/contract/events.ts";
import type { LayoutReceipt, ViewState } from "../src/contract/worker.ts";
import type { ErrorInfo } from "../src/core/error.ts";
import type { Asset } from "../src/service/assets.ts";

/** Field to what it means, in Markdown; `?` at the end of a name says that it may be absent. */
export type Fields = Readonly<Record<string, string>>;

type Optional<T> = { [K in keyof T]-?: undefined extends T[K] ? K : never }[keyof T] & string;
/** Every field of `T`, optional ones with a question mark: a field that comes or goes breaks the type check. */
type FieldsOf<T> = Readonly<Record<Exclude<keyof T & string, Optional<T>> | `${Optional<T>}?`, string>>;

type EventType = MixEventBody["type"];
/** The member of the union whose type is, or may be, `T`. */
type BodyOf<T extends EventType, Body = MixEventBody> = Body extends { readonly type: infer Types }
  ? T extends Types
    ? Omit<Body, "type">
    : never
  : never;

const SOURCE = "The source's id.";
const OUTPUT = "The output's id.";
const PART = {
  output: OUTPUT,
  path: "Of the part, relative to the folder of recordings.",
  durationUs: "Of media in it, in µs.",
  bytes: "Its size.",
};

/** What each type of event means, and its fields beside those that every event has. */
export const EVENTS: { readonly [T in EventType]: readonly [string, FieldsOf<BodyOf<T>>] } = {
  "mix.created": ["A mix began.", {}],
  "mix.restarted": [
    "Its worker died or hung, and another one took over.",
    { why: "In words.", restarts: "How often so far." },
  ],
  "mix.failed": ["It was given up, after five restarts in ten minutes.", { error: "The last one." }],
  "mix.closed": ["It is over.", { why: "In words." }],
  "source.added": ["A source is in the mix.", { source: SOURCE }],
  "source.online": ["It gives pictures or sound.", { source: SOURCE }],
  "source.stale": ["Nothing new came from it for `staleAfterMs`.", { source: SOURCE }],
  "source.offline": [
    "It is gone, and is awaited or tried again.",
    { source: SOURCE, "error?": "Why.", "ended?": "True: it has ended by itself, and does not come back." },
  ],
  "source.quarantined": [
    "Workers died twice while they decoded it: it gets no decoder until it is removed and added.",
    { source: SOURCE, error: "What happened." },
  ],
  "source.removed": ["It left the mix.", { source: SOURCE }],
  "source.onAir": [
    "It came on screen in a view, or left one.",
    { source: SOURCE, views: "Those that show it now; none if the list is empty." },
  ],
  "speaker.changed": [
    "Somebody else speaks, or others are heard.",
    { speaker: "A source, or null.", speakers: "All that are heard now, sorted by id." },
  ],
  "layout.applied": [
    "A layout came on air.",
    {
      view: "The view's id.",
      revision: "Of the view.",
      appliedPtsUs: "Time of the first frame that has it, on the mix clock in µs.",
      frame: "Number of that frame.",
      placements: "As [Layout](#layout) has them.",
    },
  ],
  "output.connecting": ["It connects.", { output: OUTPUT }],
  "output.live": ["Its peer or file takes what is sent.", { output: OUTPUT }],
  "output.retrying": [
    "Its peer failed, and is tried again.",
    { output: OUTPUT, error: "Why.", inMs: "When, in ms." },
  ],
  "output.failed": ["It is given up.", { output: OUTPUT, error: "Why." }],
  "output.ended": ["It is complete.", { output: OUTPUT }],
  "recording.part": ["A part of a recording was begun; it is still empty.", PART],
  "recording.finished": ["A part is complete and closed.", PART],
  "recording.failed": [
    "A part lost its end, as on a full disk; what is in the file plays.",
    { ...PART, error: "Why." },
  ],
  "device.fallback": [
    "A stage went from one device to another. Not sent so far: mixes compose on the CPU.",
    { from: "Device.", to: "Device.", why: "In words." },
  ],
  overload: ["This machine does not keep up.", { what: "A view or an encoder, and how badly, in words." }],
};

/** What every event has. */
export const ENVELOPE: FieldsOf<Omit<MixEvent, keyof BodyOf<EventType>>> = {
  type: "See below.",
  mix: "The mix's id.",
  seq: "Counts up by one per mix, also for events that a subscription leaves out; after a restart of the service it goes on higher.",
  atUs: "When, on the mix clock in µs.",
  at: "When, as wall time (ISO 8601).",
};

export const ERROR: FieldsOf<ErrorInfo> = {
  code: "See [errors.md](errors.md).",
  fault: "`caller`, `peer`, `device` or `bug`.",
  retryable: "True if the same may succeed later.",
  message: "For people.",
  "pointer?": "Into what was asked.",
};

const STATE_ERROR = "Why it is in that state: `{code, fault, retryable, message}`.";

/** What methods answer. */
export const ANSWERS: Readonly<Record<string, Fields>> = {
  Mix: {
    id: "",
    "name?": "",
    state: "`starting`, `running`, `restarting`, `failed` or `closed`.",
    "error?": "Why it failed.",
    revision: "Counts changes of any kind; see `expect` of `mix.apply`.",
    restarts: "How often its worker was replaced.",
    createdAt: "Wall time (ISO 8601).",
    atUs: "The mix clock now, in µs; it never goes back, not by restarts either.",
    audio: "As in [MixSpec](#mixspec).",
    views: "A list of [View](#view).",
    sources: "A list of [Source](#source).",
    outputs: "A list of [Output](#output).",
    emptyTimeoutS: "As in [MixSpec](#mixspec).",
  },
  Source: {
    "...": "What [SourceSpec](#sourcespec) has, defaults filled in.",
    state: "`connecting`, `online`, `stale`, `offline`, `ended` or `quarantined`.",
    "error?": STATE_ERROR,
    "publishUrl?": "Of kind `rtmp`: where its publisher sends to; a token is added as `&token=`.",
  },
  View: {
    id: "",
    width: "In pixels.",
    height: "In pixels.",
    fps: "As a ratio, `30/1`.",
    accel: "",
    "slate?": "Asset shown while no source is on screen.",
    layout: "The whole [document](layouts.md).",
    assign: "Slot to source, or `empty`: what `layout.set` assigned.",
    revision: "Counts changes of its layout.",
  } satisfies FieldsOf<ViewState>,
  Output: {
    "...": "What [OutputSpec](#outputspec) has, defaults filled in.",
    state: "`connecting`, `live`, `retrying`, `paused`, `failed` or `ended`.",
    "error?": STATE_ERROR,
    "paused?": "True between `output.pause` and `output.resume`.",
  },
  Layout: {
    revision: "Of the view.",
    appliedPtsUs: "Time of `frame` on the mix clock in µs.",
    frame: "Number of the first frame that has it; of `layout.get`, of the next frame.",
    placements:
      "A list of `{slot, source, x, y, width, height, z}`, `source` null for an empty slot, rectangles in even pixels, in drawing order.",
    late: "True if `at` had passed.",
  } satisfies FieldsOf<LayoutReceipt>,
  Asset: {
    name: "",
    hash: "Of its bytes.",
    type: "`png`, `jpeg` or `svg`.",
    width: "In pixels.",
    height: "In pixels.",
    bytes: "",
    createdAt: "Wall time (ISO 8601).",
  } satisfies FieldsOf<Asset>,
  Node: {
    node: "Its name.",
    version: "Of Tessera.",
    uptimeS: "",
    profiles: "What `node.probe` found last; null before.",
    load: "`{perCore, cores}`: load of the last minute for each core.",
    mixes: "How many.",
    draining: "See `node.drain`.",
  },
};
