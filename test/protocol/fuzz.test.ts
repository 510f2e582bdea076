import { expect, test } from "vitest";
import { fuzz, PARSERS } from "./fuzz/run.ts";

test("5,000 damaged inputs per parser lead to typed errors only, and run nine lines in ten", async () => {
  const { coverage } = await fuzz(5000, 1, 60_000);
  for (const file of PARSERS) expect(coverage[file], file).toBeGreaterThanOrEqual(0.9);
}, 60_000);
