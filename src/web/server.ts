import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { errorInfo, InvalidArgumentError, NotFoundError, TesseraError } from "../core/error.ts";
import type { Logger } from "../core/log.ts";
import type { Service } from "../service/service.ts";
import { demand, type Grant } from "../service/tokens.ts";
import { bearer, Guard, type GuardOptions } from "./guard.ts";
import type { Metrics } from "./metrics.ts";
import { RpcSockets } from "./rpc-socket.ts";
import { Snapshots } from "./snapshots.ts";

/** Who calls, as the RPC floor wants it; one per connection. */
export interface RpcContext {
  readonly service: Service;
  readonly grant: Grant;
  readonly subscribe?: (filter: { mix?: string | undefined; types?: readonly string[] | undefined }) => void;
}

/** Answers JSON-RPC texts; `rpc/dispatch.ts` is one. */
export interface RpcHandler {
  handle(text: string, context: RpcContext, transport: "http" | "ws"): Promise<string | undefined>;
}

export interface WebOptions extends GuardOptions {
  /** 0 takes any free port; see {@link WebServer.address}. */
  readonly port: number;
  readonly service: Service;
  readonly rpc: RpcHandler;
  readonly metrics: Metrics;
  /** First segments of routes that this build does not have yet. */
  readonly unsupportedRoutes: readonly string[];
  readonly log: Logger;
}

/** For images in base64; the dispatcher holds everything else to 1 MB. */
export const MAX_BODY_BYTES = 8 << 20;
const PAGE = fileURLToPath(new URL("./page.html", import.meta.url));

/** HTTP of one node: RPC, snapshots, metrics, health, and a page. */
export class WebServer implements AsyncDisposable {
  /** Where it listens. */
  readonly address: { readonly host: string; readonly port: number };
  readonly #app: FastifyInstance;
  readonly #sockets: RpcSockets;

  private constructor(app: FastifyInstance, sockets: RpcSockets) {
    this.#app = app;
    this.#sockets = sockets;
    const at = app.server.address();
    this.address =
      typeof at === "object" && at !== null ? { host: at.address, port: at.port } : { host: "", port: 0 };
  }

  /** @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if it cannot listen there. */
  static async listen(options: WebOptions): Promise<WebServer> {
    const guard = new Guard(options);
    const app = newApp();
    app.addHook("onRequest", async (request) => guard.check(request.headers));
    app.setErrorHandler((error, _request, reply) => refuse(error, reply, options.log));
    app.setNotFoundHandler((_request, reply) => refuse(new NotFoundError("there is no such page"), reply));
    addRpc(app, options);
    addReadings(app, options);
    addPage(app);
    addUnsupported(app, options.unsupportedRoutes);
    const sockets = new RpcSockets(options, guard);
    app.server.on("upgrade", (request, socket, head) => sockets.upgrade(request, socket, head));
    try {
      await app.listen({ host: options.host, port: options.port });
    } catch (cause) {
      await app.close();
      throw new InvalidArgumentError("http", `cannot listen on ${options.host}:${options.port}`, { cause });
    }
    return new WebServer(app, sockets);
  }

  /** Closes the listener, every WebSocket and every idle connection. Idempotent. */
  async close(): Promise<void> {
    this.#sockets.close();
    this.#app.server.closeAllConnections();
    await this.#app.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function newApp(): FastifyInstance {
  const app = Fastify({
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: 30_000,
    connectionTimeout: 60_000,
    keepAliveTimeout: 10_000,
    http: { headersTimeout: 10_000, maxHeaderSize: 16_384 },
    routerOptions: { maxParamLength: 100 },
  });
  // Before JSON is parsed it is text, so that the answer to broken JSON is JSON-RPC's.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "string" }, (_request, body, done) =>
    done(null, body),
  );
  return app;
}

function addRpc(app: FastifyInstance, { service, rpc }: WebOptions): void {
  app.post("/rpc", async (request, reply) => {
    const grant = grantOf(service, request);
    if (typeof request.body !== "string") return reply.code(415).send(mediaType());
    const answer = await rpc.handle(request.body, { service, grant }, "http");
    if (answer === undefined) return reply.code(204).send();
    return reply.type("application/json").header("cache-control", "no-store").send(answer);
  });
}

