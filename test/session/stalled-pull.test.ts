import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { outputSpec, Stage, sourceSpec } from "./stage.ts";

/** Three seconds of picture and sound in Matroska. */
async function recorded(): Promise<Buffer> {
  const stage = new Stage(
    { views: [{ width: 160, height: 96, fps: 25 }] },
    { clock: "virtual", until: { inputsEnd: false, durationUs: 3e6 } },
  );
  stage.mix.addSource(sourceSpec({ id: "s", kind: "test", pattern: "moving", tone: 440 }));
  stage.mix.addOutput(outputSpec({ id: "o", kind: "file", path: "a.mkv" }));
  await stage.mix.finished;
  const bytes = readFileSync(join(stage.folder, "a.mkv"));
  await stage[Symbol.asyncDispose]();
  return bytes;
}

test("a server that stops in the middle makes its source stale once what it sent is shown, and not before", async () => {
  const media = await recorded();
  const server = createServer((_, response) => {
    response.writeHead(200, { "content-type": "video/x-matroska" });
    response.write(media.subarray(0, Math.floor(media.length * 0.7)));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await using stage = new Stage({ views: [{ width: 160, height: 96, fps: 25 }] });
  stage.mix.addSource(
    sourceSpec({ id: "s", kind: "pull", url: `http://127.0.0.1:${port}/a.mkv`, staleAfterMs: 300 }),
  );
  const at: Record<string, number> = {};
  for (const endMs = performance.now() + 12_000; at.stale === undefined && performance.now() < endMs; ) {
    const { state } = stage.mix.sources.get("s") ?? {};
    if (state !== undefined) at[state] ??= stage.mix.clock.now();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  server.closeAllConnections();
  server.close();
  expect(Object.keys(at)).toEqual(["connecting", "online", "stale"]);
  expect((at.stale ?? 0) - (at.online ?? 0)).toBeGreaterThan(1e6);
});
