import { describe, expect, test } from "vitest";
import type { MixEvent } from "../../src/contract/events.ts";
import { TestNode, until } from "./fixtures/node.ts";

const ids = (list: readonly { readonly id: string }[]): string[] => list.map(({ id }) => id);

describe("the same request again", () => {
  test("with an equal body gives what is there", async () => {
    await using node = await TestNode.open();
    const spec = {
      id: "m",
      sources: [{ kind: "test", id: "a" }],
      outputs: [{ kind: "file", id: "f", path: "f.mp4" }],
    };
    const created = await node.call("mix.create", spec);
    expect((await node.call("mix.create", { ...spec })).createdAt).toBe(created.createdAt);
    const source = { id: "b", kind: "test", audio: { muted: true } };
    await node.call("source.add", { mix: "m", source });
    await node.call("source.update", { mix: "m", source: "b", audio: { muted: false } });
    const again = await node.call("source.add", { mix: "m", source });
    expect(again.audio).toEqual({ gain: 1, muted: false, delayMs: 0 });
    expect(ids(await node.call("source.list", { mix: "m" }))).toEqual(["a", "b"]);
    const output = { id: "g", kind: "file", path: "g.mkv" };
    await node.call("output.add", { mix: "m", output });
    await node.call("output.add", { mix: "m", output });
    expect(ids(await node.call("output.list", { mix: "m" }))).toEqual(["f", "g"]);
    await node.call("view.add", { mix: "m", view: { id: "v", layout: "speaker" } });
    await node.call("view.add", { mix: "m", view: { id: "v", layout: "speaker" } });
  });

  test("with an equal body gives what came with the mix, however it has changed since", async () => {
    await using node = await TestNode.open();
    const source = { id: "a", kind: "test" };
    const output = { id: "f", kind: "file", path: "./f.mp4" };
    const view = { id: "side", width: 640, height: 360 };
    await node.call("mix.create", { id: "m", views: [{}, view], sources: [source], outputs: [output] });
    await node.call("layout.set", { mix: "m", view: "side", layout: "speaker", assign: { main: "a" } });
    const again = async (): Promise<void> => {
      expect(await node.call("source.add", { mix: "m", source })).toMatchObject({ id: "a" });
      expect(await node.call("output.add", { mix: "m", output })).toMatchObject({ id: "f" });
      expect(await node.call("view.add", { mix: "m", view: { id: "main" } })).toMatchObject({ id: "main" });
      expect(await node.call("view.add", { mix: "m", view })).toMatchObject({ assign: { main: "a" } });
    };
    await again();
    const other = await node.send("view.add", { mix: "m", view: { ...view, width: 320 } });
    expect(other.error?.data.code).toBe("ERR_EXISTS");
    const spec = { views: [{}, { ...view, layout: "speaker" }], sources: [source], outputs: [output] };
    await node.call("mix.apply", { mix: "m", spec });
    await node.call("view.add", { mix: "m", view: { ...view, layout: "speaker" } });
    expect((await node.send("view.add", { mix: "m", view })).error?.data.code).toBe("ERR_EXISTS");
    await node.call("mix.apply", { mix: "m", spec: { ...spec, views: [{}, view] } });
    await again();
  });

  test("with an equal body gives a view that was added, also after its layout was set", async () => {
    await using node = await TestNode.open();
    await node.call("mix.create", { id: "m" });
    const view = { id: "v", layout: "speaker" };
    await node.call("view.add", { mix: "m", view });
    await node.call("layout.set", { mix: "m", view: "v", layout: "grid" });
    expect(await node.call("view.add", { mix: "m", view })).toMatchObject({ revision: 2 });
    await node.call("view.remove", { mix: "m", view: "v" });
    expect(await node.call("view.add", { mix: "m", view: { id: "v" } })).toMatchObject({ revision: 1 });
  });

  test("is a new one after its object was removed", async () => {
    await using node = await TestNode.open();
    await node.call("mix.create", { id: "m" });
    await node.call("source.add", { mix: "m", source: { id: "a", kind: "test" } });
    await node.call("source.remove", { mix: "m", source: "a" });
    expect(
      (await node.send("source.add", { mix: "m", source: { id: "a", kind: "rtmp" } })).error,
    ).toBeUndefined();
    await node.call("mix.close", { mix: "m" });
    expect((await node.call("mix.create", { id: "m", name: "another" })).name).toBe("another");
  });
});

