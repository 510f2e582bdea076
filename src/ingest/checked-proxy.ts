import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import { TLSSocket } from "node:tls";
import type { DestinationPolicy } from "../core/destinations.ts";
import { ForbiddenError, PeerUnreachableError, TesseraError, wordsOf } from "../core/error.ts";
import { bareHost } from "../core/host.ts";
import { checkedDial, checkedRoute } from "./checked-dial.ts";
import { loopbackContext } from "./loopback-certificate.ts";

/**
 * An HTTP proxy on loopback for FFmpeg, which opens http, https and rtmps through it: so each redirect and each
 * address in a playlist is checked, and the checked address is the one connected to (RFC 9110 §3.7, §9.3.6).
 *
 * TLS ends here, both ways: FFmpeg's options for it do not reach what a playlist names, so FFmpeg checks nothing on
 * the way to this proxy, in its own process, and Node checks the peer's certificate and name on the way out.
 */
export class CheckedProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #policy: DestinationPolicy;
  readonly #sockets = new Set<Socket>();
  readonly #identity = loopbackContext();
  #failure: TesseraError | undefined;
  #sawLength = false;

  private constructor(policy: DestinationPolicy) {
    this.#policy = policy;
    this.#server = createServer((incoming, response) => void this.#forward(incoming, response));
    this.#server.on(
      "connect",
      (incoming, socket: Socket, head: Buffer) => void this.#tunnel(incoming, socket, head),
    );
    this.#server.on("clientError", (_, socket) => socket.destroy());
  }

  /** Listens on a free port of loopback. */
  static async open(policy: DestinationPolicy): Promise<CheckedProxy> {
    const proxy = new CheckedProxy(policy);
    const { promise, resolve: listening, reject } = Promise.withResolvers<void>();
    proxy.#server.once("error", reject).listen(0, "127.0.0.1", listening);
    await promise;
    return proxy;
  }

  /** For FFmpeg's environment variable `http_proxy`. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Why the last destination that could not be reached could not: FFmpeg is only told a status. */
  get failure(): TesseraError | undefined {
    return this.#failure;
  }

  /** True if the newest answer told how long its content is (RFC 9110 §8.6). */
  get sawLength(): boolean {
    return this.#sawLength;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve: closed } = Promise.withResolvers<void>();
    this.#server.close(() => closed());
    this.#server.closeAllConnections();
    for (const socket of this.#sockets) socket.destroy();
    await promise;
  }

  /** A request in absolute form, RFC 9112 §3.2.2. */
  async #forward(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const target = URL.parse(incoming.url ?? "");
      if (target?.protocol !== "http:") throw new ForbiddenError("only http is forwarded");
      const route = await checkedRoute(bareHost(target.hostname), this.#policy);
      const { method, headers } = incoming;
      const port = target.port === "" ? 80 : Number(target.port);
      const path = target.pathname + target.search;
      const outgoing = request({ ...route, port, method, path, headers, setHost: false });
      outgoing.on("response", (answer) => {
        this.#sawLength = answer.headers["content-length"] !== undefined;
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.on("error", () => response.destroy()).pipe(response);
      });
      outgoing.on("error", (error) => {
        if (response.headersSent) response.destroy();
        else response.writeHead(this.#statusOf(error)).end();
      });
      response.on("close", () => outgoing.destroy());
      incoming.on("error", () => outgoing.destroy()).pipe(outgoing);
    } catch (error) {
      response.writeHead(this.#statusOf(error)).end();
    }
  }

  /** FFmpeg asks for tunnels for TLS alone. */
  async #tunnel(incoming: IncomingMessage, client: Socket, head: Buffer): Promise<void> {
    this.#keep(client);
    try {
      const target = URL.parse(`http://${incoming.url ?? ""}`);
      if (target === null) throw new ForbiddenError("no destination");
      const port = target.port === "" ? 80 : Number(target.port);
      const peer = this.#keep(await checkedDial({ host: target.hostname, port, secure: true }, this.#policy));
      client.write("HTTP/1.1 200 OK\r\n\r\n");
      if (head.length > 0) client.unshift(head);
      const inner = this.#keep(new TLSSocket(client, { isServer: true, secureContext: this.#identity }));
      peer.once("data", (begin: Buffer) => {
        this.#sawLength = hasLength(begin);
      });
      for (const way of [pipeline(inner, peer), pipeline(peer, inner)]) way.catch(() => undefined);
    } catch (error) {
      client.end(`HTTP/1.1 ${this.#statusOf(error)} -\r\n\r\n`);
    }
  }

  #keep<S extends Socket>(socket: S): S {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
    return socket;
  }

  #statusOf(error: unknown): number {
    const known = error instanceof TesseraError;
    this.#failure = known ? error : new PeerUnreachableError(wordsOf(error), { cause: error });
    return error instanceof ForbiddenError ? 403 : 502;
  }
}

/** True if the header of a response tells the length of its content. */
function hasLength(begin: Buffer): boolean {
  const [header = ""] = begin.toString("latin1").split("\r\n\r\n", 1);
  return /^content-length:/im.test(header);
}
