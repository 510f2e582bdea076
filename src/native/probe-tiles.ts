import type { Frame } from "node-av";
import { AVERROR_EINVAL, SoftwareScaleContext, SWS_BICUBIC } from "node-av";
import { succeed } from "./libav.ts";
import { Picture, Stamp } from "./picture.ts";
import { emptyCanvas } from "./probe-picture.ts";
import type { GraphPlacement } from "./profile-template.ts";

/** Composes once the way the mixer does on the CPU: each source into a tile of its own, each tile into the canvas. */
export function composeTiles(sources: readonly Frame[], placements: readonly GraphPlacement[]): Frame {
  const canvas = Picture.adopt(emptyCanvas());
  canvas.makeWritable();
  for (const [index, { x, y, width, height }] of placements.entries()) {
    const source = sources[index];
    if (source === undefined) continue;
    using tile = Picture.alloc(width, height);
    scaleInto(source, tile);
    using stamp = new Stamp(width, height);
    stamp.copy(tile, canvas, x, y);
  }
  return canvas.raw;
}

function scaleInto(source: Frame, tile: Picture): void {
  const context = new SoftwareScaleContext();
  try {
    const { width, height, format } = source;
    context.getContext(
      width,
      height,
      format as never,
      tile.widthPx,
      tile.heightPx,
      tile.raw.format as never,
      SWS_BICUBIC,
    );
    const rows = context.scaleSync(
      source.data ?? [],
      source.linesize,
      0,
      height,
      [...tile.planes],
      tile.raw.linesize,
    );
    succeed(rows === tile.heightPx ? rows : AVERROR_EINVAL, "scale into a tile");
  } finally {
    context.freeContext();
  }
}
