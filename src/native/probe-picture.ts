import type { Frame, HardwareDeviceContext } from "node-av";
import { AV_PICTURE_TYPE_NONE, AV_PIX_FMT_YUV420P, avGetPixFmtName } from "node-av";
import { assert, DeviceError } from "../core/error.ts";
import { MediaGraph, type PictureInput } from "./media-graph.ts";
import { AbsentError } from "./probe-reason.ts";
import type { GraphCanvas, GraphPlacement } from "./profile-template.ts";

export const PROBE_WIDTH = 1280;
export const PROBE_HEIGHT = 720;
/** Pictures of one test clip; it runs to and fro, so that it never jumps. */
const CLIP_FRAMES = 10;
/** What `psnr` calls equal is infinite; reports are JSON. */
const EXACT_DB = 100;

/**
 * The least PSNR of luma against the CPU's picture, in dB; chroma may be 4 less. Measured here: scalers with other
 * kernels come to 41 and more (nearest neighbour 38), compositions to 47 and 61; one tile of four off by two pixels is
 * 37, full range for limited 28, a flip 21 and less.
 */
export const TOLERANCE_DB: Readonly<Record<"transfer" | "decode" | "scale" | "compose" | "encode", number>> =
  {
    transfer: 60,
    decode: 45,
    scale: 36,
    compose: 39,
    encode: 30,
  };

/** Four tiles that differ in size and place, one of them free of the grid, and background between them. */
export const PROBE_PLACEMENTS: readonly GraphPlacement[] = [
  { x: 0, y: 0, width: 852, height: 480 },
  { x: 852, y: 0, width: 428, height: 240 },
  { x: 852, y: 240, width: 428, height: 240 },
  { x: 82, y: 514, width: 320, height: 180 },
];
export const PROBE_CANVAS: GraphCanvas = { width: PROBE_WIDTH, height: PROBE_HEIGHT, background: "203860" };

/**
 * Four clips that no flip, turn or swap of planes maps onto another. Soft, as camera pictures are.
 * `vflip` alone would give rows that run backwards in memory, which `Frame.data` cannot show; hence the copy.
 */
const VARIANTS = ["null", "hue=h=90", "hue=h=180,negate=components=y", "hue=h=270,vflip,copy"];
const TAG = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv,format=yuv420p";
const SIZE = `${PROBE_WIDTH}x${PROBE_HEIGHT}`;

/** Pictures in memory, 4:2:0, that the clip owns. */
export class Clip implements Disposable {
  readonly #frames: Frame[] = [];

  constructor(variant = 0) {
    const look = VARIANTS[variant % VARIANTS.length];
    using graph = new MediaGraph(
      `testsrc2=size=${SIZE}:rate=30,gblur=sigma=4,format=yuv420p,${look},${TAG}[out]`,
      [],
    );
    while (this.#frames.length < CLIP_FRAMES) {
      const frame = pullOne(graph);
      // The generator says that each is a key frame, and encoders would obey.
      frame.pictType = AV_PICTURE_TYPE_NONE;
      this.#frames.push(frame);
    }
  }

  /** The picture at `index`, stamped with it; the clip keeps owning it. */
  at(index: number): Frame {
    const phase = index % (2 * CLIP_FRAMES - 2);
    const frame = this.#frames[phase < CLIP_FRAMES ? phase : 2 * CLIP_FRAMES - 2 - phase];
    assert(frame !== undefined, "a clip has every phase");
    frame.pts = BigInt(index);
    return frame;
  }

