import {
  AV_PIX_FMT_YUV420P,
  AVCOL_RANGE_JPEG,
  AVCOL_SPC_BT709,
  AVCOL_SPC_UNSPECIFIED,
  type Frame,
  SoftwareScaleContext,
  SWS_AREA,
  SWS_BICUBIC,
} from "node-av";
import { assert, DeviceError } from "../core/error.ts";
import type { Orientation } from "../media/stream-info.ts";
import { colorspaceFilter, swscaleMatrix } from "./matrix.ts";
import { Picture } from "./picture.ts";
import { VideoGraph } from "./video-graph.ts";

/** The part of a stored picture that is shown, in its pixels; even, so that chroma is cut where luma is. */
export interface Crop {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** What a scaler makes: this part of the source, upright, at this size. */
export interface ScaleJob {
  readonly crop: Crop;
  readonly orientation: Orientation;
  /** Of the upright result; even. */
  readonly widthPx: number;
  readonly heightPx: number;
}

/**
 * Where pictures are scaled: on the calling thread; there if swscale alone does it, which is well under a millisecond,
 * and on the pool if a filter graph has to; or on the pool in any case.
 */
export type ScaleThread = "caller" | "quick" | "pool";

/**
 * Turns decoded frames into pictures of one size. Frames that are already 8-bit 4:2:0, BT.709 limited and upright
 * take swscale alone; everything else goes through a filter graph that also converts colour and turns. Matrices that
 * swscale does not read are taken for the likeliest one that it does: wrong colours tell more than no picture.
 *
 * Owns its contexts and no pictures. One call at a time.
 */
export class Scaler implements Disposable {
  readonly #job: ScaleJob;
  #key = "";
  #direct: SoftwareScaleContext | undefined;
  #graph: VideoGraph | undefined;
  /** Why frames like the last cannot be scaled; asking again for each would be slow and no different. */
  #refusal: unknown;

  constructor(job: ScaleJob) {
    this.#job = job;
  }

  /**
   * Scales `frame` into `target`, which has the job's size and which nobody reads meanwhile. Keep `frame` alive
   * until it settles.
   *
   * @throws {DeviceError} `ERR_DEVICE` if swscale or libavfilter refuses this format.
   */
  async scale(frame: Frame, target: Picture, thread: ScaleThread): Promise<void> {
    this.#configure(frame);
    if (this.#direct === undefined) return this.#throughGraph(frame, target, thread === "caller");
    const sync = thread !== "pool";
    if (this.#graph === undefined) return this.#run(this.#direct, frame, target, sync);
    using cropped = this.#graph.run(frame); // Moves pointers: not worth a trip to the pool.
    await this.#run(this.#direct, cropped, target, sync);
  }

  [Symbol.dispose](): void {
    this.#direct?.freeContext();
    this.#graph?.[Symbol.dispose]();
    this.#direct = undefined;
    this.#graph = undefined;
  }

  /** Makes ready for frames like this one. */
  #configure(frame: Frame): void {
    const { width, height, format, colorSpace, colorRange } = frame;
    const key = `${width}x${height}:${format}:${colorSpace}:${colorRange}`;
    if (key !== this.#key) {
      this[Symbol.dispose]();
      this.#key = key;
      this.#refusal = undefined;
      try {
        this.#build(frame);
      } catch (error) {
        this[Symbol.dispose]();
        this.#refusal = error;
      }
    }
    if (this.#refusal !== undefined) throw this.#refusal;
  }

  #build(frame: Frame): void {
    const { width, height, format, colorSpace, colorRange } = frame;
    const { crop, orientation, widthPx, heightPx } = this.#job;
    const upright = orientation.rotate === 0 && !orientation.mirror;
    if (upright && format === AV_PIX_FMT_YUV420P && isCanvasColor(frame)) {
      this.#direct = new SoftwareScaleContext();
      this.#direct.getContext(
        crop.width,
        crop.height,
        format,
        widthPx,
        heightPx,
        format,
        kernelFor(crop, widthPx, heightPx),
      );
      if (crop.width === width && crop.height === height) return;
    }
    const input = { widthPx: width, heightPx: height, format, stream: { colorSpace, colorRange } };
    this.#graph = new VideoGraph(
      input,
      this.#direct === undefined ? chain(this.#job, frame) : cropChain(crop),
    );
  }

