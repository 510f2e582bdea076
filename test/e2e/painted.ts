import { writeFileSync } from "node:fs";
import { expect } from "vitest";
import { Folder } from "../kit/folder.ts";
import { makeMedia } from "../kit/media.ts";
import { inputs, mixWell, outputs } from "./program.ts";
import { type Rgb, type Still, stillAt } from "./stills.ts";

/** Of the pictures that {@link still} gives. */
export const SIZE = { width: 640, height: 360 };
/** Bits enough that what is measured is the conversion and not the encoder. */
export const FINE = ["--size", "640x360", "--bitrate", "12M", "--fast"];

export const RED: Rgb = [208, 32, 32];
export const GREEN: Rgb = [32, 176, 48];
export const BLUE: Rgb = [40, 64, 200];
export const YELLOW: Rgb = [224, 208, 32];

export const hex = (rgb: Rgb): string =>
  `0x${rgb.map((level) => Math.round(level).toString(16).padStart(2, "0")).join("")}`;

/** One layout slot over the whole canvas that shows the whole picture. */
function containLayout(folder: Folder): string {
  const file = folder.file("contain.json");
  const slots = [{ id: "main", x: 0, y: 0, width: 1, height: 1, fit: "contain" }];
  writeFileSync(
    file,
    JSON.stringify({ tessera: 1, name: "one", background: { color: "#000000" }, arrangements: [{ slots }] }),
  );
  return file;
}

/** One second of red, green above blue, yellow; each a quarter. */
export function quarters(
  width: number,
  height: number,
  filters: string,
  codec: readonly string[],
  container = "mp4",
): Promise<string> {
  const patch = (rgb: Rgb): string[] => [
    "-f",
    "lavfi",
    "-i",
    `color=c=${hex(rgb)}:s=${Math.ceil(width / 2)}x${Math.ceil(height / 2)}:r=30:d=1,format=gbrp`,
  ];
  const graph = `[0][1]hstack[a];[2][3]hstack[b];[a][b]vstack,crop=${width}:${height}:0:0:exact=1,${filters}`;
  const sources = [RED, GREEN, BLUE, YELLOW].flatMap(patch);
  return makeMedia([...sources, "-filter_complex", graph, ...codec], container);
}

export const X264 = ["-c:v", "libx264", "-preset", "veryfast", "-qp", "4"];
export const BT709 = "scale=out_color_matrix=bt709:out_range=tv";

/** What `tessera mix` shows of a second of video after half of it. */
export async function still(input: string, args: readonly string[] = []): Promise<Still> {
  using folder = new Folder();
  const file = folder.file("out.mp4");
  const { summary } = await mixWell([
    ...inputs(input),
    ...FINE,
    ...["--layout", containLayout(folder)],
    ...outputs(file),
    ...args,
  ]);
  expect(summary.frames).toBe(30);
  return await stillAt(file, 0.5, SIZE);
}

/** Where {@link quarters} shows what. */
export const QUARTERS: readonly { readonly want: Rgb; readonly x: number; readonly y: number }[] = [
  { want: RED, x: 0.25, y: 0.25 },
  { want: GREEN, x: 0.75, y: 0.25 },
  { want: BLUE, x: 0.25, y: 0.75 },
  { want: YELLOW, x: 0.75, y: 0.75 },
];
