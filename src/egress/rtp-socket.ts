import { createSocket, type Socket } from "node:dgram";

/** Bytes that may wait for the kernel in one socket before packets are dropped instead. */
const MAX_QUEUED_BYTES = 1 << 20;

/** One UDP socket per address family and process, for everybody who only sends. */
const shared = new Map<4 | 6, SharedSocket>();

/**
 * A socket that many senders share: 500 listeners need one file descriptor, not 500. Taken with {@link take},
 * given back with {@link release}; the last one out closes it.
 */
export class SharedSocket {
  readonly #family: 4 | 6;
  readonly #socket: Socket;
  #users = 0;

  private constructor(family: 4 | 6) {
    this.#family = family;
    // Addresses are resolved before; the default lookup costs more than the send.
    const lookup = (
      host: string,
      _options: unknown,
      done: (error: null, address: string, family: number) => void,
    ): void => done(null, host, family);
    this.#socket = createSocket({ type: family === 4 ? "udp4" : "udp6", lookup });
    this.#socket.on("error", () => {}); // Of one receiver's route, and no reason to stop for the others.
    this.#socket.unref();
  }

  /** @param family of the address to send to. */
  static take(family: 4 | 6): SharedSocket {
    const socket = shared.get(family) ?? new SharedSocket(family);
    shared.set(family, socket);
    socket.#users += 1;
    return socket;
  }

  /** Sends one datagram; false if it was dropped because the kernel is behind. Parts are not copied. */
  send(parts: readonly Uint8Array[], port: number, address: string): boolean {
    if (this.#socket.getSendQueueSize() > MAX_QUEUED_BYTES) return false;
    this.#socket.send(parts, port, address, ignore);
    return true;
  }

  /** Gives it back. What is queued is still sent. */
  release(): void {
    this.#users -= 1;
    if (this.#users > 0) return;
    shared.delete(this.#family);
    // Behind the sends that were made in this turn of the loop.
    setImmediate(() => this.#socket.close());
  }
}

/** A datagram that could not be sent is a lost one. */
const ignore = (): void => {};
