import {
  AV_PIX_FMT_YUV420P,
  AVCOL_RANGE_JPEG,
  AVCOL_SPC_BT470BG,
  AVCOL_SPC_BT709,
  AVCOL_SPC_SMPTE170M,
  AVCOL_SPC_UNSPECIFIED,
  type Frame,
  SoftwareScaleContext,
  SWS_BICUBIC,
} from "node-av";
import { DeviceError } from "../core/error.ts";
import type { Orientation } from "../media/stream-info.ts";
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
 * Turns decoded frames into pictures of one size. Frames that are already 8-bit 4:2:0, BT.709 limited and upright
 * take swscale alone; everything else goes through a filter graph that also converts colour and turns.
 *
 * Owns its contexts and no pictures. One call at a time.
 */
export class Scaler implements Disposable {
  readonly #job: ScaleJob;
  #key = "";
  #direct: SoftwareScaleContext | undefined;
  #graph: VideoGraph | undefined;

  constructor(job: ScaleJob) {
    this.#job = job;
  }

  /**
   * Scales `frame` into `target`, which has the job's size and which nobody reads meanwhile. Keep `frame` alive
   * until it settles.
   *
   * @param sync on the calling thread, for the virtual clock; otherwise on the pool.
   * @throws {DeviceError} `ERR_DEVICE` if swscale or libavfilter refuses this format.
   */
  async scale(frame: Frame, target: Picture, sync: boolean): Promise<void> {
    this.#configure(frame);
    if (this.#graph !== undefined) return this.#throughGraph(frame, target);
    const context = this.#direct;
    if (context === undefined) throw new DeviceError("no scaler for this format");
    const { x, y, height } = this.#job.crop;
    const strides = frame.linesize;
    const planes = (frame.data ?? []).map((plane, index) => {
      const shift = index === 0 ? 0 : 1;
      return plane.subarray((y >> shift) * (strides[index] ?? 0) + (x >> shift));
    });
    const out = [...target.planes];
    const rows = sync
      ? context.scaleSync(planes, strides, 0, height, out, target.raw.linesize)
      : await context.scale(planes, strides, 0, height, out, target.raw.linesize);
    if (rows < 0) throw new DeviceError(`swscale failed with ${rows}`);
  }

  [Symbol.dispose](): void {
    this.#direct?.freeContext();
    this.#graph?.[Symbol.dispose]();
    this.#direct = undefined;
    this.#graph = undefined;
  }

  #configure(frame: Frame): void {
    const { width, height, format, colorSpace, colorRange } = frame;
    const key = `${width}x${height}:${format}:${colorSpace}:${colorRange}`;
    if (key === this.#key) return;
    this[Symbol.dispose]();
    this.#key = key;
    const { crop, orientation, widthPx, heightPx } = this.#job;
    const upright = orientation.rotate === 0 && !orientation.mirror;
    if (upright && format === AV_PIX_FMT_YUV420P && isCanvasColor(frame)) {
      this.#direct = new SoftwareScaleContext();
      this.#direct.getContext(crop.width, crop.height, format, widthPx, heightPx, format, SWS_BICUBIC);
      return;
    }
    const input = { widthPx: width, heightPx: height, pixelFormat: format, colorSpace, colorRange };
    this.#graph = new VideoGraph(input, chain(this.#job, frame));
  }

  #throughGraph(frame: Frame, target: Picture): void {
    const out = this.#graph?.run(frame);
    if (out === undefined) return;
    using picture = Picture.adopt(out);
    target.raw.copy(picture.raw);
  }
}

/** Unspecified colour is BT.709 from 720 lines up and BT.601 below, as players assume. */
function isCanvasColor({ colorSpace, colorRange, height }: Frame): boolean {
  if (colorRange === AVCOL_RANGE_JPEG) return false;
  return colorSpace === AVCOL_SPC_BT709 || (colorSpace === AVCOL_SPC_UNSPECIFIED && height >= 720);
}

function matrixName({ colorSpace, height }: Frame): string {
  if (colorSpace === AVCOL_SPC_UNSPECIFIED) return height >= 720 ? "bt709" : "smpte170m";
  if (colorSpace === AVCOL_SPC_SMPTE170M || colorSpace === AVCOL_SPC_BT470BG) return "smpte170m";
  return "auto";
}

function chain({ crop, orientation, widthPx, heightPx }: ScaleJob, frame: Frame): string {
  const turned = orientation.rotate === 90 || orientation.rotate === 270;
  const [width, height] = turned ? [heightPx, widthPx] : [widthPx, heightPx];
  const range = frame.colorRange === AVCOL_RANGE_JPEG ? "pc" : "auto";
  const filters = [
    `crop=${crop.width}:${crop.height}:${crop.x}:${crop.y}:exact=1`,
    `scale=${width}:${height}:flags=bicubic:in_color_matrix=${matrixName(frame)}:out_color_matrix=bt709` +
      `:in_range=${range}:out_range=tv`,
    "format=pix_fmts=yuv420p",
  ];
  if (orientation.rotate === 90) filters.push("transpose=clock");
  if (orientation.rotate === 180) filters.push("hflip", "vflip");
  if (orientation.rotate === 270) filters.push("transpose=cclock");
  if (orientation.mirror) filters.push("hflip");
  return filters.join(",");
}
