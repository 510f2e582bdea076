import type { Duplex } from "node:stream";
import { Channel } from "../core/channel.ts";
import { LimitError, PeerLostError, ProtocolError, TesseraError } from "../core/error.ts";
import { ms } from "../core/time.ts";
import { encodeFrame, FrameParser, type PipeFrame } from "./packet-frame.ts";

/** Media of one stream that may be on its way, unconsumed. */
export const CREDIT_US: number = ms(2000);
export const CREDIT_BYTES: number = 4 << 20;
const MAX_CONTROLS = 1024;

/** One end of a packet pipe: frames over any byte stream, which it owns. */
export abstract class PacketPipeEnd implements AsyncDisposable {
  /** Settles when the pipe is gone, never rejects; undefined if it was ended in an orderly way. */
  readonly closed: Promise<TesseraError | undefined>;
  readonly #stream: Duplex;
  readonly #parser = new FrameParser();
  readonly #ended = Promise.withResolvers<TesseraError | undefined>();
  readonly #controls = new Channel<string>(MAX_CONTROLS);
  #isClosed = false;

  constructor(stream: Duplex) {
    this.#stream = stream;
    this.closed = this.#ended.promise;
    stream.on("data", (data: Buffer) => this.#onData(data));
    stream.on("error", (cause) => this.#finish(new PeerLostError("packet pipe broke", { cause })));
    stream.on("end", () => this.#finish(undefined));
    stream.on("close", () => this.#finish(undefined));
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Texts from the other end, in order; ends with the pipe. One reader. */
  get controls(): AsyncIterable<string> {
    return this.#controls;
  }

  /** Sends a text to the other end. Small and rare: nothing holds it back. */
  control(text: string): void {
    this.send({ type: "control", text });
  }

  /** Closes the pipe and all its streams. Idempotent, never rejects. */
  close(reason?: TesseraError): Promise<void> {
    this.#finish(reason);
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  protected abstract onFrame(frame: PipeFrame): void;
  protected abstract onClosed(reason: TesseraError | undefined): void;

  protected send(frame: PipeFrame): void {
    if (this.#isClosed) return;
    this.#stream.cork();
    for (const part of encodeFrame(frame)) this.#stream.write(part);
    this.#stream.uncork();
  }

  #onData(data: Buffer): void {
    if (this.#isClosed) return;
    try {
      for (const frame of this.#parser.push(data)) this.#take(frame);
    } catch (error) {
      const typed = error instanceof TesseraError;
      this.#finish(typed ? error : new ProtocolError("packet pipe: unreadable", { cause: error }));
    }
  }

  #take(frame: PipeFrame): void {
    if (frame.type !== "control") {
      this.onFrame(frame);
      return;
    }
    if (!this.#controls.push(frame.text)) throw new LimitError("packet pipe: controls pile up");
  }

  #finish(reason: TesseraError | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    // An orderly end still flushes what was written.
    if (reason === undefined) this.#stream.end();
    else this.#stream.destroy();
    this.onClosed(reason);
    this.#ended.resolve(reason);
    this.#controls.close();
  }
}

/** The machine's monotonic clock, which all its processes share. */
export const machineUs = (): number => Number(process.hrtime.bigint() / 1000n);
