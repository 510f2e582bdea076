import { expect, test } from "vitest";
import { Folder } from "../kit/folder.ts";
import { makeMedia, TAG709 } from "../kit/media.ts";
import { withOverscan } from "../kit/overscan.ts";
import { requirePeer } from "../kit/peers.ts";
import { BT709, GREEN, hex, QUARTERS, quarters, RED, SIZE, still, X264 } from "./painted.ts";
import { colourAt, distance, type Rgb, type Still, stillAt } from "./stills.ts";

/** How far the quarters are from what was painted, at most. */
const farthest = (picture: Still, of: (painted: Rgb) => Rgb = (painted) => painted): number =>
  Math.max(...QUARTERS.map(({ want, x, y }) => distance(colourAt(picture, x, y), of(want))));

/** From the painter's RGB to any other colours, whose white is at 203 nits (ITU-R BT.2408 §2.2) where that matters. */
const toColours = (to: string): string =>
  `zscale=matrixin=gbr:transferin=bt709:primariesin=bt709:rangein=full:${to}:range=limited:npl=203`;

requirePeer("ffmpeg")("HDR, through the whole program", () => {
  const hdr = (transfer: string, matrix: { readonly zscale: string; readonly x265: string }) => {
    const parameters = `colorprim=bt2020:transfer=${transfer}:colormatrix=${matrix.x265}:range=limited`;
    return quarters(
      640,
      360,
      `${toColours(`matrix=${matrix.zscale}:transfer=${transfer}:primaries=2020`)},format=yuv420p10le`,
      ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", `${parameters}:qp=4:log-level=error`],
      "mkv",
    );
  };
  const ncl = { zscale: "2020_ncl", x265: "bt2020nc" };

  test.each([
    { name: "PQ", transfer: "smpte2084", matrix: ncl },
    { name: "HLG", transfer: "arib-std-b67", matrix: ncl },
    { name: "PQ in ICtCp", transfer: "smpte2084", matrix: { zscale: "ictcp", x265: "ictcp" } },
  ])("$name has the colours that it was made of", async ({ transfer, matrix }) => {
    const input = await hdr(transfer, matrix);
    // Shown as if it were not HDR, it is something else.
    expect(farthest(await stillAt(await hdr(transfer, ncl), 0.5, SIZE))).toBeGreaterThan(60);
    expect(farthest(await still(input))).toBeLessThan(40);
  });
});

requirePeer("ffmpeg")("rare matrices, through the whole program", () => {
  test("YCgCo", async () => {
    const filters = `${toColours("matrix=ycgco:transfer=bt709:primaries=709")},format=yuv444p`;
    const codec = [...X264, "-colorspace", "ycgco", "-color_range", "tv"];
    const input = await quarters(640, 360, filters, codec, "mkv");
    expect(farthest(await still(input))).toBeLessThanOrEqual(6);
  });

  test.each(["smpte2085", "chroma-derived-nc"])(
    "%s, which nothing converts, is shown as BT.709",
    async (matrix) => {
      const codec = [...X264, "-colorspace", matrix, "-color_range", "tv"];
      const input = await quarters(640, 360, `${BT709},format=yuv420p`, codec, "mkv");
      expect(farthest(await still(input))).toBeLessThanOrEqual(6);
    },
  );
});

requirePeer("ffmpeg")("alpha, through the whole program", () => {
  const half = (colour: Rgb): Rgb => [colour[0] / 2, colour[1] / 2, colour[2] / 2];

  const rgba = "format=rgba,colorchannelmixer=aa=0.5";
  const cases: readonly {
    readonly name: string;
    readonly filters: string;
    readonly codec: readonly string[];
    readonly container?: string;
  }[] = [
    { name: "PNG in MOV", filters: rgba, codec: ["-c:v", "png"] },
    { name: "QuickTime Animation", filters: `${rgba},format=argb`, codec: ["-c:v", "qtrle"] },
    {
      name: "ProRes 4444, small and untagged, so BT.601",
      filters: `${rgba},scale=out_color_matrix=smpte170m:out_range=tv,format=yuva444p10le`,
      codec: ["-c:v", "prores_ks", "-profile:v", "4444"],
    },
    ...["libvpx", "libvpx-vp9"].map((encoder) => ({
      name: `WebM by ${encoder}`,
      filters: `${rgba},scale=out_color_matrix=smpte170m:out_range=tv,format=yuva420p`,
      codec: ["-c:v", encoder, "-b:v", "4M", "-auto-alt-ref", "0", "-deadline", "realtime"],
      container: "webm",
    })),
  ];
  test.each(cases)(
    "$name that is half there is half as bright over black",
    async ({ filters, codec, container }) => {
      const input = await quarters(640, 360, filters, codec, container ?? "mov");
      expect(farthest(await still(input), half)).toBeLessThanOrEqual(8);
    },
  );
});

requirePeer("ffmpeg")("what is not to be shown", () => {
  const MAGENTA = "0xff00ff";
  /** The quarters within a frame of 16 pixels of magenta. */
  const framed = () =>
    quarters(640, 360, `pad=672:392:16:16:${MAGENTA},${BT709},format=yuv420p`, [...X264, ...TAG709]);

  const edges: readonly { readonly want: Rgb; readonly x: number; readonly y: number }[] = [
    { want: RED, x: 5 / 640, y: 5 / 360 },
    { want: GREEN, x: 1 - 5 / 640, y: 5 / 360 },
  ];
  function expectWhole(picture: Still): void {
    expect(farthest(picture)).toBeLessThanOrEqual(6);
    for (const { want, x, y } of edges) {
      const got = colourAt(picture, x, y);
      expect(distance(got, want), `${hex(want)} became ${hex(got)}`).toBeLessThanOrEqual(8);
    }
  }

  test("is cut where the bit stream says so", async () => {
    // The encoder fills the last row of macroblocks: 8 lines more at the bottom.
    const edges = "crop_left=16:crop_right=16:crop_top=16:crop_bottom=24";
    const cut = ["-c", "copy", "-bsf:v", `h264_metadata=${edges}`];
    expectWhole(await still(await makeMedia(["-i", await framed(), ...cut])));
  });

  test.each(["mp4", "mov", "mkv"])("is cut where the container says so: %s", async (container) => {
    using folder = new Folder();
    const file = folder.file(`cut.${container}`);
    await withOverscan(await framed(), file, 16);
    expectWhole(await still(file));
  });
});
