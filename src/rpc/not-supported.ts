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
    what: "Many nodes over AMQP: `--amqp`, `--on-partition`",
    flags: ["amqp", "on-partition"],
  },
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
