import type { Duplex } from "node:stream";
import { type ErrorInfo, ProtocolError } from "../core/error.ts";
import { type Micros, us } from "../core/time.ts";
import type { Clock } from "../media/clock.ts";
import type { Packet } from "../media/packet.ts";
import type { PipeFrame } from "./packet-frame.ts";
import { CREDIT_BYTES, CREDIT_US, machineUs, PacketPipeEnd } from "./packet-pipe-end.ts";

/** The end that has packets to give: the control process, or a child that reads one network input. */
export class PacketPipeWriter extends PacketPipeEnd {
  readonly #clock: Clock;
  readonly #streams = new Map<number, PacketPipeStream>();
  #nextStream = 1;

  /** @param clock the one on which the packets' `arrivalUs` stands. */
  constructor(stream: Duplex, options: { readonly clock: Clock }) {
    super(stream);
    this.#clock = options.clock;
  }

  /**
   * Begins one attempt at a source.
   *
   * @param source what the reader will ask for: `{mix}/{source}` on a worker's pipe.
   */
  open(source: string): PacketPipeStream {
    const number = this.#nextStream++;
    const stream = new PacketPipeStream(
      (packet) => this.send({ type: "packet", stream: number, packet: this.#onMachineTime(packet) }),
      (error) => {
        this.#streams.delete(number);
        this.send({ type: "end", stream: number, ...(error === undefined ? {} : { error }) });
      },
    );
    if (this.isClosed) {
      stream.lost();
      return stream;
    }
    this.#streams.set(number, stream);
    this.send({ type: "open", stream: number, source });
    return stream;
  }

  protected override onFrame(frame: PipeFrame): void {
    if (frame.type === "credit") this.#streams.get(frame.stream)?.credit(frame.packets);
    else if (frame.type === "close") {
      this.#streams.get(frame.stream)?.lost();
      this.#streams.delete(frame.stream);
    } else throw new ProtocolError(`packet pipe: ${frame.type} from the reader`);
  }

  protected override onClosed(): void {
    for (const stream of this.#streams.values()) stream.lost();
    this.#streams.clear();
  }

  #onMachineTime(packet: Packet): Packet {
    return { ...packet, arrivalUs: us(machineUs() - (this.#clock.now() - packet.arrivalUs)) };
  }
}

/**
 * The writer's handle of one attempt at a source. Bounded by credit: 2 s of media or 4 MB may be unconsumed.
 *
 * Await {@link ready} before reading more of the source: that pauses this source only.
 */
export class PacketPipeStream {
  /** Settles when the reader wants no more of it or the pipe is gone; after {@link end} too. Never rejects. */
  readonly closed: Promise<void>;
  readonly #write: (packet: Packet) => void;
  readonly #finish: (error: ErrorInfo | undefined) => void;
  readonly #ended = Promise.withResolvers<void>();
  readonly #unconsumed: { readonly dtsUs: Micros; readonly bytes: number }[] = [];
  #bytes = 0;
  #isClosed = false;
  #room: PromiseWithResolvers<void> | undefined;

  /** Made by {@link PacketPipeWriter.open}. */
  constructor(write: (packet: Packet) => void, finish: (error: ErrorInfo | undefined) => void) {
    this.#write = write;
    this.#finish = finish;
    this.closed = this.#ended.promise;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** True while the reader has too much of it unconsumed. */
  get isFull(): boolean {
    const [first, last] = [this.#unconsumed[0], this.#unconsumed.at(-1)];
    if (first === undefined || last === undefined || this.#isClosed) return false;
    // A stream whose stamps jumped back or far ahead is measured in bytes alone.
    const heldUs = last.dtsUs - first.dtsUs;
    return this.#bytes > CREDIT_BYTES || (heldUs > CREDIT_US && this.#unconsumed.length > MIN_CREDIT_PACKETS);
  }

  /** Sends a packet, whether there is credit or not; dropped without a trace once it is closed. */
  push(packet: Packet): void {
    if (this.#isClosed) return;
    this.#unconsumed.push({ dtsUs: packet.dtsUs, bytes: packet.data.byteLength });
    this.#bytes += packet.data.byteLength;
    this.#write(packet);
  }

  /** Settles when there is credit, or the stream is closed. Never rejects. */
  ready(): Promise<void> {
    if (!this.isFull) return Promise.resolve();
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  /** The source has ended, or broken with `error`. The reader gets what was sent, then that. Idempotent. */
  end(error?: ErrorInfo): void {
    if (this.#isClosed) return;
    this.#finish(error);
    this.lost();
  }

  /** For the pipe: the reader consumed so many packets. */
  credit(packets: number): void {
    for (const { bytes } of this.#unconsumed.splice(0, packets)) this.#bytes -= bytes;
    if (!this.isFull) this.#release();
  }

  /** For the pipe: nobody takes it any more. */
  lost(): void {
    this.#isClosed = true;
    this.#release();
    this.#ended.resolve();
  }

  #release(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }
}
/** Sparse sources, such as a slide every ten seconds, must not wait for their own reader's acknowledgement. */
const MIN_CREDIT_PACKETS = 8;
