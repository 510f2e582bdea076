import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { NODE, runToEnd } from "../../kit/process.ts";
import type { FuzzResult } from "./child.ts";

/** Memory that fuzzing may take for good: the heap's own slack. */
const MAX_GROWTH_BYTES = 256 << 20;
/** One input; generous, because the machine does other things too. */
const MAX_MS = 1000;

/** Fuzzes every parser in a process of its own, and asserts what must hold however many inputs there are. */
export async function fuzz(inputs: number, seed: number, maxMs: number): Promise<FuzzResult> {
  const child = fileURLToPath(new URL("child.ts", import.meta.url));
  const { stdout } = await runToEnd(NODE, [child, String(inputs), String(seed)], { maxMs });
  const result = JSON.parse(stdout) as FuzzResult;
  for (const { name, slowestMs } of result.targets) expect(slowestMs, name).toBeLessThan(MAX_MS);
  expect(result.heapGrowthBytes).toBeLessThan(MAX_GROWTH_BYTES);
  for (const { name, inputs: ran } of result.targets) expect(ran, name).toBe(inputs);
  const stream = result.targets.find(({ name }) => name === "a publisher's stream");
  expect(stream?.deep).toBeGreaterThanOrEqual(Math.floor(inputs / 3));
  // Damage is noticed: a parser that read everything would not be one. Formats in which any bytes mean something excepted.
  expect(stream?.refused).toBeGreaterThan(inputs / 10);
  return result;
}

/** Which files of src/protocol read bytes of peers. */
export const PARSERS: readonly string[] = [
  "aac",
  "amf0",
  "annexb",
  "av1",
  "bit-reader",
  "byte-reader",
  "flv-audio",
  "flv-enhanced",
  "flv-script",
  "flv-video",
  "h264",
  "hevc",
  "opus",
  "rtmp-chunk-reader",
  "rtmp-command",
  "rtmp-handshake",
  "rtmp-message",
  "rtsp",
].map((name) => `src/protocol/${name}.ts`);
