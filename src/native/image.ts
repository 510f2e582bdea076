import { AV_PIX_FMT_RGB24, Frame } from "node-av";
import sharp from "sharp";
import { DeviceError, MediaInvalidError } from "../core/error.ts";
import { Picture } from "./picture.ts";
import { VideoGraph } from "./video-graph.ts";

/** Full-range RGB to limited BT.709. */
const TO_CANVAS = "scale=flags=bicubic:out_color_matrix=bt709:in_range=pc:out_range=tv";
const TO_RGB =
  "scale=flags=bicubic+accurate_rnd+full_chroma_int:in_color_matrix=bt709:in_range=tv:out_range=pc";
const MAX_PIXELS = 16_000_000;

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
    return fromRgb(rgb, size.widthPx, size.heightPx);
  } catch (cause) {
    if (cause instanceof DeviceError) throw cause;
    throw new MediaInvalidError("not an image that can be drawn", { cause });
  }
}

/** Encodes a picture as a still. */
export async function encodeStill(picture: Picture, format: "png" | "jpeg"): Promise<Uint8Array> {
  const { width, height, data, stride } = toRgb(picture);
  const rows = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y++) data.copy(rows, y * width * 3, y * stride, y * stride + width * 3);
  const image = sharp(rows, { raw: { width, height, channels: 3 } });
  return format === "png" ? image.png().toBuffer() : image.jpeg({ quality: 85 }).toBuffer();
}

function fromRgb(rgb: Buffer, width: number, height: number): Picture {
  using frame = new Frame();
  frame.alloc();
  frame.width = width;
  frame.height = height;
  frame.format = AV_PIX_FMT_RGB24;
  if (frame.getBuffer(1) < 0 || frame.data === null) throw new DeviceError("no memory for an image");
  const [plane] = frame.data;
  const stride = frame.linesize[0] ?? width * 3;
  if (plane === undefined) throw new DeviceError("no memory for an image");
  for (let y = 0; y < height; y++) rgb.copy(plane, y * stride, y * width * 3, (y + 1) * width * 3);
  const input = {
    widthPx: width,
    heightPx: height,
    format: AV_PIX_FMT_RGB24,
    stream: { colorSpace: 0, colorRange: 2 },
  };
  using graph = new VideoGraph(input, TO_CANVAS);
  return Picture.adopt(graph.run(frame));
}

function toRgb(picture: Picture): { width: number; height: number; data: Buffer; stride: number } {
  const { widthPx: width, heightPx: height } = picture;
  const { format, colorSpace, colorRange } = picture.raw;
  const input = { widthPx: width, heightPx: height, format, stream: { colorSpace, colorRange } };
  using graph = new VideoGraph(input, TO_RGB, AV_PIX_FMT_RGB24);
  using out = graph.run(picture.raw);
  const plane = out.data?.[0];
  if (plane === undefined) throw new DeviceError("no memory for an image");
  return { width, height, data: Buffer.from(plane), stride: out.linesize[0] ?? width * 3 };
}