describe("an idempotency key", () => {
  test("gives the first answer and does nothing again, for every method that changes something", async () => {
    await using node = await TestNode.open();
    const first = await node.call("mix.create", { idempotencyKey: "k1" });
    expect(await node.call("mix.create", { idempotencyKey: "k1" })).toEqual(first);
    const mix = first.id;
    const added = await node.call("source.add", { mix, source: { kind: "test" }, idempotencyKey: "k2" });
    expect(await node.call("source.add", { mix, source: { kind: "test" }, idempotencyKey: "k2" })).toEqual(
      added,
    );
    expect(await node.call("source.list", { mix })).toHaveLength(1);
    const set = { mix, layout: "speaker", idempotencyKey: "k3" };
    const receipt = await node.call("layout.set", set);
    expect(await node.call("layout.set", set)).toEqual(receipt);
    expect((await node.call("view.list", { mix }))[0].revision).toBe(2);
    const token = { actions: ["play"], ttlS: 60, idempotencyKey: "k4" };
    expect(await node.call("token.issue", token)).toEqual(await node.call("token.issue", token));
    await node.call("mix.close", { mix, idempotencyKey: "k5" });
    expect(await node.call("mix.close", { mix, idempotencyKey: "k5" })).toBeNull();
    expect(await node.call("mix.create", { idempotencyKey: "k1" })).toEqual(first);
    expect(node.service.mixes()).toHaveLength(0);
  });

  test("used for something else is a mistake", async () => {
    await using node = await TestNode.open();
    await node.call("mix.create", { id: "m", idempotencyKey: "k" });
    const { error } = await node.send("mix.create", { id: "m", name: "x", idempotencyKey: "k" });
    expect(error?.data).toMatchObject({ code: "ERR_INVALID_ARGUMENT", pointer: "/idempotencyKey" });
    const other = await node.send("source.add", { mix: "m", source: { kind: "test" }, idempotencyKey: "k" });
    expect(other.error?.data.pointer).toBe("/idempotencyKey");
  });

  test("on a reading is welcome, and the reading is a fresh one", async () => {
    await using node = await TestNode.open();
    await node.call("mix.create", { id: "m" });
    expect(await node.call("source.list", { mix: "m", idempotencyKey: "k" })).toEqual([]);
    await node.call("source.add", { mix: "m", source: { kind: "test", id: "a" } });
    expect(await node.call("source.list", { mix: "m", idempotencyKey: "k" })).toHaveLength(1);
  });

  test("of a request that failed may be tried again", async () => {
    await using node = await TestNode.open({ maxWorkers: 1 });
    await node.call("mix.create", { id: "a" });
    const late = { id: "b", idempotencyKey: "k" };
    expect((await node.send("mix.create", late)).error?.data.code).toBe("ERR_BUSY");
    await node.call("mix.close", { mix: "a" });
    expect(await node.call("mix.create", late)).toMatchObject({ id: "b" });
  });

  test("two at once are one", async () => {
    await using node = await TestNode.open();
    const create = () => node.call("mix.create", { idempotencyKey: "k" });
    const [a, b] = await Promise.all([create(), create()]);
    expect(a).toEqual(b);
    expect(node.service.mixes()).toHaveLength(1);
  });

  test("survives a restart of the service", async () => {
    await using first = await TestNode.open();
    const answer = await first.call("mix.create", { idempotencyKey: "k" });
    await first.service.close();
    await using second = await TestNode.open({ dataDir: first.dataDir });
    expect(await second.call("mix.create", { idempotencyKey: "k" })).toEqual(answer);
  });
});

