import { randomBytes } from "node:crypto";
import { ProtocolError } from "../core/error.ts";

/** Length of C1, S1, C2 and S2 (RTMP 1.0 §5.2.3). */
const BLOCK_BYTES = 1536;
const VERSION = 3;

/** What to do after bytes came in. */
export interface HandshakeStep {
  /** To be sent now, in order. */
  readonly send: readonly Buffer[];
  /** Set when the handshake is over: the bytes behind it, which are chunks. */
  readonly rest?: Buffer;
}

/**
 * The plain RTMP handshake, either role (RTMP 1.0 §5.2). Encrypted variants (RTMPE) are refused: RTMPS exists.
 *
 * Server: waits for C0+C1, sends S0+S1+S2, waits for C2. Client: sends C0+C1, waits for S0+S1, sends C2, waits
 * for S2. Holds at most 3073 bytes besides what one {@link push} brings.
 */
export class RtmpHandshake {
  readonly #role: "client" | "server";
  #held: Buffer = Buffer.alloc(0);
  #answered = false;

  constructor(role: "client" | "server") {
    this.#role = role;
  }

  /** What opens the handshake: C0+C1 for a client, nothing for a server. */
  start(): Buffer {
    return this.#role === "client" ? Buffer.concat([Buffer.from([VERSION]), firstBlock()]) : Buffer.alloc(0);
  }

  /**
   * Takes bytes of the peer.
   *
   * @throws {ProtocolError} `ERR_PROTOCOL` if the peer does not speak plain RTMP.
   */
  push(data: Uint8Array): HandshakeStep {
    this.#held = this.#held.length === 0 ? Buffer.from(data) : Buffer.concat([this.#held, data]);
    const send: Buffer[] = [];
    if (!this.#answered) {
      const version = this.#held[0];
      if (version !== undefined && version !== VERSION) throw new ProtocolError(`RTMP version ${version}`);
      if (this.#held.length < 1 + BLOCK_BYTES) return { send };
      const peerBlock = this.#take(1 + BLOCK_BYTES).subarray(1);
      if (this.#role === "server") send.push(Buffer.from([VERSION]), firstBlock());
      send.push(Buffer.from(peerBlock)); // S2 and C2 echo the other's block (§5.2.4).
      this.#answered = true;
    }
    if (this.#held.length < BLOCK_BYTES) return { send };
    this.#take(BLOCK_BYTES);
    return { send, rest: this.#held };
  }

  #take(length: number): Buffer {
    const taken = this.#held.subarray(0, length);
    this.#held = this.#held.subarray(length);
    return taken;
  }
}

/** Time 0 and version 0, which says "no digest", then random bytes. */
const firstBlock = (): Buffer => Buffer.concat([Buffer.alloc(8), randomBytes(BLOCK_BYTES - 8)]);
