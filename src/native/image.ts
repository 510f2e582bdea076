import { AV_PIX_FMT_RGB0, AV_PIX_FMT_RGB24, Frame } from "node-av";
import sharp from "sharp";
import { assert, DeviceError, MediaInvalidError } from "../core/error.ts";
import { Picture } from "./picture.ts";
import { VideoGraph } from "./video-graph.ts";

/** Full-range RGB to limited BT.709. */
const TO_CANVAS = "scale=flags=bicubic:out_color_matrix=bt709:in_range=pc:out_range=tv";
const TO_RGB =
  "scale=flags=bicubic+accurate_rnd+full_chroma_int:in_color_matrix=bt709:in_range=tv:out_range=pc";
const MAX_PIXELS = 16_000_000;
/** What {@link toRgb} gives: whole pixels fit any row, however it is padded. */
const BYTES_PER_PIXEL = 4;

/**
 * Renders an image (PNG, JPEG, SVG) to exactly this even size, over `background`.
 *
 * @param fit `cover` cuts, `contain` leaves the background free, `fill` stretches.
 * @throws {MediaInvalidError} `ERR_MEDIA_INVALID` if it is no image or over 16 megapixels.
 */
export async function renderImage(
  image: Uint8Array | string,
  size: { readonly widthPx: number; readonly heightPx: number },
  options: { readonly fit: "cover" | "contain" | "fill"; readonly background: string },
): Promise<Picture> {
  const input = typeof image === "string" ? Buffer.from(image) : image;
  try {
    const rgb = await sharp(input, { limitInputPixels: MAX_PIXELS })
      .resize(size.widthPx, size.heightPx, { fit: options.fit, background: options.background })
      .flatten({ background: options.background })
      .toColourspace("srgb")
      .removeAlpha()
      .raw()
      .toBuffer();
    return await fromRgb(rgb, size.widthPx, size.heightPx);
  } catch (cause) {
    if (cause instanceof DeviceError) throw cause;
    throw new MediaInvalidError("not an image that can be drawn", { cause });
  }
}

/**
 * Encodes a picture as a still. All that is in proportion to its size happens on the thread pool, for whoever asks also
 * ticks.
 */
export async function encodeStill(picture: Picture, format: "png" | "jpeg"): Promise<Uint8Array> {
  const { widthPx: width, heightPx: height } = picture;
  using rgb = await toRgb(picture);
  const [pixels, stride] = [rgb.data?.[0], rgb.linesize[0]];
  if (pixels === undefined || stride === undefined) throw new DeviceError("no memory for an image");
  // The padding of its rows is read as pixels, and cut off.
  const image = sharp(pixels, { raw: { width: stride / BYTES_PER_PIXEL, height, channels: BYTES_PER_PIXEL } })
    .extract({ left: 0, top: 0, width, height })
    .removeAlpha();
  // Awaited here: the pixels live as long as `rgb`.
  return await (format === "png" ? image.png() : image.jpeg({ quality: 85 })).toBuffer();
}

async function fromRgb(rgb: Buffer, width: number, height: number): Promise<Picture> {
  using frame = new Frame();
  frame.alloc();
  frame.width = width;
  frame.height = height;
  frame.format = AV_PIX_FMT_RGB24;
  if (frame.getBuffer(1) < 0) throw new DeviceError("no memory for an image");
  const plane = frame.data?.[0];
  assert(plane !== undefined && frame.linesize[0] === width * 3, "rows aligned to a byte are not padded");
  rgb.copy(plane);
  const input = {
    widthPx: width,
    heightPx: height,
    format: AV_PIX_FMT_RGB24,
    stream: { colorSpace: 0, colorRange: 2 },
  };
  using graph = new VideoGraph(input, TO_CANVAS);
  return Picture.adopt(await graph.runAsync(frame));
}

async function toRgb(picture: Picture): Promise<Frame> {
  const { widthPx, heightPx } = picture;
  const { format, colorSpace, colorRange } = picture.raw;
  const input = { widthPx, heightPx, format, stream: { colorSpace, colorRange } };
  using graph = new VideoGraph(input, TO_RGB, AV_PIX_FMT_RGB0);
  return await graph.runAsync(picture.raw);
}
