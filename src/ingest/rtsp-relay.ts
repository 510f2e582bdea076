import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import type { DestinationPolicy } from "../core/destinations.ts";
import { TesseraError } from "../core/error.ts";
import { checkedDial, type Destination } from "./checked-dial.ts";
import { RtspGuard } from "./rtsp-guard.ts";

/** Ports of RFC 2326 §3.2 and RFC 7826 §4.2. */
const DEFAULT_PORT = { "rtsp:": 554, "rtsps:": 322 } as const;

/**
 * Stands on loopback between FFmpeg and one RTSP server: the address was checked, TLS is checked, and a redirect ends
 * the connection and is told in {@link failure} instead of followed.
 */
export class RtspRelay implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #destination: Destination;
  readonly #policy: DestinationPolicy;
  readonly #url: string;
  #failure: TesseraError | undefined;

  private constructor(url: string, destination: Destination, policy: DestinationPolicy) {
    this.#url = url;
    this.#destination = destination;
    this.#policy = policy;
    this.#server = createServer((client) => void this.#relay(client));
  }

  /** Listens on a free port of loopback; the server is connected to when FFmpeg connects. */
  static async open(url: string, policy: DestinationPolicy): Promise<RtspRelay> {
    const { protocol, hostname, port } = new URL(url);
    const secure = protocol === "rtsps:";
    const implied = DEFAULT_PORT[secure ? "rtsps:" : "rtsp:"];
    const destination = { host: hostname, port: port === "" ? implied : Number(port), secure };
    const relay = new RtspRelay(url, destination, policy);
    const { promise, resolve: listening, reject } = Promise.withResolvers<void>();
    relay.#server.once("error", reject).listen(0, "127.0.0.1", listening);
    await promise;
    return relay;
  }

  /** What FFmpeg opens: the server's URL with this relay in the place of host and port, and never TLS. */
  get url(): string {
    const { port } = this.#server.address() as AddressInfo;
    const [, user = "", path = ""] = /^[a-z]+:\/\/([^/?#]*@)?[^/?#]*(.*)$/is.exec(this.#url) ?? [];
    return `rtsp://${user}127.0.0.1:${port}${path}`;
  }

  /** Why the server could not be reached, or is not listened to any more. */
  get failure(): TesseraError | undefined {
    return this.#failure;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve: closed } = Promise.withResolvers<void>();
    this.#server.close(() => closed());
    for (const socket of this.#sockets) socket.destroy();
    await promise;
  }

  async #relay(client: Socket): Promise<void> {
    this.#keep(client);
    try {
      const peer = this.#keep(await checkedDial(this.#destination, this.#policy));
      const ways = [pipeline(client, peer), pipeline(peer, new RtspGuard(), client)];
      for (const way of ways) way.catch((error: unknown) => this.#fail(client, error));
    } catch (error) {
      this.#fail(client, error);
    }
  }

  #fail(client: Socket, error: unknown): void {
    // A connection that only breaks is FFmpeg's to report.
    if (error instanceof TesseraError) this.#failure ??= error;
    client.destroy();
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
    return socket;
  }
}
