import type { Socket } from "node:net";
import type { Micros } from "../core/time.ts";
import type { Clock } from "../media/clock.ts";

/** Bytes handed to the kernel at a time: small, so that a slow peer is seen to move. */
const SLICE_BYTES = 16_384;

/**
 * Writes to a socket in order, one slice in flight, so that it is known when the last byte moved.
 *
 * Node's own `bytesWritten` counts what was handed over, not what the kernel took. Does not own the socket.
 */
export class SocketWriter {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #queue: { readonly bytes: Uint8Array; at: number; readonly done: () => void }[] = [];
  #queuedBytes = 0;
  #movedUs: Micros;
  #ending = false;

  constructor(socket: Socket, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
    this.#movedUs = clock.now();
  }

  /** Bytes that the kernel has not taken yet. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** For how long something has been queued without a byte of it moving; 0 if nothing is. */
  stalledUs(): number {
    return this.#queuedBytes === 0 ? 0 : this.#clock.now() - this.#movedUs;
  }

  /** Settles when the kernel has taken all of `bytes`, or after {@link abandon}. The bytes are not copied. */
  write(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0 || this.#ending) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const idle = this.#queuedBytes === 0;
    this.#queue.push({ bytes, at: 0, done: resolve });
    this.#queuedBytes += bytes.length;
    if (idle) {
      this.#movedUs = this.#clock.now();
      this.#next();
    }
    return promise;
  }

  /** Ends the socket's writing side behind what is queued. */
  end(): void {
    this.#ending = true;
    if (this.#queue.length === 0) this.#socket.end();
  }

  /** The socket is gone: forgets what is queued. */
  abandon(): void {
    this.#ending = true;
    this.#queuedBytes = 0;
    for (const { done } of this.#queue.splice(0)) done();
  }

  #next(): void {
    const first = this.#queue[0];
    if (first === undefined) {
      if (this.#ending) this.#socket.end();
      return;
    }
    const slice = first.bytes.subarray(first.at, first.at + SLICE_BYTES);
    this.#socket.write(slice, (error) => {
      if (error || this.#queue[0] !== first) return; // The socket closes, and whoever owns it abandons this.
      this.#movedUs = this.#clock.now();
      this.#queuedBytes -= slice.length;
      first.at += slice.length;
      if (first.at === first.bytes.length) {
        this.#queue.shift();
        first.done();
      }
      this.#next();
    });
  }
}
