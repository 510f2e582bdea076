import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { errorInfo, LimitError, NotFoundError, TesseraError } from "../core/error.ts";
import type { EventFilter, Subscription } from "../service/events.ts";
import type { Service } from "../service/service.ts";
import { wallMs } from "../service/time.ts";
import { type Grant, isOver } from "../service/tokens.ts";
import { bearer, type Guard } from "./guard.ts";
import type { RpcContext, RpcHandler } from "./server.ts";

const MAX_MESSAGE_BYTES = 8 << 20;
const MAX_SOCKETS = 1000;
/** Requests of one socket that are being worked on; more wait in the kernel. */
const MAX_PENDING = 64;
const MAX_SUBSCRIPTIONS = 64;
const PING_MS = 20_000;
/** Wall time may be set, and a timer holds 24 days at most, so the end of a token is looked for this often. */
const TOKEN_CHECK_MS = 60_000;
const STATUS: Readonly<Record<string, number>> = {
  ERR_UNAUTHORIZED: 401,
  ERR_FORBIDDEN: 403,
  ERR_NOT_FOUND: 404,
};
/** RFC 6455 §7.4.1 and §7.4.2. */
const GOING_AWAY = 1001;
const TRY_AGAIN_LATER = 1013;
const TOO_SLOW = 4001;
/** "Unauthorized" in IANA's registry of WebSocket close codes. */
const UNAUTHORIZED = 3000;
/** Browsers cannot send headers with a WebSocket: `new WebSocket(url, ["tessera", "bearer.TOKEN"])`. */
const PROTOCOL = "tessera";

export interface RpcSocketOptions {
  readonly service: Service;
  readonly rpc: RpcHandler;
}

/** JSON-RPC over WebSockets at `/rpc`, with events for whoever subscribes. */
export class RpcSockets {
  readonly #options: RpcSocketOptions;
  readonly #guard: Guard;
  readonly #server: WebSocketServer;

  constructor(options: RpcSocketOptions, guard: Guard) {
    this.#options = options;
    this.#guard = guard;
    this.#server = new WebSocketServer({
      noServer: true,
      maxPayload: MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
      handleProtocols: (offered) => (offered.has(PROTOCOL) ? PROTOCOL : false),
    });
  }

  /** Takes over an HTTP upgrade, or refuses it. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => undefined);
    try {
      this.#guard.check(request.headers);
      const path = URL.parse(request.url ?? "", "http://host")?.pathname;
      if (path !== "/rpc") throw new NotFoundError("there is a WebSocket at /rpc only");
      if (this.#server.clients.size >= MAX_SOCKETS) throw new LimitError("too many WebSockets");
      const grant = this.#options.service.tokens.check(tokenOf(request));
      this.#server.handleUpgrade(request, socket, head, (client) => {
        new RpcSocket(client, grant, this.#options).run();
      });
    } catch (error) {
      const code = error instanceof TesseraError ? error.code : "";
      refuse(socket, STATUS[code] ?? 503, errorInfo(error).message);
    }
  }

  close(): void {
    for (const client of this.#server.clients) client.close(GOING_AWAY, "the node is stopping");
    setTimeout(() => {
      for (const client of this.#server.clients) client.terminate();
    }, 500).unref();
    this.#server.close();
  }
}

/** One connection. It ends with its token's time, and when it does not read its events: nobody waits for it. */
class RpcSocket {
  readonly #client: WebSocket;
  readonly #grant: Grant;
  readonly #options: RpcSocketOptions;
  readonly #context: RpcContext;
  readonly #subscriptions = new Set<Subscription>();
  #pending = 0;
  #answered = true;
  #expiry: NodeJS.Timeout | undefined;

  constructor(client: WebSocket, grant: Grant, options: RpcSocketOptions) {
    this.#client = client;
    this.#grant = grant;
    this.#options = options;
    const subscribe = (filter: EventFilter): void => this.#subscribe(filter);
    this.#context = { service: options.service, grant, subscribe };
  }

  run(): void {
    const client = this.#client;
    const heartbeat = setInterval(() => this.#ping(), PING_MS);
    this.#expire();
    client.on("pong", () => (this.#answered = true));
    client.on("error", () => client.terminate());
    client.on("message", (data, isBinary) => void this.#receive(String(data), isBinary));
    client.once("close", () => {
      clearInterval(heartbeat);
      clearTimeout(this.#expiry);
      for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
    });
  }

  async #receive(text: string, isBinary: boolean): Promise<void> {
    if (isBinary) return this.#client.close(1003, "send text");
    this.#pending += 1;
    if (this.#pending >= MAX_PENDING) this.#client.pause();
    const answer = await this.#options.rpc.handle(text, this.#context, "ws");
    this.#pending -= 1;
    if (this.#client.readyState !== this.#client.OPEN) return;
    if (this.#client.isPaused && this.#pending < MAX_PENDING / 2) this.#client.resume();
    if (answer !== undefined) await this.#send(answer);
  }

  #subscribe(filter: EventFilter): void {
    if (this.#subscriptions.size >= MAX_SUBSCRIPTIONS)
      throw new LimitError("this socket has too many subscriptions");
    const subscription = this.#options.service.hub.subscribe(filter);
    this.#subscriptions.add(subscription);
    void this.#forward(subscription);
  }

  /** Waits for the kernel to take each event; what comes meanwhile is queued, bounded, in the subscription. */
  async #forward(subscription: Subscription): Promise<void> {
    for await (const event of subscription) {
      await this.#send(JSON.stringify({ jsonrpc: "2.0", method: "event", params: event }));
      if (subscription.lagged) break;
    }
    this.#subscriptions.delete(subscription);
    if (this.#client.readyState !== this.#client.OPEN) return;
    if (subscription.lagged) this.#drop();
    else this.#client.close(TRY_AGAIN_LATER, "the node is stopping");
  }

  /** Says why, and does not wait for a peer that reads nothing to hear it. */
  #drop(): void {
    this.#client.close(TOO_SLOW, "events were not read fast enough");
    setTimeout(() => this.#client.terminate(), 1000).unref();
  }

  /** Ends requests and events alike when the token does. */
  #expire(): void {
    const { untilMs } = this.#grant;
    if (untilMs === undefined) return;
    if (isOver(this.#grant)) this.#client.close(UNAUTHORIZED, "the token's time is over");
    else this.#expiry = setTimeout(() => this.#expire(), Math.min(untilMs - wallMs(), TOKEN_CHECK_MS));
  }

  #send(text: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#client.send(text, () => resolve());
    return promise;
  }

  #ping(): void {
    if (this.#answered) this.#client.ping();
    else this.#client.terminate();
    this.#answered = false;
  }
}

function tokenOf(request: IncomingMessage): string | undefined {
  const offered = String(request.headers["sec-websocket-protocol"] ?? "").split(/ *, */);
  const inProtocol = offered.find((one) => one.startsWith("bearer."))?.slice("bearer.".length);
  return bearer(request.headers.authorization) ?? inProtocol;
}

function refuse(socket: Duplex, status: number, text: string): void {
  socket.end(
    `HTTP/1.1 ${status} ${text.replace(/[^\x20-\x7e]/g, "")}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
  );
}
