import { expect, test } from "vitest";
import { judgeSync } from "./flash-beep.ts";
import { flashBeep, makeMedia } from "./media.ts";
import { requirePeer } from "./peers.ts";

requirePeer("ffmpeg")("the judge of lip sync", () => {
  for (const soundLateMs of [0, 40, -25]) {
    test(`measures sound that is ${soundLateMs} ms late`, async () => {
      const judged = await judgeSync(await flashBeep({ soundLateMs }));
      expect(judged.offsetsMs).toHaveLength(9);
      expect(Math.abs(judged.meanMs + soundLateMs)).toBeLessThan(1.5);
      expect(judged.sdMs).toBeLessThan(1.5);
    });
  }

  test("finds the flash in a part of the picture", async () => {
    const input = await flashBeep({ width: 320, height: 180, soundLateMs: 30 });
    const tiled = await makeMedia(["-i", input, "-vf", "pad=640:360:320:180:gray", "-c:a", "copy"]);
    const judged = await judgeSync(tiled, { x: 320, y: 180, width: 320, height: 180 });
    expect(Math.abs(judged.meanMs + 30)).toBeLessThan(1.5);
  });

  test("sees drift as spread", async () => {
    const input = await flashBeep({ seconds: 20 });
    // The sound runs 0.2 % slow: 40 ms over 20 s.
    const drifting = await makeMedia(["-i", input, "-af", "asetrate=47904,aresample=48000"]);
    const { offsetsMs, sdMs } = await judgeSync(drifting);
    expect((offsetsMs[0] ?? 0) - (offsetsMs.at(-1) ?? 0)).toBeGreaterThan(30);
    expect(sdMs).toBeGreaterThan(8);
  });

  test("does not take media without beeps for synchronous", async () => {
    const silent = await makeMedia(["-i", await flashBeep(), "-af", "volume=0"]);
    await expect(judgeSync(silent)).rejects.toThrow(/no flash with a beep/);
  });
});
