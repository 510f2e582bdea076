import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Publishers, type PublishRequest } from "../../src/service/publishers.ts";
import { TestNode, until } from "./fixtures/node.ts";

const TOKEN = "the-token-of-the-node";
const SOURCES = [
  { kind: "rtmp", id: "cam" },
  { kind: "test", id: "bars" },
];
let node: TestNode;
let publishers: Publishers;
/** The mix of this test; the tests share a node and a worker. */
let m = "";
let count = 0;
/** Publishers' time, which only this test moves. */
let nowMs = 0;
beforeAll(async () => {
  node = await TestNode.open({ token: TOKEN, mixesPerWorker: 1000 });
});
afterAll(() => node[Symbol.asyncDispose]());
beforeEach(async () => {
  nowMs = 0;
  publishers = new Publishers(node.service, node.service.tokens, () => nowMs);
  m = `m${count++}`;
  await node.call("mix.create", { id: m, sources: SOURCES }, TOKEN);
});

const request = (name: string, query: string, app = "live"): PublishRequest => ({
  app,
  name,
  query: new URLSearchParams(query),
  remote: "127.0.0.1:1",
});
const all = `token=${TOKEN}`;
const sources = (): string[] => node.service.mix(m).state.sources.map(({ id }) => id);

describe("authorizing", () => {
  const cases: [string, () => PublishRequest, string | undefined][] = [
    ["a declared source", () => request(m, `source=cam&${all}`), undefined],
    ["an undeclared one", () => request(m, `source=new&${all}`), undefined],
    ["no source named", () => request(m, all), undefined],
    ["no token", () => request(m, "source=cam"), "ERR_UNAUTHORIZED"],
    ["no such mix", () => request("n", all), "ERR_NOT_FOUND"],
    ["no such mix, and no token: nothing is given away", () => request("n", ""), "ERR_UNAUTHORIZED"],
    ["another application", () => request(m, all, "app"), "ERR_NOT_FOUND"],
    ["a source of another kind", () => request(m, `source=bars&${all}`), "ERR_EXISTS"],
    ["a bad id", () => request(m, `source=a%2Fb&${all}`), "ERR_INVALID_ARGUMENT"],
  ];
  for (const [name, knock, want] of cases) {
    test(`${name}: ${want ?? "in"}`, async () => {
      const code = await publishers.authorize(knock()).then(
        () => undefined,
        (error: { code: string }) => error.code,
      );
      expect(code).toBe(want);
    });
  }

  test("a token to publish is good for its mix only", async () => {
    const issue = { mix: m, actions: ["publish"], ttlS: 60 };
    const { token } = await node.call("token.issue", issue, TOKEN);
    expect(await publishers.authorize(request(m, `token=${token}`))).toEqual({ mix: m, source: "rtmp" });
    await expect(publishers.authorize(request("other", `token=${token}`))).rejects.toThrow(/does not allow/);
  });
});

describe("a key", () => {
  test("in use is refused while its publisher sends, and taken over when it has been silent for 5 s", async () => {
    const knock = request(m, `source=cam&${all}`);
    const first = await publishers.attach(await publishers.authorize(knock));
    nowMs += 4000;
    first.touch();
    nowMs += 4999;
    await expect(publishers.authorize(knock)).rejects.toMatchObject({ code: "ERR_EXISTS" });
    await expect(publishers.attach({ mix: m, source: "cam" })).rejects.toMatchObject({
      code: "ERR_EXISTS",
    });
    expect(first.ended.aborted).toBe(false);
    nowMs += 1;
    const second = await publishers.attach(await publishers.authorize(knock));
    expect(first.ended.aborted).toBe(true);
    expect(second.ended.aborted).toBe(false);
  });

  test("can be used again at once by who left in order", async () => {
    const first = await publishers.attach({ mix: m, source: "cam" });
    first.detach();
    await publishers.attach({ mix: m, source: "cam" });
  });
});

