import type { OutputSpec } from "../contract/output-spec.ts";
import type { SourceSpec } from "../contract/source-spec.ts";
import { NotSupportedError } from "../core/error.ts";

/** One thing that the interface names and this build does not do. */
export interface Unsupported {
  /** What a user reads, in Markdown. */
  readonly what: string;
  readonly methods?: readonly string[];
  readonly sourceKinds?: readonly SourceSpec["kind"][];
  readonly outputKinds?: readonly OutputSpec["kind"][];
  /** The pointer, relative to the output, of what asks for it. */
  readonly output?: (output: OutputSpec) => string | undefined;
  /** The pointer, relative to the view, of what asks for it. */
  readonly view?: (view: { readonly accel: string }) => string | undefined;
  /** The pointer, relative to the parameters of `layout.set`, of what asks for it. */
  readonly layoutSet?: (params: { readonly ready?: string | undefined }) => string | undefined;
  /** Flags of `tessera serve`, without dashes. */
  readonly flags?: readonly string[];
  /** First segment of HTTP routes. */
  readonly routes?: readonly string[];
  /** Command lines that ask for it, after `tessera`. */
  readonly commands?: readonly string[];
}

const MISSING_SOUND = ["pcmu", "pcma", "g722", "flac"];
const isDevice = (accel: string): boolean => accel !== "auto" && accel !== "cpu";

/**
 * Everything that the interface promises and this build does not do: it answers `ERR_NOT_SUPPORTED`, and
 * `docs/not-supported.md` and the README list the same. Whoever builds one of these removes its row.
 */
export const NOT_SUPPORTED: readonly Unsupported[] = [
  {
    what: "WebRTC: sources and outputs of kind `webrtc`, outputs of kind `whip`, the routes `/whip` and `/whep`, `--webrtc`",
    sourceKinds: ["webrtc"],
    outputKinds: ["webrtc", "whip"],
    flags: ["webrtc", "announce", "webrtc-stack"],
    routes: ["whip", "whep"],
  },
  {
    what: "RTSP as a door and as an output: sources and outputs of kind `rtsp`, `--rtsp` (pulling `rtsp://` works)",
    sourceKinds: ["rtsp"],
    outputKinds: ["rtsp"],
    flags: ["rtsp"],
  },
  { what: "SIP: sources of kind `sip`, `--sip`", sourceKinds: ["sip"], flags: ["sip"] },
  { what: "Plain RTP as a source: kind `rtp`", sourceKinds: ["rtp"] },
  {
    what: "Plain RTP as an output with picture or with SRTP: kind `rtp` with `videoPort` or `srtp` (sound alone works)",
    output: (output) => {
      if (output.kind !== "rtp") return undefined;
      if (output.videoPort !== undefined) return "/videoPort";
      return output.srtp === undefined ? undefined : "/srtp";
    },
  },
  { what: "SRT as an output: kind `srt` (pulling `srt://` works)", outputKinds: ["srt"] },
  { what: "HLS as an output: kind `hls` and the route `/hls`", outputKinds: ["hls"], routes: ["hls"] },
  {
    what: "Encoding AV1 video, and G.711, G.722 and FLAC sound",
    output: (output) => {
      if (output.video.codec === "av1") return "/video/codec";
      return MISSING_SOUND.includes(output.audio.codec ?? "") ? "/audio/codec" : undefined;
    },
  },
  {
    what: "Composing and encoding on a GPU: `accel` other than `auto` and `cpu`",
    output: (output) => (isDevice(output.video.accel) ? "/video/accel" : undefined),
    view: (view) => (isDevice(view.accel) ? "/accel" : undefined),
  },
  {
    what: "The operators' library of layouts: `template.put`, `template.get`, `template.list`, `template.remove`, `template.check`",
    methods: ["template.put", "template.get", "template.list", "template.remove", "template.check"],
  },
  {
    what: "Overlays set at run time: `overlay.set`, `overlay.clear`",
    methods: ["overlay.set", "overlay.clear"],
  },
  {
    what: 'Waiting for a layout\'s sources to be decoded: `layout.set` with `"ready": "wait"`',
    layoutSet: ({ ready }) => (ready === "wait" ? "/ready" : undefined),
  },
  {
    what: "Layouts of other systems, and layouts drawn as PNG: `tessera layout import`, `tessera layout render -o x.png` (SVG works)",
    commands: [
      "layout import in.json --from twilio -o out.json",
      "layout render layouts/grid.json -o out.png",
    ],
  },
  {
    what: "Many nodes over AMQP: `--amqp`, `--on-partition`",
    flags: ["amqp", "on-partition"],
  },
];