describe("over a restart of the service", () => {
  test("mixes come back as they were, their clocks and event numbers go on", async () => {
    await using first = await TestNode.open();
    await first.call("mix.create", {
      id: "m",
      name: "Meeting",
      sources: [{ kind: "test", id: "a" }],
      views: [{ id: "main" }, { id: "small", width: 320, height: 180, fps: "30000/1001" }],
      outputs: [{ kind: "file", id: "f", path: "f.mp4" }],
    });
    await first.call("layout.set", { mix: "m", layout: "speaker", assign: { main: "a" } });
    await first.call("source.update", { mix: "m", source: "a", audio: { muted: true } });
    await first.call("output.pause", { mix: "m", output: "f" });
    const before = await first.call("mix.get", { mix: "m" });
    const seqs: number[] = [];
    const all = first.service.hub.subscribe();
    first.service.mix("m").emit({ type: "overload", what: "nothing" });
    await first.service.close();
    for await (const event of all) seqs.push(event.seq);

    await using second = await TestNode.open({ dataDir: first.dataDir });
    using subscription = second.service.hub.subscribe();
    const events: MixEvent[] = [];
    void (async () => {
      for await (const event of subscription) events.push(event);
    })();
    await until(() => second.service.mix("m").phase === "running", "the mix");
    const after = await second.call("mix.get", { mix: "m" });
    const timeless = ({ atUs: _at, sources, outputs, ...rest }: typeof after) => ({
      ...rest,
      sources: sources.map(({ state: _, ...one }: Record<string, unknown>) => one),
      outputs: outputs.map(({ state: _, ...one }: Record<string, unknown>) => one),
    });
    expect(timeless(after)).toEqual(timeless(before));
    expect(after.views[0].assign).toEqual({ main: "a" });
    expect(after.outputs[0].paused).toBe(true);
    expect(after.atUs).toBeGreaterThan(before.atUs);
    await until(() => events.some(({ type }) => type === "source.online"), "events");
    expect(events.every(({ atUs }) => atUs >= before.atUs)).toBe(true);
    expect(events[0]?.seq).toBe((seqs.at(-1) ?? 0) + 1);
    expect(events.some(({ type }) => type === "source.added" || type === "mix.restarted")).toBe(false);
  });

  test("a closed mix stays closed", async () => {
    await using first = await TestNode.open();
    await first.call("mix.create", { id: "m" });
    await first.call("mix.close", { mix: "m" });
    await first.service.close();
    await using second = await TestNode.open({ dataDir: first.dataDir });
    expect(second.service.mixes()).toEqual([]);
  });
});

describe("mix.apply", () => {
  test("changes only what differs, and all of it or nothing", async () => {
    await using node = await TestNode.open();
    const kept = { kind: "test", id: "kept" };
    await node.call("mix.create", { id: "m", sources: [kept, { kind: "test", id: "gone" }] });
    await node.call("layout.set", { mix: "m", assign: { main: "kept" } });
    await until(() => node.service.mix("m").status.source("gone").state === "online", "both sources");
    using subscription = node.service.hub.subscribe({ mix: "m" });
    const events: string[] = [];
    void (async () => {
      for await (const event of subscription)
        if ("source" in event) events.push(`${event.type} ${event.source}`);
    })();
    const applied = await node.call("mix.apply", {
      mix: "m",
      expect: 2,
      spec: { name: "new", sources: [kept, { kind: "test", id: "come" }] },
    });
    expect(applied).toMatchObject({ revision: 3, name: "new" });
    expect(ids(applied.sources)).toEqual(["kept", "come"]);
    expect(applied.views[0]).toMatchObject({ assign: { main: "kept" }, revision: 2 });
    await until(() => events.includes("source.online come"), "the new source");
    expect(events.filter((one) => one.endsWith("kept"))).toEqual([]);

    const spec = {
      sources: [
        { kind: "test", id: "x" },
        { kind: "test", id: "y", name: "fault:refuse" },
      ],
    };
    const { error } = await node.send("mix.apply", { mix: "m", spec });
    expect(error?.data).toEqual({ code: "ERR_DEVICE", fault: "device", retryable: false });
    expect(await node.call("mix.get", { mix: "m" })).toMatchObject({ revision: 3, name: "new" });
    const stats = await node.call("mix.stats", { mix: "m" });
    expect(ids(stats.sources).sort()).toEqual(["come", "kept"]);
  });

  test("makes the spec the body that mix.create is compared with", async () => {
    await using node = await TestNode.open();
    await node.call("mix.create", { id: "m" });
    await node.call("mix.apply", { mix: "m", spec: { name: "x" } });
    expect(await node.call("mix.create", { id: "m", name: "x" })).toMatchObject({ name: "x" });
    expect((await node.send("mix.create", { id: "m" })).error?.data.code).toBe("ERR_EXISTS");
  });
});

describe("layouts", () => {
  test("dryRun says what would be and changes nothing", async () => {
    await using node = await TestNode.open();
    await node.call("mix.create", { id: "m", sources: [{ kind: "test", id: "a" }] });
    const would = await node.call("layout.set", { mix: "m", layout: "speaker", dryRun: true });
    expect(would).toMatchObject({ revision: 2, late: false, placements: [{ source: "a" }] });
    expect((await node.call("layout.get", { mix: "m" })).revision).toBe(1);
    expect((await node.call("mix.get", { mix: "m" })).revision).toBe(1);
  });

  test("assignments are kept by slot until they are given back, and go with their source", async () => {
    await using node = await TestNode.open();
    const sources = ["a", "b"].map((id) => ({ kind: "test", id }));
    await node.call("mix.create", { id: "m", sources });
    await node.call("layout.set", { mix: "m", assign: { s1: "a", s2: "b", s3: "empty" } });
    await node.call("layout.set", { mix: "m", layout: "speaker", assign: { s3: null } });
    const view = async () => (await node.call("view.list", { mix: "m" }))[0];
    expect(await view()).toMatchObject({ assign: { s1: "a", s2: "b" }, revision: 3 });
    await node.call("source.remove", { mix: "m", source: "a" });
    expect((await view()).assign).toEqual({ s2: "b" });
  });
});

