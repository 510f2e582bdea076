import { expect, test } from "vitest";
import { decodePcm } from "./decode.ts";
import { distinctPictures, gaps, picturePts, probe, probePackets, silences, ssim } from "./judge.ts";
import { counterVideo, makeMedia, movingVideo, tone } from "./media.ts";
import { requirePeer } from "./peers.ts";

requirePeer("ffmpeg")("judging files", () => {
  test("probes format and streams, and refuses what is none", async () => {
    const probed = await probe(await movingVideo({ tone: 500, seconds: 2, fps: "30000/1001" }));
    expect(probed.format.durationS).toBeCloseTo(2, 1);
    expect(probed.video).toMatchObject({ codec_name: "h264", width: 640, r_frame_rate: "30000/1001" });
    expect(probed.audio).toMatchObject({ codec_name: "aac" });
    await expect(probe("package.json")).rejects.toThrow();
  });

  test("lists packets and pictures with their stamps", async () => {
    const file = await movingVideo({ seconds: 2, codec: ["-bf", "2", "-g", "30"] });
    const packets = await probePackets(file);
    expect(packets).toHaveLength(60);
    expect(packets.filter(({ isKey }) => isKey).map(({ ptsS }) => ptsS)).toEqual([0, 1]);
    expect(packets.some(({ ptsS, dtsS }) => ptsS > dtsS + 0.05)).toBe(true);
    const pts = await picturePts(file);
    expect(pts).toHaveLength(60);
    expect(gaps(pts, 1 / 30)).toEqual([]);
  });

  test("finds the gap where pictures are missing", async () => {
    const holed = await makeMedia([
      "-i",
      await movingVideo({ seconds: 2 }),
      "-vf",
      "select=not(between(n\\,20\\,24))",
      "-fps_mode",
      "vfr",
    ]);
    const found = gaps(await picturePts(holed), 1 / 30);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatchObject({ index: 20 });
    expect(found[0]?.stepS).toBeCloseTo(6 / 30, 2);
  });

  test("finds silence where it is", async () => {
    const muted = await makeMedia(
      ["-i", await tone(500, { seconds: 3 }), "-af", "volume=0:enable='between(t,1,1.5)'"],
      "wav",
    );
    const [only, ...others] = silences(await decodePcm(muted));
    expect(others).toEqual([]);
    expect(Math.abs((only?.fromMs ?? 0) - 1000)).toBeLessThan(25);
    expect(Math.abs((only?.toMs ?? 0) - 1500)).toBeLessThan(25);
  });

  test("tells better from worse", async () => {
    const original = await movingVideo({ seconds: 2, codec: ["-qp", "0"] });
    const good = await makeMedia(["-i", original, "-c:v", "libx264", "-crf", "18"]);
    const bad = await makeMedia(["-i", original, "-c:v", "libx264", "-crf", "40"]);
    const [same, fine, worse] = await Promise.all([
      ssim(original, original),
      ssim(good, original),
      ssim(bad, original),
    ]);
    expect(same).toBe(1);
    expect(fine).toBeGreaterThan(0.97);
    expect(worse).toBeLessThan(fine - 0.02);
  });

  test("counts a repeated picture as none, after a lossy encoder too", async () => {
    const input = await counterVideo({ seconds: 2, fps: 15 });
    const codec = ["-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-b:v", "2M"];
    const doubled = await makeMedia(["-i", input, "-r", "30", ...codec]);
    const { pictures, distinct } = await distinctPictures(doubled);
    expect(pictures).toBe(60);
    // The encoder may still be refining its very first picture.
    expect([30, 31]).toContain(distinct);
    const moving = await makeMedia(["-i", await movingVideo({ seconds: 2 }), ...codec]);
    expect(await distinctPictures(moving)).toEqual({ pictures: 60, distinct: 60 });
  });
});
