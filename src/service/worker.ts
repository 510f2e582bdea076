import { type ChildProcess, fork } from "node:child_process";
import { closeSync } from "node:fs";
import type { Duplex } from "node:stream";
import { busyOwners, type SlotOwner } from "../contract/decoding-slots.ts";
import {
  type FromWorker,
  PACKET_PIPE_FD,
  type ToWorker,
  WORKER_SILENCE_MS,
  type WorkerMethod,
  type WorkerMethods,
} from "../contract/worker.ts";
import { Channel } from "../core/channel.ts";
import { assert, DeviceError, RemoteError } from "../core/error.ts";
import type { Logger } from "../core/log.ts";
import { Silence } from "./silence.ts";
import { openSlotFile, readSlotFile } from "./slot-file.ts";
import { within } from "./time.ts";

/** How to start workers; the same for all of a node. */
export interface WorkerOptions {
  /** Path of the module that a worker runs. */
  readonly entry: string;
  /** The worker's whole environment. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  /** {@link Silence} after which it is killed; default {@link WORKER_SILENCE_MS}. */
  readonly silenceMs?: number;
  /** Time it may take to say `ready`; default 20 s, for a cold disk. */
  readonly startMs?: number;
}

/** How a worker ended. `suspects` are the sources that it was decoding when it crashed or hung. */
export interface WorkerExit {
  readonly why: "stopped" | "crash" | "hang";
  readonly detail: string;
  readonly suspects: readonly SlotOwner[];
}

/** What a worker says about one of its mixes. */
export type MixMessage = Extract<FromWorker, { type: "event" | "done" }>;

/**
 * A change that takes longer than this means that the mix in the worker hangs, whatever else still answers. Far more
 * than an overloaded machine needs, where a restart would make everything worse.
 */
const CALL_MS = 60_000;
const CHECK_MS = 500;
/** Messages of one mix that control has not read; more means that the worker floods. */
const MAX_UNREAD = 50_000;

interface PendingCall {
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A worker's JavaScript heap is 20 MB beside hundreds of pictures in native memory, which come and go by the second and
 * are freed by us. V8 by default collects whenever 64 MB more of those are there: ten times a second, for a tenth of the
 * CPU. Counted with the heap, they make it collect when they have doubled.
 */
const HEAP_FLAGS = ["--external-memory-accounted-in-global-limit", "--external-memory-max-growing-factor=2"];

/**
 * One child process that hosts mixes. Control's side of `contract/worker.ts`.
 *
 *     starting -> ready -> closed (stopped | crash | hang)
 */
export class WorkerProcess implements AsyncDisposable {
  /** Settles when the process is gone; never rejects. */
  readonly closed: Promise<WorkerExit>;
  readonly #child: ChildProcess;
  readonly #log: Logger;
  readonly #slots: number;
  readonly #silence: Silence;
  readonly #calls = new Map<number, PendingCall>();
  readonly #channels = new Map<string, Channel<MixMessage>>();
  readonly #ready = Promise.withResolvers<void>();
  readonly #exit = Promise.withResolvers<WorkerExit>();
  #why: WorkerExit["why"] = "crash";
  #detail = "";
  #nextCall = 1;
  #isReady = false;
  #ended = false;

