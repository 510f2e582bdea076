import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

/** A server of loopback that counts who comes, gone after disposal. */
export class LoopbackServer implements AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** TCP connections that were made so far. */
  connections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    const { address, port } = server.address() as AddressInfo;
    this.host = address;
    this.port = port;
    this.#server = server;
    server.on("connection", (socket) => {
      this.connections += 1;
      this.#sockets.add(socket.on("error", () => socket.destroy()));
    });
  }

  /** Answers HTTP, by TLS if there is a certificate. */
  static http(
    listener: RequestListener,
    tls?: { readonly cert: Buffer; readonly key: Buffer },
  ): Promise<LoopbackServer> {
    return LoopbackServer.#listen(
      tls === undefined ? createHttpServer(listener) : createHttpsServer(tls, listener),
    );
  }

  /** Accepts TCP, by default to say nothing. @param host another address of loopback, such as 127.0.0.2. */
  static tcp(onSocket: (socket: Socket) => void = () => undefined, host?: string): Promise<LoopbackServer> {
    return LoopbackServer.#listen(createServer(onSocket), host);
  }

  static async #listen(server: Server, host = "127.0.0.1"): Promise<LoopbackServer> {
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    return new LoopbackServer(server);
  }

  /** `host:port`. */
  get address(): string {
    return `${this.host}:${this.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
