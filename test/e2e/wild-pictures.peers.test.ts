import { expect, test } from "vitest";
import { Folder } from "../kit/folder.ts";
import { makeMedia, TAG709 } from "../kit/media.ts";
import { requirePeer } from "../kit/peers.ts";
import {
  BLUE,
  BT709,
  FINE,
  GREEN,
  hex,
  QUARTERS,
  quarters,
  RED,
  SIZE,
  still,
  X264,
  YELLOW,
} from "./painted.ts";
import { inputs, mixWell, outputs } from "./program.ts";
import { colourAt, combing, difference, distance, type Rgb, type Still, stillAt } from "./stills.ts";

requirePeer("ffmpeg")("colours, through the whole program, against what was painted", () => {
  const cases = [
    { name: "BT.709 limited", scale: BT709, format: "yuv420p", tags: TAG709 },
    {
      name: "BT.709 full",
      scale: "scale=out_color_matrix=bt709:out_range=pc",
      format: "yuv420p",
      tags: ["-colorspace", "bt709", "-color_range", "pc"],
    },
    {
      name: "BT.601 limited",
      scale: "scale=out_color_matrix=smpte170m:out_range=tv",
      format: "yuv420p",
      tags: ["-colorspace", "smpte170m", "-color_range", "tv"],
    },
    {
      name: "BT.601 full",
      scale: "scale=out_color_matrix=smpte170m:out_range=pc",
      format: "yuv420p",
      tags: ["-colorspace", "smpte170m", "-color_range", "pc"],
    },
    {
      name: "small and untagged, so BT.601",
      scale: "scale=out_color_matrix=smpte170m:out_range=tv",
      format: "yuv420p",
      tags: [],
    },
    { name: "4:2:2", scale: BT709, format: "yuv422p", tags: TAG709 },
    { name: "4:4:4", scale: BT709, format: "yuv444p", tags: TAG709 },
    { name: "10 bit", scale: BT709, format: "yuv420p10le", tags: TAG709 },
    { name: "10 bit 4:2:2", scale: BT709, format: "yuv422p10le", tags: TAG709 },
    {
      name: "BT.2020 matrix, 10 bit",
      scale: "scale=out_color_matrix=bt2020:out_range=tv",
      format: "yuv420p10le",
      tags: ["-colorspace", "bt2020nc", "-color_range", "tv"],
    },
  ];
  test.each(cases)("$name", async ({ scale, format, tags }) => {
    const input = await quarters(640, 360, `${scale},format=${format}`, [...X264, ...tags], "mkv");
    const picture = await still(input);
    for (const { want, x, y } of QUARTERS) {
      const got = colourAt(picture, x, y);
      expect(distance(got, want), `${hex(want)} became ${hex(got)}`).toBeLessThanOrEqual(6);
    }
  });

  test("RGB without chroma subsampling (H.264 High 4:4:4 as GBR)", async () => {
    const input = await quarters(640, 360, "format=rgb24", ["-c:v", "libx264rgb", "-qp", "2"], "mkv");
    const picture = await still(input);
    for (const { want, x, y } of QUARTERS)
      expect(distance(colourAt(picture, x, y), want)).toBeLessThanOrEqual(6);
  });
});

