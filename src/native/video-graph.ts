import {
  AV_BUFFERSRC_FLAG_KEEP_REF,
  AV_PIX_FMT_YUV420P,
  type AVPixelFormat,
  Filter,
  type FilterContext,
  FilterGraph,
  FilterInOut,
  Frame,
} from "node-av";
import { DeviceError } from "../core/error.ts";

/** What a video filter graph is fed with; it is rebuilt when any of these changes. */
export interface GraphInput {
  readonly widthPx: number;
  readonly heightPx: number;
  readonly pixelFormat: number;
  readonly colorSpace: number;
  readonly colorRange: number;
}

/** One libavfilter chain from one input to one output (8-bit 4:2:0 by default), one frame out for each frame in. */
export class VideoGraph implements Disposable {
  readonly #graph = new FilterGraph();
  readonly #source: FilterContext;
  readonly #sink: FilterContext;
  readonly #format: AVPixelFormat;

  /**
   * @param chain a libavfilter description from one pad to one pad, such as `scale=640:360,transpose=1`.
   * @throws {DeviceError} `ERR_DEVICE` if libavfilter refuses the chain.
   */
  constructor(input: GraphInput, chain: string, format: AVPixelFormat = AV_PIX_FMT_YUV420P) {
    this.#format = format;
    this.#graph.alloc();
    this.#graph.nbThreads = 1;
    const { widthPx, heightPx, pixelFormat, colorSpace, colorRange } = input;
    this.#source = this.#add(
      "buffer",
      `video_size=${widthPx}x${heightPx}:pix_fmt=${pixelFormat}:time_base=1/1000000:pixel_aspect=1/1` +
        `:colorspace=${colorSpace}:range=${colorRange}`,
    );
    this.#sink = this.#add("buffersink", null);
    const [outputs, inputs] = [pad("in", this.#source), pad("out", this.#sink)];
    check(this.#graph.parsePtr(`${chain},format=pix_fmts=${format}`, inputs, outputs), `filters ${chain}`);
    check(this.#graph.configSync(), `filters ${chain}`);
  }

  /** Runs one frame through; the caller owns the result. `frame` is only read. */
  run(frame: Frame): Frame {
    check(this.#source.buffersrcAddFrameSync(frame, AV_BUFFERSRC_FLAG_KEEP_REF), "filter input");
    const out = new Frame();
    out.alloc();
    check(this.#sink.buffersinkGetFrameSync(out), "filter output");
    if (out.format !== this.#format) throw new DeviceError("filters gave another pixel format");
    return out;
  }

  [Symbol.dispose](): void {
    this.#graph.free();
  }

  #add(kind: "buffer" | "buffersink", args: string | null): FilterContext {
    const filter = Filter.getByName(kind);
    const context = filter === null ? null : this.#graph.createFilter(filter, kind, args);
    if (context === null) throw new DeviceError(`libavfilter has no ${kind} for ${args}`);
    return context;
  }
}

function pad(name: string, context: FilterContext): FilterInOut {
  const inOut = new FilterInOut();
  inOut.alloc();
  inOut.name = name;
  inOut.filterCtx = context;
  inOut.padIdx = 0;
  return inOut;
}

function check(code: number, what: string): void {
  if (code < 0) throw new DeviceError(`${what} failed with ${code}`);
}