/** What a layout document may ask for and gets no error for, though no picture shows it yet. */
export interface NotDrawn {
  /** What a user reads, in Markdown. */
  readonly what: string;
  /** The fields of a document that ask for it, at a slot or at its top. */
  readonly fields: readonly string[];
}

/**
 * What is checked and resolved, and not yet drawn into mixes. Documents with it are accepted, so that they need no
 * change on the day it is. `docs/not-supported.md`, `docs/layouts.md` and the README say the same. Whoever draws one
 * of these removes its row.
 */
export const NOT_DRAWN: readonly NotDrawn[] = [
  { what: "`label`: names and other words on tiles", fields: ["label"] },
  { what: "`border`: frames around tiles, so also who speaks is not marked", fields: ["border"] },
  { what: "`radius`: the corners of tiles are square", fields: ["radius"] },
  { what: "`opacity`: a tile hides what is below it", fields: ["opacity"] },
  { what: "`overlays`: images, words and clocks on the whole picture", fields: ["overlays"] },
  { what: "`transition`: every change is a cut", fields: ["transition"] },
  { what: "Colours with alpha of `background` and `fallback`: they are opaque", fields: [] },
];

/** Of the methods that the interface names and this build does not have. */
export const isUnsupportedMethod = (name: string): boolean =>
  NOT_SUPPORTED.some(({ methods }) => methods?.includes(name));

/** The row that a flag of `tessera serve` belongs to. */
export const unsupportedFlag = (flag: string): Unsupported | undefined =>
  NOT_SUPPORTED.find(({ flags }) => flags?.includes(flag));

/** First segments of routes that answer 501. */
export const unsupportedRoutes = (): string[] => NOT_SUPPORTED.flatMap(({ routes }) => routes ?? []);

/** @throws {NotSupportedError} `ERR_NOT_SUPPORTED` with a pointer below `pointer`. */
export function refuseSource(source: SourceSpec, pointer: string): void {
  const row = NOT_SUPPORTED.find(({ sourceKinds }) => sourceKinds?.includes(source.kind));
  if (row !== undefined) refuse(`${pointer}/kind`, row);
}

/** @throws {NotSupportedError} `ERR_NOT_SUPPORTED` with a pointer below `pointer`. */
export function refuseOutput(output: OutputSpec, pointer: string): void {
  for (const row of NOT_SUPPORTED) {
    if (row.outputKinds?.includes(output.kind)) refuse(`${pointer}/kind`, row);
    const at = row.output?.(output);
    if (at !== undefined) refuse(pointer + at, row);
  }
}

/** @throws {NotSupportedError} `ERR_NOT_SUPPORTED` with a pointer below `pointer`. */
export function refuseView(view: { readonly accel: string }, pointer: string): void {
  for (const row of NOT_SUPPORTED) {
    const at = row.view?.(view);
    if (at !== undefined) refuse(pointer + at, row);
  }
}

/** @throws {NotSupportedError} `ERR_NOT_SUPPORTED` with a pointer. */
export function refuseLayoutSet(params: { readonly ready?: string | undefined }): void {
  for (const row of NOT_SUPPORTED) {
    const at = row.layoutSet?.(params);
    if (at !== undefined) refuse(at, row);
  }
}

/** The list as Markdown: what the README has between `<!-- not-supported -->` and `<!-- /not-supported -->`. */
export const notSupportedMarkdown = (): string => NOT_SUPPORTED.map(({ what }) => `- ${what}`).join("\n");

/** The same of {@link NOT_DRAWN}: what stands between `<!-- not-drawn -->` and `<!-- /not-drawn -->`. */
export const notDrawnMarkdown = (): string => NOT_DRAWN.map(({ what }) => `- ${what}`).join("\n");

/** An `ERR_NOT_SUPPORTED` that says where in the request it stands. */
class NotSupportedAt extends NotSupportedError {
  override readonly pointer: string;

  constructor(pointer: string, what: string) {
    super(`${pointer}: not supported yet: ${what}`);
    this.pointer = pointer;
  }
}

function refuse(pointer: string, { what }: Unsupported): never {
  throw new NotSupportedAt(pointer, what);
}