requirePeer("ffmpeg")("shapes", () => {
  const corner = (picture: Still, x: number, y: number): Rgb | undefined =>
    [RED, GREEN, BLUE, YELLOW].find((one) => distance(one, colourAt(picture, x, y)) <= 8);
  /** Top left, top right, bottom left, bottom right of what is shown around the middle. */
  const cornersOf = (picture: Still, inset: number): (Rgb | undefined)[] =>
    [0.25, 0.75].flatMap((y) => [0.5 - inset, 0.5 + inset].map((x) => corner(picture, x, y)));
  const BLACK: Rgb = [0, 0, 0];

  test.each([90, 180, 270])("a display matrix of %i degrees: as ffmpeg turns it", async (degrees) => {
    const input = await quarters(640, 360, `${BT709},format=yuv420p`, [...X264, ...TAG709]);
    const turned = await makeMedia(["-i", input, "-c", "copy", "-metadata:s:v:0", `rotate=${degrees}`]);
    const sideways = degrees !== 180;
    const reference = await stillAt(turned, 0.5, sideways ? { width: 360, height: 640 } : SIZE);
    const want = cornersOf(reference, 0.25);
    expect(want).not.toEqual([RED, GREEN, BLUE, YELLOW]); // It really is turned.
    expect(new Set(want).size).toBe(4);
    const picture = await still(turned);
    // Upright pictures of 360x640 are 202 wide here, in the middle of black.
    expect(cornersOf(picture, sideways ? 0.08 : 0.25)).toEqual(want);
    if (sideways) expect(distance(colourAt(picture, 0.1, 0.5), BLACK)).toBeLessThan(24);
  });

  test("pixels that are twice as wide as high", async () => {
    const input = await quarters(320, 360, `${BT709},setsar=2/1,format=yuv420p`, [...X264, ...TAG709]);
    const picture = await still(input);
    expect(corner(picture, 0.04, 0.25)).toEqual(RED);
    expect(corner(picture, 0.96, 0.75)).toEqual(YELLOW);
    expect(corner(picture, 0.47, 0.25)).toEqual(RED);
    expect(corner(picture, 0.53, 0.25)).toEqual(GREEN);
  });

  test.each([
    { width: 641, height: 361 },
    { width: 427, height: 241 },
    { width: 101, height: 57 },
  ])("an odd size, $width x $height", async ({ width, height }) => {
    const codec = ["-c:v", "libx264", "-qp", "4", ...TAG709];
    const input = await quarters(width, height, `${BT709},format=yuv444p`, codec, "mkv");
    const picture = await still(input);
    expect(corner(picture, 0.1, 0.1)).toEqual(RED);
    expect(corner(picture, 0.9, 0.1)).toEqual(GREEN);
    expect(corner(picture, 0.1, 0.9)).toEqual(BLUE);
    expect(corner(picture, 0.9, 0.9)).toEqual(YELLOW);
    // No seam of something else at the right and bottom edge.
    expect(corner(picture, 1 - 5 / 640, 0.9)).toEqual(YELLOW);
    expect(corner(picture, 0.9, 1 - 5 / 360)).toEqual(YELLOW);
  });

  test("interlaced pictures lose their combs, and move on", async () => {
    using folder = new Folder();
    const moving = "testsrc2=s=640x360:r=60:d=2";
    const codec = [...X264, ...TAG709];
    const plain = await makeMedia(["-f", "lavfi", "-i", `${moving},fps=30,format=yuv420p`, ...codec]);
    const laced = await makeMedia([
      ...["-f", "lavfi", "-i", `${moving},format=yuv420p,tinterlace=interleave_top,setfield=tff`],
      ...[...codec, "-flags", "+ildct+ilme", "-x264opts", "tff=1"],
    ]);
    const [a, b] = [folder.file("plain.mp4"), folder.file("laced.mp4")];
    await mixWell([...inputs(plain), ...FINE, ...outputs(a)]);
    await mixWell([...inputs(laced), ...FINE, ...outputs(b)]);
    const times = [0.5, 1.5];
    for (const atS of times) {
      const raw = combing(await stillAt(laced, atS, SIZE));
      const clean = combing(await stillAt(a, atS, SIZE));
      const ours = combing(await stillAt(b, atS, SIZE));
      expect(raw).toBeGreaterThan(1.3 * clean); // The input really is combed.
      expect(ours).toBeLessThan(1.1 * clean);
    }
    const moved = async (file: string): Promise<number> => {
      const [early, later] = await Promise.all(times.map((atS) => stillAt(file, atS, SIZE)));
      return early && later ? difference(early, later) : 0;
    };
    expect(await moved(b)).toBeGreaterThan(0.8 * (await moved(a)));
  });
});
