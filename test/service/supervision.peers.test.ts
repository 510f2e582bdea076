import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { MixEvent } from "../../src/contract/events.ts";
import type { Subscription } from "../../src/service/events.ts";
import { FIXTURE_WORKER, TestNode, until } from "./fixtures/node.ts";

// Kills, stops and crashes real processes, which takes its seconds: hence not among the fast tests.

/** Keeps all events of a subscription in a list that grows. */
function collect(subscription: Subscription): MixEvent[] {
  const events: MixEvent[] = [];
  void (async () => {
    for await (const event of subscription) events.push(event);
  })();
  return events;
}

const pidOf = (node: TestNode, mix: string): number => node.service.mix(mix).worker?.pid ?? 0;
const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

/** Others that want the same CPU as `pid`, all the time: it gets a tenth of it. */
class Crowd implements Disposable {
  readonly #others: ChildProcess[];

  constructor(pid: number) {
    const cpu = /Cpus_allowed_list:\s*(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
    execFileSync("taskset", ["-a", "-pc", cpu, `${pid}`]);
    this.#others = Array.from({ length: 9 }, () =>
      spawn("taskset", ["-c", cpu, "sh", "-c", "while :; do :; done"], { stdio: "ignore", detached: true }),
    );
  }

  [Symbol.dispose](): void {
    for (const other of this.#others) other.kill("SIGKILL");
  }
}

describe("a worker that is killed", () => {
  test("costs its own mix only, comes back from the state, and says so", async () => {
    await using node = await TestNode.open();
    using subscription = node.service.hub.subscribe();
    const events = collect(subscription);
    await node.call("mix.create", { id: "hit", sources: [{ kind: "test", id: "a" }] });
    await node.call("mix.create", { id: "calm", sources: [{ kind: "test", id: "a" }] });
    await node.call("source.add", { mix: "hit", source: { kind: "test", id: "b" } });
    const [killed, calm] = [pidOf(node, "hit"), pidOf(node, "calm")];
    const before = (await node.call("mix.get", { mix: "hit" })).atUs;
    process.kill(killed, "SIGKILL");
    await until(() => events.some(({ type }) => type === "mix.restarted"), "the restart");
    const stats = await node.call("mix.stats", { mix: "hit" });
    expect(stats.sources.map((one: { id: string }) => one.id)).toEqual(["a", "b"]);
    expect(stats.atUs).toBeGreaterThan(before);
    expect(await node.call("mix.get", { mix: "hit" })).toMatchObject({ state: "running", restarts: 1 });
    expect(pidOf(node, "hit")).not.toBe(killed);
    expect(pidOf(node, "calm")).toBe(calm);
    expect(events.filter((event) => event.type === "mix.restarted")).toMatchObject([
      { mix: "hit", restarts: 1, why: expect.stringContaining("SIGKILL") },
    ]);
    expect(events.filter((event) => event.mix === "calm" && event.type.startsWith("mix."))).toHaveLength(1);
    expect(events.filter(({ type }) => type === "source.added")).toHaveLength(3);
    expect(events.some(({ type }) => type === "source.quarantined")).toBe(false);
  });

  test("numbers its mix's events without a gap, and its clock never goes back", async () => {
    await using node = await TestNode.open();
    using subscription = node.service.hub.subscribe({ mix: "m" });
    const events = collect(subscription);
    await node.call("mix.create", { id: "m", sources: [{ kind: "test", id: "a" }] });
    for (let n = 1; n <= 3; n++) {
      process.kill(pidOf(node, "m"), "SIGKILL");
      await until(() => events.filter(({ type }) => type === "mix.restarted").length === n, `restart ${n}`);
    }
    await until(() => events.at(-1)?.type === "source.online", "the source");
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
    const times = events.map(({ atUs }) => atUs);
    expect(Math.max(...times.slice(0, 2))).toBeLessThan(times.at(-1) ?? 0);
  });

  test("a request that is under way is answered, and the next one waits for the new worker", async () => {
    await using node = await TestNode.open();
    await node.call("mix.create", { id: "m" });
    const slow = node.send("source.add", {
      mix: "m",
      source: { kind: "test", id: "s", name: "fault:slow:5000" },
    });
    const next = node.send("source.add", { mix: "m", source: { kind: "test", id: "t" } });
    await new Promise((resolve) => setTimeout(resolve, 100));
    process.kill(pidOf(node, "m"), "SIGKILL");
    expect((await slow).error?.data).toMatchObject({ code: "ERR_INTERNAL", retryable: true });
    expect((await next).result).toMatchObject({ id: "t" });
    const sources = await node.call("source.list", { mix: "m" });
    expect(sources.map((one: { id: string }) => one.id)).toEqual(["t"]);
  });

  test("six times in ten minutes, fails its mix, which can still be read and closed", async () => {
    await using node = await TestNode.open();
    using subscription = node.service.hub.subscribe({ types: ["mix.restarted", "mix.failed"] });
    const events = collect(subscription);
    await node.call("mix.create", { id: "m", sources: [{ kind: "test", id: "a" }] });
    for (let n = 1; n <= 6; n++) {
      const pid = pidOf(node, "m");
      process.kill(pid, "SIGKILL");
      await until(() => events.length === n, `event ${n}`, 15_000);
    }
    expect(events.map(({ type }) => type)).toEqual([...new Array(5).fill("mix.restarted"), "mix.failed"]);
    expect(await node.call("mix.get", { mix: "m" })).toMatchObject({
      state: "failed",
      error: { code: "ERR_INTERNAL" },
    });
    const refused = await node.send("source.add", { mix: "m", source: { kind: "test" } });
    expect(refused.error?.message).toMatch(/died too often/);
    await node.call("mix.close", { mix: "m" });
    await node.call("mix.create", { id: "m" });
  }, 40_000);
});

describe("a worker that hangs", () => {
  test("is killed after its silence, and its mix comes back", async () => {
    const worker = { entry: FIXTURE_WORKER, env: {}, silenceMs: 1500 };
    await using node = await TestNode.open({ worker });
    using subscription = node.service.hub.subscribe();
    const events = collect(subscription);
    await node.call("mix.create", { id: "m" });
    const pid = pidOf(node, "m");
    process.kill(pid, "SIGSTOP");
    await until(() => events.some(({ type }) => type === "mix.restarted"), "the restart");
    expect(events.find(({ type }) => type === "mix.restarted")).toMatchObject({
      why: expect.stringMatching(/hang: said nothing/),
    });
    expect(isAlive(pid)).toBe(false);
  });

  test("spinning counts as hanging", async () => {
    const worker = { entry: FIXTURE_WORKER, env: {}, silenceMs: 1500 };
    await using node = await TestNode.open({ worker });
    await node.call("mix.create", { id: "m" });
    await node.call("source.add", { mix: "m", source: { kind: "test", id: "s", name: "fault:spin" } });
    await until(() => node.service.mix("m").state.restarts > 0, "the restart");
    expect([...node.service.workerRestarts]).toEqual([["hang", 1]]);
  });

  test("waiting for a CPU does not: a worker that answers late on an overloaded machine lives", async () => {
    const worker = { entry: FIXTURE_WORKER, env: {}, silenceMs: 1000 };
    await using node = await TestNode.open({ worker });
    await node.call("mix.create", { id: "m" });
    using _crowd = new Crowd(pidOf(node, "m"));
    const began = performance.now();
    await node.call("source.add", { mix: "m", source: { kind: "test", id: "s", name: "fault:work:400" } });
    expect(performance.now() - began).toBeGreaterThan(2000);
    expect(node.service.mix("m").state.restarts).toBe(0);
  }, 30_000);

  test("a slow request delays its own mix only, and keeps that mix's order", async () => {
    await using node = await TestNode.open();
    await node.call("mix.create", { id: "slow" });
    await node.call("mix.create", { id: "quick" });
    const order: string[] = [];
    const add = (mix: string, id: string, name?: string) =>
      node
        .call("source.add", { mix, source: { kind: "test", id, name } })
        .then(() => order.push(`${mix}/${id}`));
    const all = [add("slow", "1", "fault:slow:800"), add("slow", "2"), add("quick", "1"), add("quick", "2")];
    await Promise.all(all);
    expect(order).toEqual(["quick/1", "quick/2", "slow/1", "slow/2"]);
  });
});

describe("a source that crashes the decoder", () => {
  test("comes back last, and after the second crash not at all", async () => {
    await using node = await TestNode.open();
    using subscription = node.service.hub.subscribe({ mix: "m" });
    const events = collect(subscription);
    await node.call("mix.create", {
      id: "m",
      sources: [
        { kind: "test", id: "bad" },
        { kind: "test", id: "good" },
      ],
      outputs: [{ kind: "file", id: "solo", path: "solo.mp4", source: "bad" }],
    });
    await node.call("source.remove", { mix: "m", source: "bad" });
    await node.call("source.add", { mix: "m", source: { kind: "test", id: "bad", name: "fault:crash" } });
    await until(() => events.some(({ type }) => type === "source.quarantined"), "the quarantine", 15_000);
    await until(() => node.service.mix("m").phase === "running", "the mix");
    await until(() => node.service.mix("m").state.restarts === 2, "two restarts");
    const listed = await node.call("source.list", { mix: "m" });
    expect(listed).toMatchObject([
      { id: "good" },
      { id: "bad", state: "quarantined", error: { code: "ERR_MEDIA_INVALID", fault: "peer" } },
    ]);
    const stats = await node.call("mix.stats", { mix: "m" });
    expect(stats.sources).toMatchObject([
      { id: "good", state: "online" },
      { id: "bad", state: "quarantined", decoded: 0 },
    ]);
    const pid = pidOf(node, "m");
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(pidOf(node, "m")).toBe(pid);
    await node.call("source.update", { mix: "m", source: "bad", name: "still bad" });
    await node.call("source.remove", { mix: "m", source: "bad" });
    await node.call("source.add", { mix: "m", source: { kind: "test", id: "bad" } });
    await until(() => node.service.mix("m").status.source("bad").state === "online", "its second chance");
  }, 30_000);

  test("stays in quarantine when the service is restarted", async () => {
    await using first = await TestNode.open();
    await first.call("mix.create", { id: "m", sources: [{ kind: "test", id: "bad", name: "fault:crash" }] });
    const quarantined = () => first.service.mix("m").control.quarantined.includes("bad");
    await until(quarantined, "the quarantine", 15_000);
    await until(() => first.service.mix("m").phase === "running", "the mix");
    await first.service.close();
    await using second = await TestNode.open({ dataDir: first.dataDir });
    await until(() => second.service.mix("m").phase === "running", "the mix");
    expect(await second.call("source.list", { mix: "m" })).toMatchObject([
      { id: "bad", state: "quarantined" },
    ]);
    await new Promise((resolve) => setTimeout(resolve, 1300));
    expect(second.service.mix("m").state.restarts).toBe(2);
  }, 30_000);
});

describe("workers that cannot start", () => {
  test("make the node busy, not dead, and it recovers", async () => {
    const env: Record<string, string> = { FIXTURE_START: "exit" };
    await using node = await TestNode.open({ worker: { entry: FIXTURE_WORKER, env } });
    const created = node.send("mix.create", { id: "m" });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(node.service.ready).toBe(false);
    delete env.FIXTURE_START;
    expect((await created).result).toMatchObject({ id: "m", state: "running" });
  }, 30_000);
});

test("a warm worker is kept ready, and is replaced when it dies", async () => {
  await using node = await TestNode.open();
  await until(() => node.service.ready, "the warm worker");
  await node.call("mix.create", { id: "m" });
  await until(() => node.service.ready, "the next warm worker");
  expect(node.service.pool.hosts).toHaveLength(1);
});

test("mixes share a worker when told to, and its death costs exactly them", async () => {
  await using node = await TestNode.open({ mixesPerWorker: 2 });
  for (const id of ["a", "b", "c"]) await node.call("mix.create", { id });
  expect(pidOf(node, "a")).toBe(pidOf(node, "b"));
  expect(pidOf(node, "c")).not.toBe(pidOf(node, "a"));
  process.kill(pidOf(node, "a"), "SIGKILL");
  const restarts = () => node.service.mixes().map(({ state }) => state.restarts);
  await until(() => restarts().join() === "1,1,0", "both restarts");
  await until(() => node.service.mixes().every(({ phase }) => phase === "running"), "all to run");
});

test("a worker goes when its mix is closed", async () => {
  await using node = await TestNode.open();
  await node.call("mix.create", { id: "m" });
  const pid = pidOf(node, "m");
  await node.call("mix.close", { mix: "m" });
  await until(() => !isAlive(pid), "the worker's end");
});
