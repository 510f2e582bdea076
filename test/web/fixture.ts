import { createLogger } from "../../src/core/log.ts";
import { Dispatcher } from "../../src/rpc/dispatch.ts";
import { unsupportedRoutes } from "../../src/rpc/not-supported.ts";
import type { ServiceOptions } from "../../src/service/service.ts";
import { Metrics } from "../../src/web/metrics.ts";
import { WebServer } from "../../src/web/server.ts";
import { TestNode } from "../service/fixtures/node.ts";

/** A node with its web server on a free port of loopback. */
export class TestWeb implements AsyncDisposable {
  readonly node: TestNode;
  readonly web: WebServer;
  readonly url: string;
  readonly #metrics: Metrics;

  private constructor(node: TestNode, web: WebServer, metrics: Metrics) {
    this.node = node;
    this.web = web;
    this.url = `http://127.0.0.1:${web.address.port}`;
    this.#metrics = metrics;
  }

  static async open(
    more: Partial<ServiceOptions> = {},
    guard: { readonly publicUrl?: string; readonly origins?: readonly string[] } = {},
  ): Promise<TestWeb> {
    const node = await TestNode.open(more);
    const log = createLogger("silent");
    const metrics = new Metrics(node.service);
    const web = await WebServer.listen({
      host: "127.0.0.1",
      port: 0,
      origins: guard.origins ?? [],
      publicUrl: guard.publicUrl,
      service: node.service,
      rpc: new Dispatcher(metrics, log),
      metrics,
      unsupportedRoutes: unsupportedRoutes(),
      log,
    });
    return new TestWeb(node, web, metrics);
  }

  /** Has the metrics tell of doors too. */
  watch(doors: Parameters<Metrics["watch"]>[0]): void {
    this.#metrics.watch(doors);
  }

  /** POSTs one JSON-RPC request. */
  rpc(method: string, params: unknown, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${this.url}/rpc`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.web.close();
    this.#metrics[Symbol.dispose]();
    await this.node[Symbol.asyncDispose]();
  }
}
