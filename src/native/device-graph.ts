import {
  AV_BUFFERSRC_FLAG_KEEP_REF,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  type FilterContext,
  FilterGraph,
  FilterInOut,
  Frame,
  type HardwareDeviceContext,
  type HardwareFramesContext,
} from "node-av";
import { DeviceError } from "../core/error.ts";
import { reason, succeed } from "./libav.ts";

/** Sound that one input of a graph carries. */
export interface SoundInput {
  readonly sampleRate: number;
  readonly channels: 1 | 2;
  /** FFmpeg's sample format name. */
  readonly sampleFormat: string;
}

/** Pictures that one input of a graph carries. */
export interface GraphInput {
  readonly widthPx: number;
  readonly heightPx: number;
  /** FFmpeg's pixel format name; a device format such as `cuda` needs `frames`. */
  readonly format: string;
  /** The pool that device frames come from. Borrowed. */
  readonly frames?: HardwareFramesContext | undefined;
}

/**
 * A filter graph of N picture inputs and one output that runs on a device, or on the CPU if none is given.
 *
 * The text names its inputs `[in0]` ... `[inN-1]` (see `profile-template.ts`) and its output `[out]`. All pictures are
 * BT.709 limited at 30 Hz. Every call is synchronous: for child processes and tests, not for a process that ticks.
 */
export class DeviceGraph implements Disposable {
  readonly #graph = new FilterGraph();
  readonly #sources: readonly FilterContext[];
  readonly #sink: FilterContext;

  /** @throws {DeviceError} `ERR_DEVICE` with libav's reason if the graph cannot be built here. */
  constructor(
    text: string,
    inputs: readonly (GraphInput | SoundInput)[],
    options: { readonly device?: HardwareDeviceContext | undefined; readonly sound?: boolean } = {},
  ) {
    const sink = options.sound === true ? "abuffersink@out" : "buffersink@out";
    try {
      this.#graph.alloc();
      this.#build(`${inputs.map(bufferText).join("")}${text};[out]${sink}`, inputs, options.device);
      this.#sources = inputs.map((input, index) => this.#find(bufferName(input, index)));
      this.#sink = this.#find(sink);
    } catch (error) {
      this.#graph.free();
      throw error;
    }
  }

  /** Feeds one picture per input. Borrows the frames. */
  push(frames: readonly Frame[]): void {
    for (const [index, source] of this.#sources.entries()) {
      succeed(
        source.buffersrcAddFrameSync(frames[index] ?? null, AV_BUFFERSRC_FLAG_KEEP_REF),
        "feed the graph",
      );
    }
  }

  /** Says that no more pictures come. */
  end(): void {
    for (const source of this.#sources) succeed(source.buffersrcAddFrameSync(null), "end the graph");
  }

  /** The next picture, owned by the caller, or undefined if the graph has none ready. */
  pull(): Frame | undefined {
    const frame = new Frame();
    frame.alloc();
    const code = this.#sink.buffersinkGetFrameSync(frame);
    if (code >= 0) return frame;
    frame.free();
    if (code === AVERROR_EAGAIN || code === AVERROR_EOF) return undefined;
    throw new DeviceError(`run the graph: ${reason(code)}`);
  }

  [Symbol.dispose](): void {
    this.#graph.free();
  }

  #build(
    text: string,
    inputs: readonly (GraphInput | SoundInput)[],
    device: HardwareDeviceContext | undefined,
  ): void {
    const segment = this.#graph.segmentParse(text);
    if (segment === null) throw new DeviceError(`parse the graph ${text}`);
    try {
      succeed(segment.createFilters(), "create the filters");
      for (const filter of this.#graph.filters ?? []) if (device !== undefined) filter.hwDeviceCtx = device;
      for (const [index, input] of inputs.entries()) {
        if ("sampleRate" in input || input.frames === undefined) continue;
        const source = this.#find(bufferName(input, index));
        succeed(source.buffersrcParametersSet({ hwFramesCtx: input.frames }), "set the pool");
      }
      succeed(segment.applyOpts(), "set the filters' options");
      using open = new FilterInOut();
      using loose = new FilterInOut();
      succeed(segment.apply(open, loose), "start the filters");
      succeed(this.#graph.configSync(), "configure the graph");
    } finally {
      segment.free();
    }
  }

  #find(name: string): FilterContext {
    const filter = this.#graph.getFilter(name);
    if (filter === null) throw new DeviceError(`the graph has no filter ${name}`);
    return filter;
  }
}

const bufferName = (input: GraphInput | SoundInput, index: number): string =>
  "sampleRate" in input ? `abuffer@in${index}` : `buffer@in${index}`;

function bufferText(input: GraphInput | SoundInput, index: number): string {
  const name = bufferName(input, index);
  if ("sampleRate" in input) {
    const { sampleRate, sampleFormat, channels } = input;
    return `${name}=sample_rate=${sampleRate}:sample_fmt=${sampleFormat}:time_base=1/${sampleRate}:channel_layout=${channels}c[in${index}];`;
  }
  const size = `video_size=${input.widthPx}x${input.heightPx}:pix_fmt=${input.format}`;
  const rest = "time_base=1/30:frame_rate=30:pixel_aspect=1/1:colorspace=bt709:range=tv";
  return `${name}=${size}:${rest}[in${index}];`;
}
