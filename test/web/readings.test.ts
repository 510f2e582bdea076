import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createLogger } from "../../src/core/log.ts";
import { RtmpGate } from "../../src/door/rtmp-gate.ts";
import { RTMP } from "../../src/protocol/rtmp-message.ts";
import { RawPublisher } from "../door/raw-publisher.ts";
import { until } from "../service/fixtures/node.ts";
import { TestWeb } from "./fixture.ts";

let web: TestWeb;
beforeAll(async () => {
  web = await TestWeb.open();
  await web.node.call("mix.create", {
    id: "m",
    sources: [
      { kind: "test", id: "a" },
      { kind: "rtmp", id: "b" },
    ],
    outputs: [{ kind: "file", id: "f", path: "f.mp4" }],
  });
});
afterAll(() => web[Symbol.asyncDispose]());

/** Names as the interface has them and one of our own, with the kind of each. */
const METRICS: Record<string, string> = {
  tessera_mixes: "gauge",
  tessera_sources: "gauge",
  tessera_outputs: "gauge",
  tessera_encoders: "gauge",
  tessera_decoders: "gauge",
  tessera_tick_late_total: "counter",
  tessera_frames_repeated_total: "counter",
  tessera_frames_dropped_total: "counter",
  tessera_source_warnings_total: "counter",
  tessera_compose_seconds: "histogram",
  tessera_encode_seconds: "histogram",
  tessera_added_latency_seconds: "histogram",
  tessera_av_offset_seconds: "gauge",
  tessera_rpc_seconds: "histogram",
  tessera_worker_restarts_total: "counter",
  tessera_device_fallback_total: "counter",
  tessera_event_loop_delay_seconds: "gauge",
  tessera_door_connections: "gauge",
  tessera_door_publishes: "gauge",
  tessera_door_closed_total: "counter",
  tessera_door_turned_away_total: "counter",
  tessera_door_media_unusable_total: "counter",
};

const scrape = async (): Promise<string> => await (await fetch(`${web.url}/metrics`)).text();

