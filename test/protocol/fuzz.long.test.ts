import { test } from "vitest";
import { fuzz } from "./fuzz/run.ts";

test("100,000 damaged inputs per parser lead to typed errors only", async () => {
  await fuzz(100_000, Date.now() >>> 0, 1_200_000);
});
