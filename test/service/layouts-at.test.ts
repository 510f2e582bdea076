import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type RpcAnswer, TestNode } from "./fixtures/node.ts";

const AHEAD_MS = 1500;

let node: TestNode;
beforeEach(async () => {
  node = await TestNode.open();
  const sources = ["a", "b"].map((id) => ({ kind: "test", id }));
  await node.call("mix.create", { id: "m", sources });
});
afterEach(() => node[Symbol.asyncDispose]());

/** Asks for a layout `aheadMs` from now, and gives its answer to come. */
const schedule = (params: object, aheadMs = AHEAD_MS): Promise<RpcAnswer> =>
  node.send("layout.set", { mix: "m", at: node.service.mix("m").nowUs() + aheadMs * 1000, ...params });
// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
const view = async (): Promise<any> => (await node.call("view.list", { mix: "m" }))[0];

async function timed(work: Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work;
  return performance.now() - startedMs;
}

describe("a layout for later", () => {
  test("holds up nothing else in its mix, and is there when its time comes", async () => {
    const receipt = schedule({ layout: "speaker" });
    const took = await timed(
      Promise.all([
        node.call("source.update", { mix: "m", source: "a", audio: { muted: true } }),
        node.call("layout.get", { mix: "m" }),
        node.call("mix.stats", { mix: "m" }),
        node.service.publishers.attach({ mix: "m", source: "guest" }),
      ]),
    );
    expect(took).toBeLessThan(AHEAD_MS / 2);
    expect(await view()).toMatchObject({ revision: 1, layout: { name: "grid" } });
    expect((await receipt).result).toMatchObject({ revision: 2, late: false });
    expect(await view()).toMatchObject({ revision: 2, layout: { name: "speaker" } });
    const { sources } = await node.call("mix.get", { mix: "m" });
    expect(sources[0].audio.muted).toBe(true);
  });

  test("survives a restart of the service once it is answered", async () => {
    await schedule({ layout: "speaker" }, 200);
    await node.service.close();
    await using second = await TestNode.open({ dataDir: node.dataDir });
    expect((await second.call("view.list", { mix: "m" }))[0]).toMatchObject({ layout: { name: "speaker" } });
  });

  test("undoes nothing of what came on air before it", async () => {
    const receipt = schedule({ assign: { s1: "b" } }, 500);
    const now = await node.call("layout.set", { mix: "m", layout: "speaker", assign: { main: "a" } });
    expect(now.revision).toBe(2);
    expect((await receipt).result).toMatchObject({ revision: 3 });
    const after = { revision: 3, layout: { name: "speaker" }, assign: { main: "a", s1: "b" } };
    expect(await view()).toMatchObject(after);
    expect((await node.call("layout.get", { mix: "m" })).revision).toBe(3);
  });

  test("does not bring back a source that is removed before it", async () => {
    const receipt = schedule({ assign: { s1: "b" } }, 500);
    await node.call("source.remove", { mix: "m", source: "b" });
    expect((await receipt).result).toMatchObject({ revision: 2 });
    expect((await view()).assign).toEqual({});
  });

  test("counts for who expects a revision, before it is to be seen", async () => {
    const receipt = schedule({ layout: "speaker", expect: 1 }, 500);
    const { error } = await node.send("layout.set", { mix: "m", layout: "pip", expect: 1 });
    expect(error?.data.code).toBe("ERR_REVISION");
    expect(error?.message).toBe("view main is at revision 1 with 1 more to come, not 1");
    await node.call("layout.set", { mix: "m", assign: { main: "a" }, expect: 2 });
    expect((await receipt).result).toMatchObject({ revision: 3 });
    expect(await node.call("layout.set", { mix: "m", layout: "pip", expect: 3 })).toMatchObject({
      revision: 4,
    });
  });

  test("asked for twice under one key comes once", async () => {
    const at = node.service.mix("m").nowUs() + 500_000;
    const params = { mix: "m", layout: "speaker", at, idempotencyKey: "k" };
    const [first, second] = await Promise.all([
      node.send("layout.set", params),
      node.send("layout.set", params),
    ]);
    expect(first.result).toMatchObject({ revision: 2 });
    expect(second.result).toEqual(first.result);
    expect((await view()).revision).toBe(2);
    const other = await node.send("layout.set", { ...params, layout: "pip" });
    expect(other.error?.data.pointer).toBe("/idempotencyKey");
  });

  test("does not keep its mix from being closed, and then says that it never came", async () => {
    const receipt = schedule({ layout: "speaker" });
    expect(await timed(node.call("mix.close", { mix: "m" }))).toBeLessThan(AHEAD_MS / 2);
    expect((await receipt).error?.data.code).toMatch(/ERR_NOT_FOUND|ERR_INTERNAL/);
  });
});

describe("who only reads", () => {
  const slow = { mix: "m", source: { kind: "test", id: "s", name: "fault:slow:1500" } };

  test("does not wait for what somebody else changes", async () => {
    const added = node.call("source.add", slow);
    const reads = ["mix.get", "source.list", "output.list", "view.list", "layout.get", "snapshot.take"];
    const took = await timed(Promise.all(reads.map((name) => node.call(name, { mix: "m" }))));
    expect(took).toBeLessThan(750);
    await added;
    expect(await node.call("source.list", { mix: "m" })).toHaveLength(3);
  });

  test("sees what it changed itself in the same breath", async () => {
    const batch = [
      { jsonrpc: "2.0", id: 1, method: "mix.create", params: { id: "n" } },
      { jsonrpc: "2.0", id: 2, method: "mix.get", params: { mix: "n" } },
    ];
    const answers = JSON.parse((await node.sendText(JSON.stringify(batch))) ?? "");
    expect(answers[1].result).toMatchObject({ id: "n", state: "running" });
  });
});