test("a request that takes too long goes on, one behind it that has not begun is dropped", async () => {
  await using node = await TestNode.open({ answerMs: 1000 });
  await until(() => node.service.ready, "the warm worker");
  await node.call("mix.create", { id: "m" });
  const add = (id: string, name?: string) => ({
    mix: "m",
    source: { kind: "test", id, name },
    idempotencyKey: id,
  });
  const slow = node.send("source.add", add("slow", "fault:slow:2500"));
  const behind = node.send("source.add", add("behind"));
  expect((await slow).error).toMatchObject({
    message: expect.stringMatching(/goes on/),
    data: { code: "ERR_BUSY", retryable: true },
  });
  expect((await behind).error).toMatchObject({
    message: expect.stringMatching(/not begun/),
    data: { code: "ERR_BUSY" },
  });
  await until(async () => (await node.call("source.list", { mix: "m" })).length > 0, "the slow one's end");
  expect(ids(await node.call("source.list", { mix: "m" }))).toEqual(["slow"]);
  expect(await node.call("source.add", add("slow", "fault:slow:2500"))).toMatchObject({ id: "slow" });
  expect(await node.call("source.add", add("behind"))).toMatchObject({ id: "behind" });
  expect(node.service.mix("m").state.restarts).toBe(0);
});

test("a mix that its worker refuses to open was never there", async () => {
  await using node = await TestNode.open();
  using subscription = node.service.hub.subscribe({ mix: "m" });
  const spec = { id: "m", sources: [{ kind: "test", id: "a", name: "fault:refuse" }] };
  expect((await node.send("mix.create", spec)).error?.data.code).toBe("ERR_DEVICE");
  expect(node.service.mixes()).toEqual([]);
  expect(await node.call("mix.create", { id: "m" })).toMatchObject({ state: "running" });
  await node.call("mix.close", { mix: "m" });
  const types: string[] = [];
  for await (const { type } of subscription) {
    types.push(type);
    if (type === "mix.closed") break;
  }
  expect(types).not.toContain("mix.failed");
});

describe("a mix without sources", () => {
  test("closes after its timeout, and not before", async () => {
    await using node = await TestNode.open();
    using subscription = node.service.hub.subscribe({ types: ["mix.closed"] });
    await node.call("mix.create", { id: "empty", emptyTimeoutS: 0.5 });
    await node.call("mix.create", { id: "used", emptyTimeoutS: 0.5, sources: [{ kind: "rtmp", id: "a" }] });
    await node.call("mix.create", { id: "forever" });
    for await (const event of subscription) {
      expect(event).toMatchObject({ type: "mix.closed", mix: "empty" });
      break;
    }
    expect(ids(node.service.mixes())).toEqual(["used", "forever"]);
  });
});

test("a node that drains takes no new mix and keeps those it has", async () => {
  await using node = await TestNode.open();
  await node.call("mix.create", { id: "m" });
  expect(await node.call("node.drain")).toEqual({ draining: true, mixes: 1 });
  expect((await node.send("mix.create", { id: "n" })).error?.data).toMatchObject({
    code: "ERR_BUSY",
    retryable: true,
  });
  expect(await node.call("mix.get", { mix: "m" })).toMatchObject({ state: "running" });
  expect(await node.call("node.info")).toMatchObject({ draining: true, mixes: 1 });
  expect(node.service.ready).toBe(false);
});

test("what cannot be stored is not kept", async () => {
  await using node = await TestNode.open();
  await node.call("mix.create", { id: "m", sources: [{ kind: "test", id: "a" }] });
  node.breakStore();
  const { error } = await node.send("source.add", { mix: "m", source: { kind: "test", id: "b" } });
  expect(error?.data).toMatchObject({ code: "ERR_STORAGE", fault: "device" });
  expect(ids(await node.call("source.list", { mix: "m" }))).toEqual(["a"]);
  expect(ids((await node.call("mix.stats", { mix: "m" })).sources)).toEqual(["a"]);
  expect((await node.send("mix.create", { id: "n" })).error?.data.code).toBe("ERR_STORAGE");
  expect(ids(node.service.mixes())).toEqual(["m"]);
  node.mendStore();
  await node.call("source.add", { mix: "m", source: { kind: "test", id: "b" } });
});