  /** By whole frames: every look at `frame.data` makes buffers that only the collector frees, and it then runs all the time. */
  async #run(context: SoftwareScaleContext, frame: Frame, target: Picture, sync: boolean): Promise<void> {
    const rows = sync
      ? context.scaleFrameSync(target.raw, frame)
      : await context.scaleFrame(target.raw, frame);
    if (rows < 0) throw new DeviceError(`swscale failed with ${rows}`);
  }

  async #throughGraph(frame: Frame, target: Picture, sync: boolean): Promise<void> {
    assert(this.#graph !== undefined, "a scaler is configured");
    using picture = Picture.adopt(sync ? this.#graph.run(frame) : await this.#graph.runAsync(frame));
    const code = target.raw.copy(picture.raw);
    if (code < 0) throw new DeviceError(`copying a picture failed with ${code}`);
  }
}

/** Unspecified colour is BT.709 from 720 lines up and BT.601 below, as players assume. */
function isCanvasColor({ colorSpace, colorRange, height }: Frame): boolean {
  if (colorRange === AVCOL_RANGE_JPEG) return false;
  return colorSpace === AVCOL_SPC_BT709 || (colorSpace === AVCOL_SPC_UNSPECIFIED && height >= 720);
}

/**
 * Averaging where a picture gets much smaller, bicubic elsewhere. Measured from 1280x720 to 426x240: 0.28 ms against
 * 0.70, and 0.0006 SSIM against a bicubic original after x264 at 2 Mbit/s for all nine.
 */
function kernelFor(crop: Crop, widthPx: number, heightPx: number): typeof SWS_BICUBIC {
  return crop.width >= 1.5 * widthPx && crop.height >= 1.5 * heightPx ? SWS_AREA : SWS_BICUBIC;
}

/** Moves pointers, copies nothing. */
const cropChain = ({ x, y, width, height }: Crop): string => `crop=${width}:${height}:${x}:${y}:exact=1`;

function chain(job: ScaleJob, frame: Frame): string {
  const { crop, orientation } = job;
  const filters = [...swscaleMatrix(frame).before, cropChain(crop), ...scaleAndConvert(job, frame)];
  if (orientation.rotate === 90) filters.push("transpose=clock");
  if (orientation.rotate === 180) filters.push("hflip", "vflip");
  if (orientation.rotate === 270) filters.push("transpose=cclock");
  if (orientation.mirror) filters.push("hflip");
  return filters.join(",");
}

/** To the size before the turn, BT.709 limited. */
function scaleAndConvert(
  { crop, orientation, widthPx, heightPx }: ScaleJob,
  frame: Frame,
): readonly string[] {
  const turned = orientation.rotate === 90 || orientation.rotate === 270;
  const [width, height] = turned ? [heightPx, widthPx] : [widthPx, heightPx];
  const kernel = kernelFor(crop, width, height) === SWS_AREA ? "area" : "bicubic";
  const scale = `scale=${width}:${height}:flags=${kernel}`;
  const convert = colorspaceFilter(frame);
  if (convert !== undefined) return [scale, convert];
  const range = frame.colorRange === AVCOL_RANGE_JPEG ? "pc" : "auto";
  const { name } = swscaleMatrix(frame);
  const matrices = `in_color_matrix=${name}:out_color_matrix=bt709:in_range=${range}:out_range=tv`;
  return [`${scale}:${matrices}`, "format=pix_fmts=yuv420p"];
}
