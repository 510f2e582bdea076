import {
  AV_BUFFERSRC_FLAG_KEEP_REF,
  AVCOL_SPC_RESERVED,
  AVCOL_SPC_UNSPECIFIED,
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
import { reason, succeed, type TimeBase } from "./libav.ts";

/** Sound that one input of a graph carries. */
export interface SoundInput {
  readonly sampleRate: number;
  readonly channels: 1 | 2;
  /** FFmpeg's sample format name. */
  readonly sampleFormat: string;
}

/** Pictures that one input of a graph carries. */
export interface PictureInput {
  readonly widthPx: number;
  readonly heightPx: number;
  /** FFmpeg's pixel format, by name or number; a device format such as `cuda` needs `frames`. */
  readonly format: string | number;
  /** The pool that device frames come from. Borrowed. */
  readonly frames?: HardwareFramesContext | undefined;
  /** Pictures of a stream, stamped in microseconds. Without it they are BT.709 limited, numbered, 30 a second. */
  readonly stream?: StreamLook | undefined;
}

/** What a stream's pictures say of themselves, in FFmpeg's numbers. */
export interface StreamLook {
  readonly colorSpace: number;
  readonly colorRange: number;
  /** Of a pixel; square ones without it. */
  readonly sampleAspectRatio?: { readonly num: number; readonly den: number };
}

/**
 * A filter graph of N inputs and one output that runs on a device, or on the CPU if none is given.
 *
 * The text names its inputs `[in0]` ... `[inN-1]` (see `profile-template.ts`) and its output `[out]`. The work is
 * done while a picture is pulled: by {@link pull} on the calling thread, which is for child processes, tests and the
 * virtual clock, or by {@link pullAsync} on the pool, for a process that ticks.
 */
export class MediaGraph implements Disposable {
  readonly #graph = new FilterGraph();
  readonly #sources: readonly FilterContext[];
  readonly #sink: FilterContext;
  #pulling = 0;
  #disposed = false;

  /** @throws {DeviceError} `ERR_DEVICE` with libav's reason if the graph cannot be built here. */
  constructor(
    text: string,
    inputs: readonly (PictureInput | SoundInput)[],
    options: {
      readonly device?: HardwareDeviceContext | undefined;
      readonly sound?: boolean;
      /** Threads that filters may use; 0, the default, is one per core. */
      readonly threads?: number;
    } = {},
  ) {
    const sink = options.sound === true ? "abuffersink@out" : "buffersink@out";
    try {
      this.#graph.alloc();
      this.#graph.nbThreads = options.threads ?? 0;
      this.#build(`${inputs.map(bufferText).join("")}${text};[out]${sink}`, inputs, options.device);
      this.#sources = inputs.map((input, index) => this.#find(bufferName(input, index)));
      this.#sink = this.#find(sink);
    } catch (error) {
      this.#graph.free();
      throw error;
    }
  }

  /** What stamps of {@link pull} count in. */
  get timeBase(): TimeBase {
    return this.#sink.buffersinkGetTimeBase();
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
    const frame = emptyFrame();
    return pulled(frame, this.#sink.buffersinkGetFrameSync(frame));
  }

  /** {@link pull} on the thread pool; no other call but disposal until it settles. */
  async pullAsync(): Promise<Frame | undefined> {
    const frame = emptyFrame();
    this.#pulling += 1;
    try {
      return pulled(frame, await this.#sink.buffersinkGetFrame(frame));
    } finally {
      this.#pulling -= 1;
      if (this.#disposed) this.#free();
    }
  }

  /** A picture that is being pulled is still pulled; the memory goes afterwards. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#free();
  }

  #free(): void {
    if (this.#pulling === 0) this.#graph.free();
  }

  #build(
    text: string,
    inputs: readonly (PictureInput | SoundInput)[],
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

function emptyFrame(): Frame {
  const frame = new Frame();
  frame.alloc();
  return frame;
}

/** What a sink answered. Frees the frame unless it gives it on. */
function pulled(frame: Frame, code: number): Frame | undefined {
  if (code >= 0) return frame;
  frame.free();
  if (code === AVERROR_EAGAIN || code === AVERROR_EOF) return undefined;
  throw new DeviceError(`run the graph: ${reason(code)}`);
}

const bufferName = (input: PictureInput | SoundInput, index: number): string =>
  "sampleRate" in input ? `abuffer@in${index}` : `buffer@in${index}`;

function bufferText(input: PictureInput | SoundInput, index: number): string {
  const name = bufferName(input, index);
  if ("sampleRate" in input) {
    const { sampleRate, sampleFormat, channels } = input;
    return `${name}=sample_rate=${sampleRate}:sample_fmt=${sampleFormat}:time_base=1/${sampleRate}:channel_layout=${channels}c[in${index}];`;
  }
  const size = `video_size=${input.widthPx}x${input.heightPx}:pix_fmt=${input.format}`;
  return `${name}=${size}:${lookText(input.stream)}[in${index}];`;
}

function lookText(stream: StreamLook | undefined): string {
  if (stream === undefined) return "time_base=1/30:frame_rate=30:pixel_aspect=1/1:colorspace=bt709:range=tv";
  const { colorSpace, colorRange, sampleAspectRatio: { num, den } = { num: 1, den: 1 } } = stream;
  const aspect = `${Math.max(0, num)}/${Math.max(1, den)}`;
  // The matrix that H.273 reserves has a number that libavfilter does not take; the frames keep it.
  const matrix = colorSpace === AVCOL_SPC_RESERVED ? AVCOL_SPC_UNSPECIFIED : colorSpace;
  return `time_base=1/1000000:pixel_aspect=${aspect}:colorspace=${matrix}:range=${colorRange}`;
}
