import { expect, test } from "vitest";
import { createLogger } from "../../src/core/log.ts";
import { Dispatcher } from "../../src/rpc/dispatch.ts";
import { unsupportedRoutes } from "../../src/rpc/not-supported.ts";
import { Metrics } from "../../src/web/metrics.ts";
import { WebServer } from "../../src/web/server.ts";
import { TestNode } from "../service/fixtures/node.ts";

test("a mix is created, read and closed over HTTP", async () => {
  await using node = await TestNode.open();
  const { service } = node;
  const log = createLogger("silent");
  using metrics = new Metrics(service);
  const rpc = new Dispatcher(metrics, log);
  const options = { host: "127.0.0.1", port: 0, origins: [], unsupportedRoutes: unsupportedRoutes() };
  await using web = await WebServer.listen({ ...options, service, rpc, metrics, log });
  const post = async (method: string, params: unknown) => {
    const response = await fetch(`http://127.0.0.1:${web.address.port}/rpc`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
    return (await response.json()) as { result?: { id: string; state: string; sources: unknown[] } };
  };
  const created = await post("mix.create", { id: "m", sources: [{ kind: "test", id: "a" }] });
  expect(created.result).toMatchObject({ id: "m", state: "running" });
  expect((await post("mix.stats", { mix: "m" })).result?.sources).toHaveLength(1);
  expect((await post("mix.close", { mix: "m" })).result).toBeNull();
});
