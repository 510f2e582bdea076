import { spawn } from "node:child_process";

/** One decoded picture as 8-bit RGB. */
export interface Still {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
}

export type Rgb = readonly [red: number, green: number, blue: number];

/**
 * The picture shown at `atS`, by Debian's ffmpeg, which follows the file's own colour tags.
 *
 * @param size as the file has it.
 */
export async function stillAt(
  file: string,
  atS: number,
  { width, height }: { readonly width: number; readonly height: number },
): Promise<Still> {
  const seek = ["-v", "error", "-nostdin", "-i", file, "-ss", `${atS}`, "-frames:v", "1"];
  const convert = ["-vf", "scale=flags=accurate_rnd+full_chroma_int", "-f", "rawvideo", "-pix_fmt", "rgb24"];
  const ffmpeg = spawn("ffmpeg", [...seek, ...convert, "pipe:1"], { stdio: ["ignore", "pipe", "inherit"] });
  const parts: Buffer[] = [];
  for await (const part of ffmpeg.stdout) parts.push(part as Buffer);
  const rgb = new Uint8Array(Buffer.concat(parts));
  if (rgb.length !== width * height * 3)
    throw new Error(`${file} at ${atS} s: ${rgb.length} bytes, not ${width}x${height}`);
  return { width, height, rgb };
}

/** The mean colour of 8 x 8 pixels around a point, given in fractions of the picture. */
export function colourAt({ width, height, rgb }: Still, x: number, y: number): Rgb {
  const sums = [0, 0, 0];
  const [left, top] = [Math.round(x * width) - 4, Math.round(y * height) - 4];
  for (let row = top; row < top + 8; row++) {
    for (let column = left; column < left + 8; column++) {
      for (let plane = 0; plane < 3; plane++)
        sums[plane] = (sums[plane] ?? 0) + (rgb[(row * width + column) * 3 + plane] ?? Number.NaN);
    }
  }
  return [(sums[0] ?? 0) / 64, (sums[1] ?? 0) / 64, (sums[2] ?? 0) / 64];
}

/** The largest difference of any channel. */
export const distance = (a: Rgb, b: Rgb): number =>
  Math.max(Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1]), Math.abs(a[2] - b[2]));

/** How much two pictures of one size differ, per pixel of green. */
export function difference(a: Still, b: Still): number {
  let sum = 0;
  for (let at = 1; at < a.rgb.length; at += 3) sum += Math.abs((a.rgb[at] ?? 0) - (b.rgb[at] ?? 0));
  return sum / (a.width * a.height);
}

/** How much lines differ from the lines around them, per pixel of green: combs of interlaced pictures make it large. */
export function combing({ width, height, rgb }: Still): number {
  let sum = 0;
  for (let row = 1; row < height - 1; row++) {
    for (let column = 0; column < width; column++) {
      const at = (row * width + column) * 3 + 1;
      const [above, own, below] = [rgb[at - width * 3], rgb[at], rgb[at + width * 3]];
      sum += Math.abs(2 * (own ?? 0) - (above ?? 0) - (below ?? 0));
    }
  }
  return sum / (width * (height - 2));
}
