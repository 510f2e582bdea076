import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { METHODS } from "../../src/rpc/methods.ts";
import { TestNode } from "../service/fixtures/node.ts";

let node: TestNode;
beforeAll(async () => {
  node = await TestNode.open({ maxWorkers: 2 });
  await node.call("mix.create", { id: "m", sources: [{ kind: "test", id: "a" }] });
});
afterAll(() => node[Symbol.asyncDispose]());

/** Answers are JSON-RPC 2.0, whatever came in; no error is one of our own making. */
function checkAnswer(text: string | undefined): void {
  if (text === undefined) return;
  for (const one of [JSON.parse(text)].flat()) {
    expect(one.jsonrpc).toBe("2.0");
    expect("result" in one !== "error" in one).toBe(true);
    if (one.error === undefined) continue;
    expect(Number.isInteger(one.error.code)).toBe(true);
    expect(one.error.data.code).toMatch(/^ERR_[A-Z_]+$/);
    expect(one.error.data.code, text).not.toBe("ERR_INTERNAL");
  }
}

const methods = [...METHODS.keys()].filter((name) => name !== "node.probe" && name !== "node.drain");
const words = fc.constantFrom(
  "m",
  "a",
  "main",
  "test",
  "pull",
  "file",
  "grid",
  "id",
  "kind",
  "__proto__",
  "x".repeat(65),
);
const leaf = fc.oneof(fc.string(), words, fc.integer(), fc.double(), fc.boolean(), fc.constant(null));
const keys = fc.oneof(
  fc.constantFrom(
    "mix",
    "source",
    "view",
    "output",
    "id",
    "kind",
    "layout",
    "audio",
    "video",
    "url",
    "path",
    "spec",
  ),
  fc.constantFrom(
    "assign",
    "at",
    "expect",
    "dryRun",
    "name",
    "data",
    "views",
    "sources",
    "outputs",
    "__proto__",
  ),
  fc.string({ maxLength: 8 }),
);
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    leaf,
    fc.array(tie("value"), { maxLength: 3 }),
    fc.array(fc.tuple(keys, tie("value")), { maxLength: 5 }).map((entries) => Object.fromEntries(entries)),
  ),
}));

test("any bytes get a JSON-RPC answer", async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), fc.json()), async (text) => {
      checkAnswer(await node.sendText(text));
    }),
    { numRuns: 2000 },
  );
});

test("any parameters of any method get a typed answer", async () => {
  const params = fc.array(fc.tuple(keys, value), { maxLength: 6 }).map((entries) => ({
    mix: "m",
    ...Object.fromEntries(entries),
  }));
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...methods), params, async (method, one) => {
      checkAnswer(await node.sendText(JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: one })));
    }),
    { numRuns: 6000 },
  );
  if (!node.service.has("m")) await node.call("mix.create", { id: "m" });
  expect(await node.call("mix.get", { mix: "m" })).toMatchObject({ state: "running", restarts: 0 });
}, 60_000);

test("a good request with a few bytes changed gets a typed answer", async () => {
  const good = JSON.stringify({
    jsonrpc: "2.0",
    id: 1,
    method: "mix.apply",
    params: {
      mix: "m",
      spec: {
        views: [{ id: "main", layout: "speaker", fps: "30000/1001" }],
        sources: [
          { kind: "test", id: "a", audio: { gain: 0.5 } },
          { kind: "rtmp", id: "b" },
        ],
        outputs: [{ kind: "file", id: "f", path: "f.mp4", audio: { matrix: { a: 1 } } }],
      },
    },
  });
  const edit = fc.tuple(fc.nat(good.length - 1), fc.constantFrom(...'{}[]",:0-9eE.xaA\\ \u0000\uffff'));
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 3 }), async (edits) => {
      const chars = [...good];
      for (const [at, char] of edits) chars[at] = char;
      checkAnswer(await node.sendText(chars.join("")));
    }),
    { numRuns: 3000 },
  );
}, 60_000);
