import { expect, test } from "vitest";
import { judgeCounters } from "./counter.ts";
import { decodePcm, readCounters } from "./decode.ts";
import { counterVideo, makeMedia, movingVideo, tone } from "./media.ts";
import { requirePeer } from "./peers.ts";
import { levelDb, spectrumPeaks } from "./spectrum.ts";

requirePeer("ffmpeg")("counters through a real encoder", () => {
  test("survive a quarter of the size, in nine tiles, at 2 Mbit/s", async () => {
    const inputs = await Promise.all(
      Array.from({ length: 9 }, (_, source) =>
        counterVideo({ source, first: 1000 * source, width: 1280, height: 720 }),
      ),
    );
    const tiles = inputs.map((_, n) => ({
      x: (n % 3) * 320,
      y: Math.floor(n / 3) * 180,
      width: 320,
      height: 180,
    }));
    const layout = tiles.map(({ x, y }) => `${x}_${y}`).join("|");
    const scaled = inputs.map((_, n) => `[${n}:v]scale=320:180[v${n}]`).join(";");
    const stacked = `${inputs.map((_, n) => `[v${n}]`).join("")}xstack=inputs=9:layout=${layout}`;
    const mix = await makeMedia(
      [
        ...inputs.flatMap((input) => ["-i", input]),
        ...["-filter_complex", `${scaled};${stacked}`],
        ...["-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-b:v", "2M", "-maxrate", "2M"],
        ...["-bufsize", "2M", "-g", "60"],
      ],
      "mp4",
    );
    const { readings, ptsS } = await readCounters(mix, tiles);
    expect(ptsS).toHaveLength(150);
    for (const [source, tile] of readings.entries()) {
      const first = 1000 * source;
      const flawless = { unreadable: 0, missed: [], repeated: [], backward: [], first, last: first + 149 };
      expect(judgeCounters(tile)).toMatchObject(flawless);
      expect(tile[0]?.source).toBe(source);
    }
  });

  test("show what a rate converter did", async () => {
    const input = await counterVideo({ seconds: 2 });
    const whole = [{ x: 0, y: 0, width: 640, height: 360 }];
    const slower = await makeMedia(["-i", input, "-r", "15"]);
    const faster = await makeMedia(["-i", input, "-r", "60"]);
    expect(
      judgeCounters((await readCounters(slower, whole)).readings[0] ?? []).missed.length,
    ).toBeGreaterThan(25);
    expect(
      judgeCounters((await readCounters(faster, whole)).readings[0] ?? []).repeated.length,
    ).toBeGreaterThan(55);
  });

  test("are read from a placement that reaches beyond the picture", async () => {
    const input = await counterVideo({ seconds: 1, width: 640, height: 360 });
    const cropped = await makeMedia(["-i", input, "-vf", "crop=600:340:20:10"]);
    const { readings } = await readCounters(cropped, [{ x: -20, y: -10, width: 640, height: 360 }]);
    expect(judgeCounters(readings[0] ?? [])).toMatchObject({ unreadable: 0, first: 0, last: 29 });
  });

  test("come in any codec, rate and container", async () => {
    const webm = await counterVideo({ container: "webm", fps: "30000/1001", seconds: 1, tone: 300 });
    const { readings, ptsS } = await readCounters(webm, [{ x: 0, y: 0, width: 640, height: 360 }]);
    expect(judgeCounters(readings[0] ?? [])).toMatchObject({
      pictures: 30,
      unreadable: 0,
      missed: [],
      repeated: [],
    });
    // WebM counts whole milliseconds, and the priming of Opus moves both streams.
    expect((ptsS[29] ?? 0) - (ptsS[0] ?? 0)).toBeCloseTo(29 * (1001 / 30_000), 2);
  });
});

requirePeer("ffmpeg")("decoded sound", () => {
  test("holds the tone that was made, at its level", async () => {
    const { samples, blocks } = await decodePcm(await tone(440, { seconds: 2 }));
    expect(samples).toHaveLength(96_000);
    expect(blocks[0]).toEqual({ ptsS: 0, atSample: 0 });
    const [peak] = spectrumPeaks(samples, { count: 1 });
    expect(peak?.hz).toBeCloseTo(440, -1);
    expect(levelDb(samples)).toBeCloseTo(-15, 0); // a sine with a peak of -12 dBFS
  });

  test("of a file without sound is an error, not silence", async () => {
    await expect(decodePcm(await movingVideo({ seconds: 1 }))).rejects.toThrow(/could not decode/);
  });

  test("of a file that is not there is an error", async () => {
    await expect(decodePcm("/nowhere.mp4")).rejects.toThrow(/No such file/);
  });
});