function addReadings(app: FastifyInstance, { service, metrics }: WebOptions): void {
  const snapshots = new Snapshots(service);
  app.get("/healthz", async () => ({ ok: true }));
  app.get("/readyz", async (_request, reply) =>
    reply.code(service.ready ? 200 : 503).send({ ready: service.ready }),
  );
  app.get("/metrics", async (request, reply) => {
    demand(grantOf(service, request), "control", undefined);
    return reply.type(metrics.contentType).send(await metrics.scrape());
  });
  app.get<{ Params: { mix: string; file: string } }>("/snapshot/:mix/:file", async (request, reply) => {
    const { mix, file } = request.params;
    demand(grantOf(service, request), "play", mix);
    const view = /^(.+)\.jpg$/.exec(file)?.[1];
    if (view === undefined) throw new NotFoundError("a snapshot's name ends in .jpg");
    const picture = await snapshots.take(mix, view);
    return reply.type("image/jpeg").header("cache-control", "no-store").send(Buffer.from(picture.data));
  });
}

/** One static file that loads nothing: the policy allows its own script and style by their hashes, and no more. */
function addPage(app: FastifyInstance): void {
  const page = readFileSync(PAGE, "utf8");
  const hash = (tag: string): string => {
    const inside = new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`).exec(page)?.[1] ?? "";
    return `'sha256-${createHash("sha256").update(inside).digest("base64")}'`;
  };
  const policy = [
    "default-src 'none'",
    `script-src ${hash("script")}`,
    `style-src ${hash("style")}`,
    "img-src 'self' blob: data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
  app.get("/", async (_request, reply) =>
    reply
      .type("text/html; charset=utf-8")
      .headers({ "content-security-policy": policy, "x-content-type-options": "nosniff" })
      .send(page),
  );
}

function addUnsupported(app: FastifyInstance, routes: readonly string[]): void {
  for (const route of routes) {
    for (const url of [`/${route}`, `/${route}/*`]) {
      app.all(url, async (_request, reply) => {
        const message = `/${route} is not supported yet; docs/not-supported.md lists what is not`;
        const info = { code: "ERR_NOT_SUPPORTED", fault: "caller", retryable: false, message };
        return reply.code(501).send({ error: info });
      });
    }
  }
}

/** @throws {UnauthorizedError} `ERR_UNAUTHORIZED` */
const grantOf = (service: Service, request: FastifyRequest): Grant =>
  service.tokens.check(bearer(request.headers.authorization));

const mediaType = (): unknown => ({
  error: {
    code: "ERR_INVALID_ARGUMENT",
    fault: "caller",
    retryable: false,
    message: "send application/json",
  },
});

const STATUS: Readonly<Record<string, number>> = {
  ERR_INVALID_ARGUMENT: 400,
  ERR_UNAUTHORIZED: 401,
  ERR_FORBIDDEN: 403,
  ERR_NOT_FOUND: 404,
  ERR_LIMIT: 413,
  ERR_NOT_SUPPORTED: 501,
  ERR_BUSY: 503,
};

/** HTTP's own refusals; those of RPC are in its answers. */
function refuse(error: unknown, reply: FastifyReply, log?: Logger): FastifyReply {
  const status = statusOf(error);
  if (status >= 500 && !(error instanceof TesseraError))
    log?.error({ err: error }, "HTTP request failed by a bug");
  if (status === 401) void reply.header("www-authenticate", "Bearer");
  const info = errorInfo(error);
  const told = error instanceof TesseraError ? info : { ...info, ...foreign(status) };
  return reply.code(status).send({ error: told });
}

function statusOf(error: unknown): number {
  if (error instanceof TesseraError) return STATUS[error.code] ?? 500;
  const status = error instanceof Error && "statusCode" in error ? Number(error.statusCode) : 500;
  return status >= 400 && status < 600 ? status : 500;
}

/** What fastify refuses by itself: bodies that are too long, of another type, or broken. */
function foreign(status: number): Record<string, unknown> {
  if (status >= 500) return { message: "this request failed by a bug of ours; the log has more" };
  return { code: status === 413 ? "ERR_LIMIT" : "ERR_INVALID_ARGUMENT", fault: "caller" };
}
