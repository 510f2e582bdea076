import { Channel } from "../core/channel.ts";
import {
  type ErrorInfo,
  errorInfo,
  LimitError,
  PeerLostError,
  ProtocolError,
  RemoteError,
  type TesseraError,
} from "../core/error.ts";
import { us } from "../core/time.ts";
import type { Clock } from "../media/clock.ts";
import type { Packet } from "../media/packet.ts";
import type { PipeFrame } from "./packet-frame.ts";
import { CREDIT_BYTES, machineUs, PacketPipeEnd } from "./packet-pipe-end.ts";

/** Sources that the other end may open before somebody here asks for them. */
const MAX_UNCLAIMED = 256;

/** The end that wants packets: a worker. */
export class PacketPipeReader extends PacketPipeEnd {
  readonly #streams = new Map<number, PipeSource>();
  /** Per source, the newest attempt that has begun and nobody has claimed; oldest source first. */
  readonly #unclaimed = new Map<string, PipeSource>();
  /** Per source, claims that wait for an attempt. */
  readonly #waiting = new Map<string, PipeSource[]>();

  /**
   * The next attempt at a source: one that has begun, or else the one to come. Shaped like an `Ingest`.
   *
   * @param clock on which `arrivalUs` of its packets is to stand.
   */
  open(source: string, options: { readonly clock: Clock }): PipeSource {
    const begun = this.#unclaimed.get(source);
    if (begun !== undefined) {
      this.#unclaimed.delete(source);
      begun.claim(options.clock);
      return begun;
    }
    const waiting = new PipeSource(this.#backwards);
    waiting.claim(options.clock);
    if (this.isClosed) waiting.end(errorInfo(new PeerLostError("packet pipe is closed")));
    else this.#waiting.set(source, [...(this.#waiting.get(source) ?? []), waiting]);
    return waiting;
  }

  protected override onFrame(frame: PipeFrame): void {
    switch (frame.type) {
      case "open":
        this.#begin(frame.stream, frame.source);
        return;
      case "packet":
        this.#streams.get(frame.stream)?.push(frame.packet);
        return;
      case "end":
        this.#streams.get(frame.stream)?.end(frame.error);
        this.#streams.delete(frame.stream);
        return;
      default:
        throw new ProtocolError(`packet pipe: ${frame.type} from the writer`);
    }
  }

  protected override onClosed(reason: TesseraError | undefined): void {
    const error = errorInfo(reason ?? new PeerLostError("packet pipe was closed"));
    for (const source of this.#streams.values()) source.end(error);
    for (const waiting of this.#waiting.values()) for (const source of waiting) source.end(error);
    this.#streams.clear();
    this.#waiting.clear();
    this.#unclaimed.clear();
  }

  readonly #backwards: Backwards = {
    credit: (stream, packets) => this.send({ type: "credit", stream, packets }),
    close: (source, stream) => {
      if (stream !== undefined) {
        this.#streams.delete(stream);
        this.send({ type: "close", stream });
      }
      for (const [name, waiting] of this.#waiting) {
        const left = waiting.filter((one) => one !== source);
        if (left.length > 0) this.#waiting.set(name, left);
        else this.#waiting.delete(name);
      }
    },
  };

  #begin(stream: number, name: string): void {
    if (this.#streams.has(stream)) throw new ProtocolError("packet pipe: a stream was opened twice");
    let source = this.#waiting.get(name)?.shift();
    if (source === undefined) {
      source = new PipeSource(this.#backwards);
      this.#keepUnclaimed(name, source);
    }
    source.begin(stream);
    this.#streams.set(stream, source);
  }

  /** Of attempts that nobody asked for, the newest per source are kept, so that a claim gets what is alive. */
  #keepUnclaimed(name: string, source: PipeSource): void {
    void this.#unclaimed.get(name)?.close();
    this.#unclaimed.delete(name);
    this.#unclaimed.set(name, source);
    const [oldest] = this.#unclaimed;
    if (this.#unclaimed.size <= MAX_UNCLAIMED || oldest === undefined) return;
    void oldest[1].close();
    this.#unclaimed.delete(oldest[0]);
  }
}

interface Backwards {
  credit(stream: number, packets: number): void;
  close(source: PipeSource, stream: number | undefined): void;
}

/**
 * The reader's handle of one attempt at a source: an `Ingest`. Iterate once; consuming gives credit back.
 *
 * Ends where the source ended; throws its error where it broke, or `ERR_PEER_LOST` if the pipe did.
 */
export class PipeSource implements AsyncIterable<Packet>, AsyncDisposable {
  /** Always 0: a source that is not read is paused, not dropped. */
  readonly dropped = 0;
  /** Always false: an attempt's end is not its source's. */
  readonly isFinite = false;
  readonly #backwards: Backwards;
  #stream: number | undefined;
  #clock: Clock | undefined;
  readonly #queue = new Channel<Packet>();
  #bytes = 0;
  #consumed = 0;
  #error: ErrorInfo | undefined;

  /** Made by {@link PacketPipeReader}. */
  constructor(backwards: Backwards) {
    this.#backwards = backwards;
  }

  /** For the pipe: the attempt has begun. */
  begin(stream: number): void {
    this.#stream = stream;
  }

  /** For the pipe: somebody reads it, on this clock. */
  claim(clock: Clock): void {
    this.#clock = clock;
  }

  /** For the pipe. A writer that ignores its credit is cut off before it fills memory. */
  push(packet: Packet): void {
    if (!this.#queue.push(packet)) return;
    this.#bytes += packet.data.byteLength;
    if (this.#bytes <= 4 * CREDIT_BYTES || this.#queue.length <= 1) return;
    this.end(errorInfo(new LimitError("packet pipe: a writer ignores its credit")));
    this.#queue.close({ drop: true });
  }

  /** For the pipe. */
  end(error: ErrorInfo | undefined): void {
    if (this.#queue.closed) return;
    this.#error = error;
    this.#queue.close();
  }

  /** Ends the iteration at once and tells the writer to stop. Idempotent, never rejects. */
  close(): Promise<void> {
    if (!this.#queue.closed) this.#backwards.close(this, this.#stream);
    this.#error = undefined;
    this.#queue.close({ drop: true });
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Packet, void, undefined> {
    for await (const packet of this.#queue) {
      this.#bytes -= packet.data.byteLength;
      this.#acknowledge();
      yield this.#onMixTime(packet);
    }
    if (this.#error !== undefined) throw new RemoteError(this.#error);
  }

  /** In batches while there is more to read: one credit frame per packet would double the traffic. */
  #acknowledge(): void {
    this.#consumed += 1;
    const mayWait = this.#queue.length > 0 && this.#consumed < 16;
    if (this.#stream === undefined || this.#queue.closed || mayWait) return;
    this.#backwards.credit(this.#stream, this.#consumed);
    this.#consumed = 0;
  }

  #onMixTime(packet: Packet): Packet {
    if (this.#clock === undefined) return packet;
    return { ...packet, arrivalUs: us(this.#clock.now() - (machineUs() - packet.arrivalUs)) };
  }
}
