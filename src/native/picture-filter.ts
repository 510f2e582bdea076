import { AV_BUFFERSRC_FLAG_KEEP_REF, type AVPixelFormat } from "node-av/constants";
import { avGetPixFmtName, Filter, type FilterContext, FilterGraph, FilterInOut, Frame } from "node-av/lib";
import { DeviceError } from "../core/error.ts";
import { us } from "../core/time.ts";
import { type FrameTiming, NativeFrame } from "./frame.ts";
import { succeed, toMicros } from "./libav.ts";

/** What is done to decoded pictures before anybody sees them. */
export interface Treatment {
  /** `frame`: one picture out for each one in; `field`: two, at twice the rate. Absent: none. */
  readonly deinterlace?: "frame" | "field" | undefined;
  /** HDR (PQ or HLG) to BT.709, 8 bit. */
  readonly toneMap: boolean;
  /** Multiply by alpha, which is to show it over black, and drop alpha. */
  readonly flatten: boolean;
}

/**
 * An FFmpeg filter chain for decoded pictures of one size and format. Deinterlacing (bwdif) holds one picture back and
 * leaves pictures alone that are not flagged as interlaced; the other treatments hold nothing.
 *
 * At 1280x720: deinterlacing 0.5 ms, tone mapping 5.4 ms, flattening 4.4 ms a picture.
 */
export class PictureFilter implements Disposable {
  readonly #graph = new FilterGraph();
  readonly #source: FilterContext;
  readonly #sink: FilterContext;
  readonly #key: string;
  readonly #timings: FrameTiming[] = [];

  /** @throws {DeviceError} `ERR_DEVICE` if libavfilter refuses such pictures. */
  constructor(first: NativeFrame, treatment: Treatment) {
    this.#key = keyOf(first, treatment);
    const { format, width, height, colorSpace, colorRange, sampleAspectRatio: aspect } = first.raw;
    const graph = this.#graph;
    graph.alloc();
    graph.nbThreads = 1;
    try {
      const size = `video_size=${width}x${height}:pix_fmt=${format}:time_base=1/1000000`;
      const shape = `pixel_aspect=${Math.max(0, aspect.num)}/${Math.max(1, aspect.den)}`;
      this.#source = this.#add("buffer", `${size}:${shape}:colorspace=${colorSpace}:range=${colorRange}`);
      this.#sink = this.#add("buffersink", null);
      const chain = chainOf(treatment, format as AVPixelFormat);
      succeed(graph.parsePtr(chain, pad("out", this.#sink), pad("in", this.#source)), `set up ${chain}`);
      succeed(graph.configSync(), `set up ${chain}`);
    } catch (error) {
      graph.free();
      throw error;
    }
  }

  /** True if `frame` may go through this chain, treated like that. */
  fits(frame: NativeFrame, treatment: Treatment): boolean {
    return keyOf(frame, treatment) === this.#key;
  }

  /**
   * Takes a picture over and returns those that are ready, owned by the caller.
   *
   * @throws {DeviceError} `ERR_DEVICE` if libavfilter fails; the picture is gone then.
   */
  run(frame: NativeFrame): readonly NativeFrame[] {
    using taken = frame;
    const { raw, ptsUs, durationUs, arrivalUs, orientation } = taken;
    raw.pts = BigInt(ptsUs);
    raw.duration = BigInt(durationUs);
    this.#timings.push({ ptsUs, durationUs, arrivalUs, orientation });
    succeed(this.#source.buffersrcAddFrameSync(raw, AV_BUFFERSRC_FLAG_KEEP_REF), "filter a picture");
    return this.#ready();
  }

  /** Returns what was held back; afterwards the chain only frees. */
  flush(): readonly NativeFrame[] {
    this.#source.buffersrcAddFrameSync(null);
    return this.#ready();
  }

  /** Twice is harmless. */
  [Symbol.dispose](): void {
    this.#graph.free();
  }

  #ready(): readonly NativeFrame[] {
    const ready: NativeFrame[] = [];
    for (;;) {
      const raw = new Frame();
      raw.alloc();
      if (this.#sink.buffersinkGetFrameSync(raw) < 0) {
        raw.free();
        return ready;
      }
      ready.push(new NativeFrame(raw, this.#timingOf(raw)));
    }
  }

  /** Fields come between the pictures they were made of. */
  #timingOf(raw: Frame): FrameTiming {
    const base = this.#sink.buffersinkGetTimeBase();
    const [first] = this.#timings;
    const ptsUs = toMicros(raw.pts, base) ?? first?.ptsUs ?? us(0);
    while ((this.#timings[1]?.ptsUs ?? Number.POSITIVE_INFINITY) <= ptsUs) this.#timings.shift();
    const durationUs = toMicros(raw.duration, base) ?? us(0);
    return { arrivalUs: us(0), ...this.#timings[0], ptsUs, durationUs };
  }

  #add(kind: "buffer" | "buffersink", settings: string | null): FilterContext {
    const filter = Filter.getByName(kind);
    const context = filter === null ? null : this.#graph.createFilter(filter, kind, settings);
    if (context === null) throw new DeviceError(`libavfilter refuses pictures of ${settings}`);
    return context;
  }
}

const alphaFormats = new Map<number, boolean>();

/** True if pictures of this FFmpeg pixel format have an alpha channel, or a palette with one. */
export function hasAlpha(format: number): boolean {
  const known = alphaFormats.get(format);
  if (known !== undefined) return known;
  const name = avGetPixFmtName(format as AVPixelFormat) ?? "";
  const found = /^(yuva|gbrap|rgba|bgra|argb|abgr|ya\d|ayuv|vuya|uyva|pal8)/.test(name);
  alphaFormats.set(format, found);
  return found;
}

function keyOf({ raw }: NativeFrame, { deinterlace, toneMap, flatten }: Treatment): string {
  const { format, width, height, colorSpace, colorRange } = raw;
  return [format, width, height, colorSpace, colorRange, deinterlace, toneMap, flatten].join(" ");
}

function chainOf({ deinterlace, toneMap, flatten }: Treatment, format: AVPixelFormat): string {
  const isYuv = /^(yuva|ya|ayuv|vuya|uyva)/.test(avGetPixFmtName(format) ?? "");
  const steps = [
    ...(deinterlace === undefined ? [] : [`bwdif=mode=send_${deinterlace}:deint=interlaced`]),
    ...(flatten ? ["premultiply=inplace=1", `format=${isYuv ? "yuv420p" : "gbrp"}`] : []),
    ...(toneMap ? ["tonemapx=tonemap=bt2390:desat=0:peak=100:t=bt709:m=bt709:p=bt709:format=yuv420p"] : []),
  ];
  return steps.join(",");
}

function pad(name: string, context: FilterContext): FilterInOut {
  const inOut = new FilterInOut();
  inOut.alloc();
  inOut.name = name;
  inOut.filterCtx = context;
  inOut.padIdx = 0;
  return inOut;
}
