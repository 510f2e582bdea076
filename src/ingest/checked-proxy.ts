import { lookup } from "node:dns/promises";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type DestinationPolicy, literalAddress } from "../core/destinations.ts";
import { ForbiddenError, PeerUnreachableError, TesseraError } from "../core/error.ts";

/**
 * Resolves `host` and returns the address to connect to: the one that was checked.
 *
 * @throws {ForbiddenError} `ERR_FORBIDDEN` if the policy refuses one of the host's addresses.
 * @throws {PeerUnreachableError} `ERR_PEER_UNREACHABLE` if it cannot be resolved.
 */
export async function checkedAddress(host: string, policy: DestinationPolicy): Promise<string> {
  const literal = literalAddress(host);
  const found = literal === undefined ? await resolve(host) : [literal];
  policy.check(host, found);
  const [first] = found;
  if (first === undefined) throw new PeerUnreachableError(`${host} has no address`);
  return first;
}

async function resolve(host: string): Promise<string[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch (cause) {
    throw new PeerUnreachableError(`${host} cannot be resolved`, { cause });
  }
}

/**
 * An HTTP proxy on loopback for FFmpeg, which opens http, https, rtmps and rtsps through it: so each redirect and each
 * address in a playlist is checked, and the checked address is the one connected to (RFC 9110 §3.7, §9.3.6).
 */
export class CheckedProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #policy: DestinationPolicy;
  readonly #sockets = new Set<Duplex>();
  #failure: TesseraError | undefined;

  private constructor(policy: DestinationPolicy) {
    this.#policy = policy;
    this.#server = createServer((incoming, response) => void this.#forward(incoming, response));
    this.#server.on(
      "connect",
      (incoming, socket: Duplex, head: Buffer) => void this.#tunnel(incoming, socket, head),
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
      const address = await checkedAddress(bare(target.hostname), this.#policy);
      const { method, headers } = incoming;
      const port = target.port === "" ? 80 : Number(target.port);
      const path = target.pathname + target.search;
      const outgoing = request({ host: address, port, method, path, headers, setHost: false });
      outgoing.on("response", (answer) => {
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

  async #tunnel(incoming: IncomingMessage, client: Duplex, head: Buffer): Promise<void> {
    this.#keep(client);
    try {
      const target = URL.parse(`http://${incoming.url ?? ""}`);
      if (target === null) throw new ForbiddenError("no destination");
      const address = await checkedAddress(bare(target.hostname), this.#policy);
      const peer = await dial(address, target.port === "" ? 80 : Number(target.port));
      this.#keep(peer);
      client.write("HTTP/1.1 200 OK\r\n\r\n");
      peer.write(head);
      client.on("close", () => peer.destroy()).pipe(peer);
      peer.on("close", () => client.destroy()).pipe(client);
    } catch (error) {
      client.end(`HTTP/1.1 ${this.#statusOf(error)} -\r\n\r\n`);
    }
  }

  #keep(socket: Duplex): void {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
  }

  #statusOf(error: unknown): number {
    const known = error instanceof TesseraError;
    this.#failure = known ? error : new PeerUnreachableError(wordsOf(error), { cause: error });
    return error instanceof ForbiddenError ? 403 : 502;
  }
}

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const bare = (hostname: string): string => hostname.replace(/^\[|\]$/g, "");

async function dial(host: string, port: number): Promise<Socket> {
  const socket = connect({ host, port });
  const { promise, resolve: connected, reject } = Promise.withResolvers<void>();
  socket.once("connect", connected).once("error", reject);
  await promise;
  return socket;
}