  private constructor(child: ChildProcess, slots: number, options: WorkerOptions) {
    this.#child = child;
    this.#slots = slots;
    this.#log = options.log.child({ worker: child.pid });
    this.#silence = new Silence(child.pid);
    this.closed = this.#exit.promise;
    this.#ready.promise.catch(() => undefined);
    child.on("message", (message) => this.#receive(message as FromWorker));
    child.once("error", (error) => this.#end(`could not be started: ${error.message}`));
    child.once("exit", (code, signal) => this.#end(signal === null ? `exit code ${code}` : signal));
    // A worker that dies with packets on the way is no news here: `exit` tells.
    this.packetPipe.on("error", () => undefined);
    this.#watch(options.silenceMs ?? WORKER_SILENCE_MS);
  }

  /**
   * Starts a worker and waits until it is ready.
   *
   * @param signal its abort kills the worker while it starts, and has no effect afterwards.
   * @throws {DeviceError} `ERR_DEVICE` if it cannot be started, dies first, or takes longer than `startMs`.
   */
  static async open(options: WorkerOptions, signal?: AbortSignal): Promise<WorkerProcess> {
    const slots = openSlotFile();
    const child = fork(options.entry, [], {
      env: options.env,
      execArgv: [...process.execArgv, ...HEAP_FLAGS],
      // Its own process group: a terminal's Ctrl-C reaches control alone, which then drains in order.
      detached: true,
      serialization: "advanced",
      stdio: ["ignore", 2, 2, "ipc", "pipe", slots],
    });
    const worker = new WorkerProcess(child, slots, options);
    const onAbort = (): void => worker.kill("stopped", "is not wanted any more");
    signal?.addEventListener("abort", onAbort, { once: true });
    const ready = worker.#ready.promise.then(
      () => "ready" as const,
      (error: Error) => error,
    );
    const outcome = await within(ready, options.startMs ?? 20_000, "late" as const);
    signal?.removeEventListener("abort", onAbort);
    if (outcome === "ready") return worker;
    worker.kill("hang", "did not get ready in time");
    await worker.closed;
    throw new DeviceError(outcome === "late" ? "a worker did not get ready in time" : outcome.message);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Where publishers' packets are written; see `transport/packet-pipe.ts`. Dies with the worker. */
  get packetPipe(): Duplex {
    const pipe = this.#child.stdio[PACKET_PIPE_FD];
    assert(pipe !== null && pipe !== undefined && "write" in pipe, "a worker has a packet pipe");
    return pipe as Duplex;
  }

  /**
   * Asks for `method` and waits for the answer.
   *
   * @param limitMs after that the worker counts as hung and is killed, so that a failed call has changed nothing.
   * @throws {RemoteError} the worker's error, or `ERR_INTERNAL` (retryable) if it died first.
   */
  async call<M extends WorkerMethod>(
    method: M,
    params: WorkerMethods[M]["params"],
    limitMs: number = CALL_MS,
  ): Promise<WorkerMethods[M]["result"]> {
    const answer = this.#ask(method, params);
    const result = await within(answer, limitMs, LATE);
    if (result !== LATE) return result;
    this.kill("hang", `did not answer ${method} within ${limitMs} ms`);
    return await answer;
  }

  /** As {@link call}, for questions that change nothing: gives `undefined` after `limitMs` and kills nobody. */
  async ask<M extends WorkerMethod>(
    method: M,
    params: WorkerMethods[M]["params"],
    limitMs: number,
  ): Promise<WorkerMethods[M]["result"] | undefined> {
    return await within(this.#ask(method, params), limitMs, undefined);
  }

  /** What the worker says of `mix` from now on; ends when the worker does. One reader per mix. */
  messages(mix: string): Channel<MixMessage> {
    const channel = new Channel<MixMessage>(MAX_UNREAD);
    this.#channels.get(mix)?.close();
    this.#channels.set(mix, channel);
    return channel;
  }

  /** Stops listening to `mix`. */
  forget(mix: string): void {
    this.#channels.get(mix)?.close();
    this.#channels.delete(mix);
  }

  /** Ends it at once. The first reason wins. */
  kill(why: "hang" | "stopped", detail: string): void {
    if (this.#detail === "") [this.#why, this.#detail] = [why, detail];
    this.#child.kill("SIGKILL");
  }

  /** Asks it to finish what it writes and to exit; kills it after `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    if (this.#detail === "") [this.#why, this.#detail] = ["stopped", "was asked to stop"];
    this.#send({ type: "stop" });
    const exit = await within(this.closed, graceMs, undefined);
    if (exit !== undefined) return;
    this.#log.warn({ graceMs }, "worker did not stop in time and is killed");
    this.#child.kill("SIGKILL");
    await this.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop(10_000);
  }

  #ask<M extends WorkerMethod>(
    method: M,
    params: WorkerMethods[M]["params"],
  ): Promise<WorkerMethods[M]["result"]> {
    const id = this.#nextCall++;
    const { promise, resolve, reject } = Promise.withResolvers<WorkerMethods[M]["result"]>();
    this.#calls.set(id, { resolve, reject });
    this.#send({ type: "call", id, method, params });
    return promise;
  }

  #send(message: ToWorker): void {
    // Not connected: `exit` follows and fails the call.
    if (this.#child.connected) this.#child.send(message, () => undefined);
    else if (message.type === "call") this.#fail(message.id, lost("the worker is gone"));
  }

  #receive(message: FromWorker): void {
    this.#silence.break();
    if (message.type === "ready") this.#becomeReady();
    else if (message.type === "answer") this.#settle(message);
    else if (message.type === "event" || message.type === "done") this.#forward(message);
  }

  #becomeReady(): void {
    this.#isReady = true;
    this.#ready.resolve();
  }

  #settle(answer: Extract<FromWorker, { type: "answer" }>): void {
    const call = this.#calls.get(answer.id);
    this.#calls.delete(answer.id);
    if (answer.error === undefined) {
      call?.resolve(answer.result as never);
      return;
    }
    // A worker's pointers lead into what control sent it, which no caller has seen.
    const { pointer: _, ...info } = answer.error;
    call?.reject(new RemoteError(info));
  }

  #fail(id: number, error: Error): void {
    this.#calls.get(id)?.reject(error);
    this.#calls.delete(id);
  }

  #forward(message: MixMessage): void {
    const channel = this.#channels.get(message.mix);
    if (channel === undefined || channel.push(message) || channel.closed) return;
    this.kill("hang", `flooded control with events of mix ${message.mix}`);
  }

  /** Counts only time in which control itself ran: after a suspend or a late turn, the worker gets its full time to speak. */
  #watch(silenceMs: number): void {
    const timer = setInterval(() => {
      // While it loads its code it says nothing, and `startMs` bounds that.
      if (!this.#isReady) return;
      this.#silence.pass(CHECK_MS);
      if (this.#silence.ms > silenceMs) this.kill("hang", `said nothing for ${silenceMs} ms`);
    }, CHECK_MS);
    timer.unref();
    void this.closed.then(() => clearInterval(timer));
  }

  #end(detail: string): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#detail === "") this.#detail = detail;
    // Who is killed from outside died of nobody's media.
    const wasKilled = this.#why === "stopped" || (this.#why === "crash" && FROM_OUTSIDE.includes(detail));
    const suspects = wasKilled ? [] : busyOwners(readSlotFile(this.#slots));
    closeSync(this.#slots);
    const exit: WorkerExit = { why: this.#why, detail: this.#detail, suspects };
    this.#log[exit.why === "stopped" ? "debug" : "error"](exit, "worker ended");
    this.#ready.reject(lost(`a worker died at its start: ${this.#detail}`));
    for (const id of [...this.#calls.keys()]) this.#fail(id, lost(`the worker died: ${this.#detail}`));
    for (const channel of this.#channels.values()) channel.close();
    this.#exit.resolve(exit);
  }
}

const FROM_OUTSIDE = ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"];
const LATE: unique symbol = Symbol("late");

const lost = (message: string): RemoteError =>
  new RemoteError({ code: "ERR_INTERNAL", fault: "bug", retryable: true, message });