describe("/metrics", () => {
  test("has exactly these metrics", async () => {
    const types = [...(await scrape()).matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [
      name,
      type,
    ]);
    expect(Object.fromEntries(types)).toEqual(METRICS);
  });

  test("tells what mixes, workers and requests did, also at the second scrape", async () => {
    await web.rpc("mix.get", { mix: "m" });
    await web.rpc("no.such.method", {});
    await scrape();
    const text = await scrape();
    for (const line of [
      "tessera_mixes 1",
      'tessera_sources{kind="test"} 1',
      'tessera_sources{kind="rtmp"} 1',
      'tessera_outputs{kind="file",state="live"} 1',
      'tessera_encoders{device="cpu",codec="h264"} 1',
      'tessera_decoders{device="cpu",codec="h264"} 2',
      'tessera_tick_late_total{mix="m",view="main"} 2',
      'tessera_frames_repeated_total{mix="m",view="main"} 1',
      'tessera_frames_dropped_total{mix="m",output="f",why="slow"} 3',
      'tessera_frames_dropped_total{mix="m",output="f",why="away"} 5',
      'tessera_source_warnings_total{mix="m",source="a",why="timestampJumps"} 2',
      'tessera_compose_seconds_bucket{mix="m",le="0.001"} 5',
      'tessera_compose_seconds_bucket{mix="m",le="0.01"} 8',
      'tessera_compose_seconds_bucket{mix="m",le="+Inf"} 9',
      'tessera_compose_seconds_sum{mix="m"} 0.05',
      'tessera_compose_seconds_count{mix="m"} 9',
      'tessera_av_offset_seconds{mix="m",source="a"} 0.003',
      'tessera_rpc_seconds_count{method="mix.get",transport="http"} 1',
      'tessera_rpc_seconds_count{method="unknown",transport="http"} 1',
    ]) {
      expect(text.split("\n"), line).toContain(line);
    }
    expect(text).toMatch(/tessera_event_loop_delay_seconds\{process="control"\} [\d.e-]+\n/);
  });

  test("tells whom a door let in, cut off and turned away, also at the second scrape", async () => {
    const log = createLogger("silent");
    await using gate = new RtmpGate(web.node.service.publishers, log);
    web.watch(gate);
    const { port } = await gate.listen({ host: "127.0.0.1", port: 0 });
    await using refused = await RawPublisher.open(port);
    expect(await refused.publish("nobody?token=secret")).toBe("NetStream.Publish.Unauthorized");
    await using publisher = await RawPublisher.open(port);
    expect(await publisher.publish("m?source=b")).toBe("NetStream.Publish.Start");
    publisher.send(RTMP.audio, Buffer.from("b200", "hex"));
    await until(() => refused.isClosed, "the end of who was refused");
    const wanted = [
      'tessera_door_connections{door="rtmp"} 1',
      'tessera_door_publishes{door="rtmp"} 1',
      'tessera_door_closed_total{door="rtmp",code="ERR_UNAUTHORIZED"} 1',
      'tessera_door_turned_away_total{door="rtmp"} 0',
      'tessera_door_media_unusable_total{door="rtmp",why="ignored"} 1',
      'tessera_door_media_unusable_total{door="rtmp",why="bad"} 0',
    ];
    const told = async (): Promise<string[]> => (await scrape()).split("\n");
    await until(async () => (await told()).includes(wanted[4] ?? ""), "its Speex");
    expect(await told()).toEqual(expect.arrayContaining(wanted));
  });

  test("does not wait for a worker that hangs, and tells of fallbacks and restarts", async () => {
    await web.node.call("mix.create", { id: "stuck" });
    const stuck = web.node.service.mix("stuck");
    const pid = stuck.worker?.pid ?? 0;
    process.kill(pid, "SIGSTOP");
    const started = performance.now();
    const text = await scrape();
    expect(performance.now() - started).toBeLessThan(2500);
    expect(text).toContain('tessera_tick_late_total{mix="m",view="main"} 2');
    expect(text).not.toContain('mix="stuck"');
    process.kill(pid, "SIGKILL");
    await until(() => stuck.state.restarts === 1 && stuck.phase === "running", "the restart");
    stuck.emit({ type: "device.fallback", from: "vaapi", to: "cpu", why: "lost" });
    const after = await scrape();
    expect(after).toContain('tessera_worker_restarts_total{why="crash"} 1');
    expect(after).toContain('tessera_device_fallback_total{from="vaapi",to="cpu",why="lost"} 1');
    await web.node.call("mix.close", { mix: "stuck" });
    expect(await scrape()).not.toContain('mix="stuck"');
  });
});

describe("health", () => {
  test("is alive as long as it answers, and ready as long as a new mix finds a worker", async () => {
    expect((await fetch(`${web.url}/healthz`)).status).toBe(200);
    await until(async () => (await fetch(`${web.url}/readyz`)).status === 200, "a warm worker");
    await web.node.call("node.drain");
    expect((await fetch(`${web.url}/readyz`)).status).toBe(503);
    expect((await fetch(`${web.url}/healthz`)).status).toBe(200);
  });
});

describe("snapshots", () => {
  test("are JPEG, fresh, and never cached", async () => {
    const response = await fetch(`${web.url}/snapshot/m/main.jpg`);
    expect(response.headers.get("content-type")).toBe("image/jpeg");
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(new Uint8Array(await response.arrayBuffer()).subarray(0, 2)).toEqual(Uint8Array.of(0xff, 0xd8));
  });
});

describe("the page", () => {
  test("asks nobody else for anything, and says so to the browser", async () => {
    const response = await fetch(`${web.url}/`);
    const policy = response.headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'");
    expect(policy).toMatch(/script-src 'sha256-[^']+';/);
    expect(policy).not.toContain("unsafe");
    const page = await response.text();
    expect(page).toBe(readFileSync("src/web/page.html", "utf8"));
    expect([...page.matchAll(/https?:\/\//g)]).toEqual([]);
    expect(page).not.toMatch(/\sstyle="|\son\w+="/);
  });
});
