import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { OUTPUT_CLOSE_MS } from "../../src/core/closing.ts";
import { TestNode } from "./fixtures/node.ts";

// Waits as long as a stuck disk may take: hence not among the fast tests.

test("a mix that closes onto a stuck disk is no hang: its worker goes on with the other mix", async () => {
  const entry = fileURLToPath(new URL("./fixtures/stuck-disk.ts", import.meta.url));
  await using node = await TestNode.open({ worker: { entry, env: {} }, mixesPerWorker: 2 });
  await node.call("mix.create", { id: "stuck" });
  await node.call("mix.create", { id: "calm" });
  const worker = node.service.mix("calm").worker;
  expect(node.service.mix("stuck").worker).toBe(worker);
  const began = performance.now();
  await node.call("mix.close", { mix: "stuck" });
  expect(performance.now() - began).toBeGreaterThan(OUTPUT_CLOSE_MS - 100);
  expect([...node.service.workerRestarts]).toEqual([]);
  expect(node.service.mix("calm").state.restarts).toBe(0);
  expect(node.service.mix("calm").worker).toBe(worker);
}, 60_000);
