import { AV_PIX_FMT_YUV420P, type AVPixelFormat, type Frame } from "node-av";
import { DeviceError } from "../core/error.ts";
import { MediaGraph, type PictureInput } from "./media-graph.ts";

/** One libavfilter chain from one input to one output (8-bit 4:2:0 by default), one frame out for each frame in. */
export class VideoGraph implements Disposable {
  readonly #graph: MediaGraph;
  readonly #format: AVPixelFormat;

  /**
   * @param chain a libavfilter description from one pad to one pad, such as `scale=640:360,transpose=1`.
   * @throws {DeviceError} `ERR_DEVICE` if libavfilter refuses the chain.
   */
  constructor(input: PictureInput, chain: string, format: AVPixelFormat = AV_PIX_FMT_YUV420P) {
    this.#format = format;
    this.#graph = new MediaGraph(`[in0]${chain},format=pix_fmts=${format}[out]`, [input], { threads: 1 });
  }

  /** Runs one frame through; the caller owns the result. `frame` is only read. */
  run(frame: Frame): Frame {
    this.#graph.push([frame]);
    return this.#checked(this.#graph.pull());
  }

  /** {@link run} on the thread pool; one call at a time. */
  async runAsync(frame: Frame): Promise<Frame> {
    this.#graph.push([frame]);
    return this.#checked(await this.#graph.pullAsync());
  }

  [Symbol.dispose](): void {
    this.#graph[Symbol.dispose]();
  }

  #checked(out: Frame | undefined): Frame {
    if (out === undefined) throw new DeviceError("filters gave no picture");
    if (out.format === this.#format) return out;
    out.free();
    throw new DeviceError("filters gave another pixel format");
  }
}
