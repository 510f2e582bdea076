import { expect, test } from "vitest";
import { makeMedia } from "../kit/media.ts";
import { requirePeer } from "../kit/peers.ts";
import { until } from "../kit/process.ts";
import { Stage, sourceSpec } from "./stage.ts";

const SMALL = { id: "main", width: 160, height: 96, fps: 25 } as const;

requirePeer("ffmpeg")("what is wrong with a source's pictures", () => {
  test("is counted in its status, and no other source's; who takes its id begins anew", async () => {
    const film = (matrix: string): Promise<string> =>
      makeMedia(
        [
          ...["-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=20", "-pix_fmt", "yuv420p"],
          ...["-c:v", "libx264", "-preset", "ultrafast", "-colorspace", matrix],
        ],
        "mkv",
      );
    await using stage = new Stage({ views: [SMALL] });
    const { mix } = stage;
    using _seen = mix.views.get("main")?.glance();
    const status = (id: string) => mix.stats().sources.find((source) => source.id === id);
    const file = async (id: string, matrix: string) =>
      sourceSpec({ id, kind: "pull", url: `file:${await film(matrix)}` });
    const [odd, plain, reborn] = [
      await file("odd", "smpte2085"),
      await file("plain", "bt709"),
      await file("odd", "bt709"),
    ];
    mix.addSource(odd);
    mix.addSource(plain);
    await until("a warning", () => (status("odd")?.warnings.matrixUnknown ?? 0) > 2 || undefined);
    expect(status("plain")?.warnings).not.toHaveProperty("matrixUnknown");
    mix.removeSource("odd");
    mix.addSource(reborn);
    await until("pictures", () => (status("odd")?.decoded ?? 0) > 2 || undefined);
    expect(status("odd")?.warnings).not.toHaveProperty("matrixUnknown");
  });
});