describe("a source that a publish created", () => {
  test("goes 30 s after its publisher, unless that comes back; a declared one stays", async () => {
    const guest = await publishers.attach({ mix: m, source: "guest" });
    const cam = await publishers.attach({ mix: m, source: "cam" });
    expect(sources()).toEqual(["cam", "bars", "guest"]);
    const sweep = () => publishers.sweep(node.service.mix(m));
    nowMs += 100_000;
    guest.touch();
    await sweep();
    expect(sources()).toContain("guest");
    guest.detach();
    cam.detach();
    nowMs += 29_999;
    await sweep();
    expect(sources()).toContain("guest");
    const again = await publishers.attach({ mix: m, source: "guest" });
    nowMs += 60_000;
    await sweep();
    expect(sources()).toContain("guest");
    again.detach();
    nowMs += 30_000;
    await sweep();
    expect(sources()).toEqual(["cam", "bars"]);
    await sweep();
  });

  test("goes after a restart of the service, if nobody comes back for it", async () => {
    await using first = await TestNode.open();
    await first.call("mix.create", { id: "m", sources: SOURCES });
    await first.service.publishers.attach({ mix: "m", source: "guest" });
    await first.service.close();
    await using next = await TestNode.open({ dataDir: first.dataDir });
    const others = new Publishers(next.service, next.service.tokens, () => nowMs);
    const mix = next.service.mix("m");
    await until(() => mix.phase === "running", "the mix");
    await others.sweep(mix);
    expect(mix.state.sources.map(({ id }) => id)).toContain("guest");
    nowMs += 30_000;
    await others.sweep(mix);
    expect(mix.state.sources.map(({ id }) => id)).toEqual(["cam", "bars"]);
  });

  test("stays once it is declared, and its publisher does not notice", async () => {
    const guest = await publishers.attach({ mix: m, source: "guest" });
    await until(() => node.service.mix(m).status.source("guest").state === "online", "the guest");
    using subscription = node.service.hub.subscribe({ mix: m });
    const events: string[] = [];
    void (async () => {
      for await (const { type } of subscription) events.push(type);
    })();
    const source = { kind: "rtmp", id: "guest", role: "host", audio: { muted: true } };
    const added = await node.call("source.add", { mix: m, source }, TOKEN);
    expect(added).toMatchObject({ id: "guest", name: "guest", role: "host", audio: { muted: true } });
    expect(added.publishUrl).toMatch(/source=guest$/);
    expect(await node.call("source.add", { mix: m, source }, TOKEN)).toEqual(added);
    guest.detach();
    nowMs += 100_000;
    await publishers.sweep(node.service.mix(m));
    expect(sources()).toEqual(["cam", "bars", "guest"]);
    expect(guest.ended.aborted).toBe(false);
    expect(events).toEqual([]);
  });

  test("stays when the spec that is applied declares it", async () => {
    const guest = await publishers.attach({ mix: m, source: "guest" });
    const spec = { sources: [...SOURCES, { kind: "rtmp", id: "guest", name: "guest" }] };
    await node.call("mix.apply", { mix: m, spec }, TOKEN);
    guest.detach();
    nowMs += 100_000;
    await publishers.sweep(node.service.mix(m));
    expect(sources()).toEqual(["cam", "bars", "guest"]);
  });

  test("keeps its id from sources of another kind", async () => {
    await publishers.attach({ mix: m, source: "guest" });
    const { error } = await node.send("source.add", { mix: m, source: { kind: "test", id: "guest" } }, TOKEN);
    expect(error?.data.code).toBe("ERR_EXISTS");
  });

  test("and whose source is removed is cut off", async () => {
    const seat = await publishers.attach({ mix: m, source: "guest" });
    await node.call("source.remove", { mix: m, source: "guest" }, TOKEN);
    await publishers.sweep(node.service.mix(m));
    expect(seat.ended.aborted).toBe(true);
  });
});

test("a seat names every worker of its mix, one after the other", async () => {
  await using own = await TestNode.open();
  await own.call("mix.create", { id: "m", sources: SOURCES });
  const seat = await own.service.publishers.attach({ mix: "m", source: "cam" });
  const workers = seat.workers();
  const first = (await workers.next()).value;
  const next = workers.next();
  first?.kill("stopped", "by the test");
  const second = (await next).value;
  expect(second?.pid).toBeDefined();
  expect(second?.pid).not.toBe(first?.pid);
  const end = workers.next();
  await own.call("mix.close", { mix: "m" });
  expect((await end).done).toBe(true);
});
