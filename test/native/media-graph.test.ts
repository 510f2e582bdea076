import { AV_PIX_FMT_RGB24, AV_PIX_FMT_YUV420P } from "node-av";
import { describe, expect, test } from "vitest";
import { MediaGraph } from "../../src/native/media-graph.ts";
import { VideoGraph } from "../../src/native/video-graph.ts";

const stream = { colorSpace: 1, colorRange: 1, sampleAspectRatio: { num: 16, den: 11 } };
const input = { widthPx: 64, heightPx: 48, format: AV_PIX_FMT_YUV420P, stream };

function picture() {
  using source = new MediaGraph(
    "testsrc2=size=64x48,format=yuv420p,setsar=16/11,setparams=colorspace=bt709:range=tv[out]",
    [],
  );
  const frame = source.pull();
  if (frame === undefined) throw new Error("no test picture");
  return frame;
}

describe("a graph", () => {
  test("counts a stream's stamps in microseconds and keeps the shape of its pixels", () => {
    using graph = new MediaGraph("[in0]scale=32:48[out]", [input], { threads: 1 });
    using frame = picture();
    frame.pts = 123_457n;
    graph.push([frame]);
    using out = graph.pull() ?? picture();
    expect([out.width, out.pts, { ...graph.timeBase }]).toMatchObject([
      32,
      123_457n,
      { num: 1, den: 1_000_000 },
    ]);
    expect(out.sampleAspectRatio).toMatchObject({ num: 32, den: 11 });
    expect(graph.pull()).toBeUndefined();
  });

  for (const chain of ["nonsense", "scale=flags=nonsense", "split"])
    test(`that libavfilter refuses is a typed error: ${chain}`, () =>
      expect(() => new VideoGraph(input, chain)).toThrow(expect.objectContaining({ code: "ERR_DEVICE" })));

  test("that is disposed of while it works on the pool still gives the picture", async () => {
    const graph = new MediaGraph("[in0]scale=1920:1080[out]", [input], { threads: 1 });
    using frame = picture();
    graph.push([frame]);
    const pulling = graph.pullAsync();
    graph[Symbol.dispose]();
    using out = (await pulling) ?? picture();
    expect(out.width).toBe(1920);
  });

  test("gives the format that was asked for", () => {
    using graph = new VideoGraph(input, "hflip", AV_PIX_FMT_RGB24);
    using frame = picture();
    using out = graph.run(frame);
    expect([out.format, out.width, out.height]).toEqual([AV_PIX_FMT_RGB24, 64, 48]);
  });

  test("that holds a picture back gives no half picture", () => {
    using graph = new VideoGraph(input, "tmix=frames=2,select=0");
    using frame = picture();
    expect(() => graph.run(frame)).toThrow(expect.objectContaining({ code: "ERR_DEVICE" }));
  });
});
