import type { MixEventBody } from "../contract/events.ts";
import type { OutputSpec } from "../contract/output-spec.ts";
import type { OutputState, OutputStatus } from "../contract/status.ts";
import type { Identified, MixSummary } from "../contract/worker.ts";
import { type ErrorInfo, errorInfo, MediaInvalidError, PeerUnreachableError } from "../core/error.ts";
import type { Micros } from "../core/time.ts";
import type { Egress, EgressEvent } from "../egress/egress.ts";
import { Recording } from "../egress/file.ts";
import type { Packet } from "../media/packet.ts";
import { RateMeter } from "../media/stats.ts";
import type { PacketTaker } from "./packet-takers.ts";

/** What an output needs of its mix. */
export interface OutputContext {
  now(): Micros;
  emit(event: MixEventBody): void;
}

/**
 * One output: takes what its encoders give, hands it to its egress, and tells the mix what becomes of it. It never
 * waits for its peer.
 */
export class Output implements PacketTaker {
  /** What it is now; `output.update` replaces it. */
  spec: Identified<OutputSpec>;
  readonly #egress: Egress;
  readonly #context: OutputContext;
  readonly #video = new RateMeter();
  readonly #audio = new RateMeter();
  readonly #watching: Promise<void>;
  readonly #over = Promise.withResolvers<void>();
  #isClosing = false;
  #state: OutputState = "connecting";
  #error: ErrorInfo | undefined;
  #sinceUs: Micros;
  #path: string | undefined;
  #isPaused = false;

  constructor(spec: Identified<OutputSpec>, egress: Egress, context: OutputContext) {
    this.spec = spec;
    this.#egress = egress;
    this.#context = context;
    this.#sinceUs = context.now();
    this.#watching = this.#watch();
  }

  get state(): OutputState {
    return this.#isPaused ? "paused" : this.#state;
  }

  /** True once nothing more will come out of it. */
  get isOver(): boolean {
    return this.#state === "failed" || this.#state === "ended";
  }

  /** Settles when it is over before it was closed. Never rejects. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** Files never lose a picture to a slow encoder. */
  get keepsAll(): boolean {
    return this.spec.kind === "file";
  }

  take(packet: Packet): void {
    if (this.isOver) return;
    const meter = packet.kind === "video" ? this.#video : this.#audio;
    meter.add(this.#context.now(), packet.data.byteLength);
    this.#egress.push(packet);
  }

  lost(error: ErrorInfo): void {
    if (this.isOver) return;
    this.#become("failed", error);
    this.#context.emit({ type: "output.failed", output: this.spec.id, error });
    void this.#egress.close();
  }

  /** The recording behind it, if it is one. */
  get recording(): Recording | undefined {
    return this.#egress instanceof Recording ? this.#egress : undefined;
  }

  pause(): void {
    this.#isPaused = true;
    this.recording?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.recording?.resume();
  }

  drained(): Promise<void> {
    return this.#egress.drained();
  }

  /** Finishes: what is queued is written out. Never rejects. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#egress.close();
    await this.#watching;
  }

  status(): OutputStatus {
    const { bytes, frames, dropped, droppedBy, retries } = this.#egress.stats();
    const video = this.#video.read(this.#context.now());
    const audio = this.#audio.read(this.#context.now());
    return {
      id: this.spec.id,
      kind: this.spec.kind,
      state: this.state,
      ...(this.#error === undefined ? {} : { error: this.#error }),
      fps: video.perSecond,
      bitrateBps: Math.round(video.bitsPerSecond + audio.bitsPerSecond),
      dropped,
      droppedBy,
      retries,
      sinceUs: this.#sinceUs,
      frames,
      bytes,
      ...(this.#path === undefined ? {} : { path: this.#path }),
    };
  }

  summary(): MixSummary["outputs"][number] {
    const path = this.#path === undefined ? {} : { path: this.#path };
    const error = this.#error === undefined ? {} : { error: this.#error };
    const complete = this.#state === "ended" && this.#error === undefined;
    return { id: this.spec.id, complete, ...path, ...error };
  }

  async #watch(): Promise<void> {
    for await (const event of this.#egress.events) this.#follow(event);
  }

  #follow(event: EgressEvent): void {
    const output = this.spec.id;
    switch (event.type) {
      case "part":
        this.#path = event.path;
        this.#context.emit({ ...event, type: "recording.part", output });
        break;
      case "finished":
        this.#context.emit({ ...event, type: "recording.finished", output });
        break;
      case "partFailed":
        this.#context.emit({ ...event, type: "recording.failed", output });
        break;
      case "retrying":
        this.#tell("retrying", { ...event, type: "output.retrying", output }, event.error);
        break;
      case "failed":
        this.#tell("failed", { ...event, type: "output.failed", output }, event.error);
        break;
      default:
        this.#tell(event.type, { type: `output.${event.type}`, output });
    }
  }

  #tell(state: OutputState, event: MixEventBody, error?: ErrorInfo): void {
    if (this.#state === "failed") return;
    this.#become(state, error ?? (state === "ended" ? this.#unreached() : undefined));
    this.#context.emit(event);
  }

  /** Why it ended without its peer: what it last heard of it. Undefined if the peer was there to the end. */
  #unreached(): ErrorInfo | undefined {
    if (this.#state !== "connecting" && this.#state !== "retrying") return undefined;
    if (this.#error !== undefined) return this.#error;
    return errorInfo(
      this.spec.kind === "file"
        ? new MediaInvalidError("there was nothing to record")
        : new PeerUnreachableError("the peer did not answer before the end"),
    );
  }

  #become(state: OutputState, error: ErrorInfo | undefined): void {
    this.#state = state;
    this.#error = error;
    this.#sinceUs = this.#context.now();
    if (this.isOver && !this.#isClosing) this.#over.resolve();
  }
}
