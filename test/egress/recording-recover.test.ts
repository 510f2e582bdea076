import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openRecording } from "../../src/egress/file.ts";
import { playableEnd } from "../../src/egress/recording-recover.ts";
import { VirtualClock } from "../../src/media/clock.ts";
import { encodeMedia } from "./recording-media.ts";
import { readPackets } from "./recording-read.ts";

let folder = "";
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "tessera-recover-"));
  const { streams, packets } = encodeMedia({ frames: 240, bframes: 2, rate: { num: 30_000, den: 1001 } });
  for (const extension of ["mp4", "mkv"]) {
    const fixed = { startWallMs: 0, mix: "m", output: "o", wait: true, clock: new VirtualClock() };
    const recording = openRecording({ path: join(folder, `r.${extension}`), streams, ...fixed });
    for (const packet of packets) recording.push(packet);
    await recording.close();
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.each(["mp4", "mkv"])("the end of a cut %s", (extension) => {
  const whole = (): Buffer => readFileSync(join(folder, `r.${extension}`));
  const cut = (): string => join(folder, `cut.${extension}`);

  test("is that of its last whole fragment, wherever it was cut", async () => {
    const bytes = whole();
    let [before, told] = [0, 0];
    for (let length = 997; length <= bytes.length; length += 997) {
      writeFileSync(cut(), bytes.subarray(0, length));
      const end = await playableEnd(cut());
      if (end === undefined) continue;
      told += 1;
      expect(end).toBeGreaterThanOrEqual(before);
      before = end;
    }
    expect(told).toBeGreaterThan(5);
    writeFileSync(cut(), bytes);
    const last = Math.max(...readPackets(cut()).map(({ ptsS }) => ptsS));
    expect((await playableEnd(cut())) ?? 0).toBeGreaterThan(last * 1e6);
    expect((await playableEnd(cut())) ?? 0).toBeLessThan((last + 0.1) * 1e6);
  });

  test("is found or not found, and never hangs, in a file that is broken", async () => {
    const bytes = whole();
    // A fixed sequence, so that a failure can be seen again.
    let state = 1;
    const random = (below: number): number => {
      state = (state * 48_271) % 2_147_483_647;
      return state % below;
    };
    for (let round = 0; round < 400; round++) {
      const broken = Buffer.from(bytes);
      for (let count = 0; count <= round % 20; count++) broken[random(bytes.length)] = random(256);
      writeFileSync(cut(), broken);
      const end = await playableEnd(cut());
      expect(end === undefined || Number.isInteger(end)).toBe(true);
    }
  }, 20_000);

  test("is unknown where there is none", async () => {
    for (const bytes of [Buffer.alloc(0), Buffer.from("not media"), whole().subarray(0, 2000)]) {
      writeFileSync(cut(), bytes);
      expect(await playableEnd(cut())).toBeUndefined();
    }
    expect(await playableEnd(join(folder, "missing.mp4"))).toBeUndefined();
  });
});
