import { connect, createServer, type Server, type Socket } from "node:net";

/**
 * What a {@link FaultyPeer} does with its connections.
 * - `pass`: forwards both ways.
 * - `mute`: accepts and reads, and answers nothing.
 * - `deaf`: forwards what the server says, and stops reading the client: its send buffer fills.
 * - `stall`: moves nothing either way, and keeps every connection open.
 */
export type Behaviour = "pass" | "mute" | "deaf" | "stall";

/**
 * A TCP proxy on loopback in front of a real server, that can go wrong in the ways networks and servers do.
 * It counts bytes, so that a test can prove that the fault bit: bytes before it, none after.
 */
export class FaultyPeer implements AsyncDisposable {
  /** Where clients connect; kept over {@link refuse}. */
  readonly port: number;
  readonly #upstreamPort: number | undefined;
  #server: Server | undefined;
  #behaviour: Behaviour = "pass";
  readonly #pairs = new Set<{ client: Socket; upstream: Socket | undefined }>();
  #accepted = 0;
  #fromClients = 0;
  #toClients = 0;

  /** @param upstreamPort the real server on loopback; without one it can only be `mute`, `deaf` or `stall`. */
  static async open(upstreamPort?: number, behaviour: Behaviour = "pass"): Promise<FaultyPeer> {
    const server = createServer({ pauseOnConnect: true });
    const port = await listen(server, 0);
    const peer = new FaultyPeer(port, upstreamPort);
    peer.#adopt(server);
    peer.behave(behaviour);
    return peer;
  }

  private constructor(port: number, upstreamPort: number | undefined) {
    this.port = port;
    this.#upstreamPort = upstreamPort;
  }

  /** Connections that were accepted so far. */
  get accepted(): number {
    return this.#accepted;
  }
  /** Connections that are open now. */
  get open(): number {
    return this.#pairs.size;
  }
  /** Bytes read from clients so far. */
  get bytesFromClients(): number {
    return this.#fromClients;
  }
  /** Bytes sent to clients so far. */
  get bytesToClients(): number {
    return this.#toClients;
  }

  /** Changes what open and coming connections meet, at once. */
  behave(behaviour: Behaviour): void {
    this.#behaviour = behaviour;
    for (const pair of this.#pairs) this.#obey(pair.client, pair.upstream);
  }

  /** Closes every open connection; `reset` sends RST, as a crashed host's router does. */
  drop(how: "close" | "reset" = "close"): void {
    for (const { client, upstream } of this.#pairs) {
      if (how === "reset") client.resetAndDestroy();
      else client.destroy();
      upstream?.destroy();
    }
  }

  /** Closes the port: new connections are refused. Open ones go on. */
  async refuse(): Promise<void> {
    this.#server?.close();
    this.#server = undefined;
  }

  /** Opens the port again after {@link refuse}. */
  async accept(): Promise<void> {
    if (this.#server) return;
    const server = createServer({ pauseOnConnect: true });
    this.#adopt(server);
    await listen(server, this.port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.refuse();
    this.drop();
  }

  #adopt(server: Server): void {
    this.#server = server;
    server.on("connection", (client) => this.#connect(client));
  }

  #connect(client: Socket): void {
    this.#accepted += 1;
    const upstream = this.#upstreamPort === undefined ? undefined : connect(this.#upstreamPort, "127.0.0.1");
    const pair = { client, upstream };
    this.#pairs.add(pair);
    client.on("data", (bytes) => {
      this.#fromClients += bytes.length;
      if (this.#behaviour !== "mute") upstream?.write(bytes);
    });
    upstream?.on("data", (bytes) => {
      if (this.#behaviour === "mute") return;
      this.#toClients += bytes.length;
      client.write(bytes);
    });
    const end = (): void => {
      this.#pairs.delete(pair);
      client.destroy();
      upstream?.destroy();
    };
    for (const socket of [client, upstream]) socket?.on("close", end).on("error", end);
    this.#obey(client, upstream);
  }

  #obey(client: Socket, upstream: Socket | undefined): void {
    const readsClient = this.#behaviour === "pass" || this.#behaviour === "mute";
    const readsUpstream = this.#behaviour !== "stall";
    if (readsClient) client.resume();
    else client.pause();
    if (readsUpstream) upstream?.resume();
    else upstream?.pause();
  }
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject).listen(port, "127.0.0.1", () => {
      const address = server.address();
      resolve(typeof address === "object" && address ? address.port : -1);
    });
  });
}

/** Stops a process where it stands, connections open and silent, until it is disposed. */
export class Frozen implements Disposable {
  readonly #pid: number;

  constructor(pid: number) {
    this.#pid = pid;
    process.kill(pid, "SIGSTOP");
  }

  [Symbol.dispose](): void {
    try {
      process.kill(this.#pid, "SIGCONT");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}
