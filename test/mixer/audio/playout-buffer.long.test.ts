import { expect, test } from "vitest";
import { driftRun, TONE_ROUGHNESS } from "./drift-run.ts";

test.each([200, -200])("%i ppm for ten minutes stays within 3 ms, pure and without a click", (ppm) => {
  const { worstMs, errorMs, roughness, worstSnrDb, underruns } = driftRun(ppm, 600, 1);
  expect(worstMs).toBeLessThan(3.5);
  expect(Math.abs(errorMs)).toBeLessThan(1);
  expect(roughness).toBeLessThan(1.03 * TONE_ROUGHNESS);
  expect(worstSnrDb).toBeGreaterThan(40);
  expect(underruns).toBe(0);
});