  [Symbol.dispose](): void {
    for (const frame of this.#frames) frame.free();
  }
}

/** How a graph sees this frame; device frames bring their pool. Borrows. */
export function inputOf(frame: Frame): PictureInput {
  const format = avGetPixFmtName(frame.format as Parameters<typeof avGetPixFmtName>[0]) ?? "none";
  const frames = frame.isHwFrame() ? (frame.hwFramesCtx ?? undefined) : undefined;
  return { widthPx: frame.width, heightPx: frame.height, format, frames };
}

/** Runs one set of pictures through a graph and gives the last picture that comes out; the caller owns it. */
export function runOnce(text: string, frames: readonly Frame[], device?: HardwareDeviceContext): Frame {
  using graph = new MediaGraph(text, frames.map(inputOf), { device });
  graph.push(frames);
  graph.end();
  return pullOne(graph);
}

/** @throws {DeviceError} `ERR_DEVICE` if nothing came. */
export function pullOne(graph: MediaGraph): Frame {
  const frame = graph.pull();
  if (frame === undefined) throw new DeviceError("the graph gave no picture");
  return frame;
}

/** How near a picture is to another: PSNR of luma, and of the worse chroma plane, in dB, at most 100. */
export interface Match {
  readonly lumaDb: number;
  readonly chromaDb: number;
}

/** Compares two pictures in memory. @throws {AbsentError} `mismatch` if their sizes differ. */
export function matchOf(made: Frame, wanted: Frame): Match {
  if (made.width !== wanted.width || made.height !== wanted.height) {
    const sizes = `${made.width}x${made.height}, not ${wanted.width}x${wanted.height}`;
    throw new AbsentError("mismatch", `made ${sizes}`);
  }
  const stamps = [made.pts, wanted.pts] as const;
  [made.pts, wanted.pts] = [0n, 0n];
  using result = runOnce("[in0]format=yuv420p[a];[in1]format=yuv420p[b];[a][b]psnr[out]", [made, wanted]);
  [made.pts, wanted.pts] = stamps;
  const values = result.getMetadata().getAll();
  const [y = 0, u = 0, v = 0] = ["y", "u", "v"].map((plane) => {
    const text = values[`lavfi.psnr.psnr.${plane}`];
    return text === "inf" ? EXACT_DB : Math.min(EXACT_DB, Number(text ?? 0));
  });
  return { lumaDb: y, chromaDb: Math.min(u, v) };
}

/** Plane by plane the worse of two. */
export const worse = (a: Match, b: Match): Match => ({
  lumaDb: Math.min(a.lumaDb, b.lumaDb),
  chromaDb: Math.min(a.chromaDb, b.chromaDb),
});

/** The CPU's own scaling, by zimg, that every scaler here is held against. */
export const referenceScale = (frame: Frame, width: number, height: number): Frame =>
  runOnce(`[in0]zscale=w=${width}:h=${height}:filter=bicubic,format=yuv420p[out]`, [frame]);

/** The CPU's own composition, by zimg and FFmpeg's overlay. The caller owns it. */
export function referenceComposition(frames: readonly Frame[]): Frame {
  const parts: string[] = [];
  const last = PROBE_PLACEMENTS.length - 1;
  for (const [index, at] of PROBE_PLACEMENTS.entries()) {
    const below = index === 0 ? `in${frames.length}` : `step${index}`;
    const above = index === last ? "out" : `step${index + 1}`;
    parts.push(`[in${index}]zscale=w=${at.width}:h=${at.height}:filter=bicubic[tile${index}]`);
    parts.push(`[${below}][tile${index}]overlay=x=${at.x}:y=${at.y}:format=yuv420[${above}]`);
  }
  using canvas = emptyCanvas();
  canvas.pts = frames[0]?.pts ?? 0n;
  return runOnce(parts.join(";"), [...frames, canvas]);
}

/** The empty canvas, in memory, BT.709 limited. The caller owns it. */
export function emptyCanvas(): Frame {
  const { width, height, background } = PROBE_CANVAS;
  using graph = new MediaGraph(`color=c=0x${background}:s=${width}x${height}:r=30,${canvasColor}[out]`, []);
  const frame = pullOne(graph);
  assert(frame.format === AV_PIX_FMT_YUV420P, "the canvas is 4:2:0");
  return frame;
}

/** `color` makes RGB when asked to; the matrix is then ours to choose. */
const canvasColor = `format=gbrp,zscale=matrix=709:range=limited,${TAG}`;
