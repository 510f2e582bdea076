import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { busyOwners, DECODING_SLOTS_FD } from "../../src/contract/decoding-slots.ts";
import type { MixEvent } from "../../src/contract/events.ts";
import type { MixStats, OutputStatus, SourceStatus } from "../../src/contract/status.ts";
import type { LayoutReceipt } from "../../src/contract/worker.ts";
import type { ErrorInfo } from "../../src/core/error.ts";
import { Folder } from "../kit/folder.ts";
import { type Exit, freePort, NODE, Program, until } from "../kit/process.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const START_MS = 40_000;

/** What only a bug writes to the log, in control or in a worker. */
const BROKEN = /unhandled|uncaught|TypeError|ReferenceError|AssertionError|failed by a bug|FATAL ERROR/i;

/** An answer of JSON-RPC as it came. */
export interface Answer {
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly result?: any;
  readonly error?: {
    readonly code: number | string;
    readonly message: string;
    readonly data?: ErrorInfo & { pointer?: string };
  };
}

/** A mix as `mix.get` gives it, as far as these tests read it. */
export interface MixInfo {
  readonly state: string;
  readonly revision: number;
  readonly restarts: number;
  readonly atUs: number;
  readonly error?: ErrorInfo;
  readonly sources: readonly { readonly id: string; readonly state: string; readonly publishUrl?: string }[];
  readonly outputs: readonly { readonly id: string; readonly state: string }[];
}

export interface ServedOptions {
  readonly args?: readonly string[];
  readonly token?: string;
  /** Kept over restarts; a fresh folder without it. */
  readonly data?: string;
  readonly httpPort?: number;
  readonly rtmpPort?: number;
  readonly maxMs?: number;
}

/**
 * `tessera serve` with its real workers, as users start it, with every event of it since the start. Disposal checks
 * what must hold at any time: nothing in the log that only a bug writes, no codec in the control process, and every
 * event of a mix in its place.
 */
export class Served implements AsyncDisposable {
  readonly program: Program;
  readonly url: string;
  readonly httpPort: number;
  readonly rtmpPort: number;
  readonly data: string;
  readonly #token: string | undefined;
  readonly #folder: Folder | undefined;
  #events: EventStream | undefined;

  private constructor(
    program: Program,
    ports: [number, number],
    data: string,
    folder: Folder | undefined,
    token?: string,
  ) {
    this.program = program;
    [this.httpPort, this.rtmpPort] = ports;
    this.url = `http://127.0.0.1:${this.httpPort}`;
    this.data = data;
    this.#folder = folder;
    this.#token = token;
  }

  static async start(options: ServedOptions = {}): Promise<Served> {
    const folder = options.data === undefined ? new Folder() : undefined;
    const data = options.data ?? folder?.path ?? "";
    const ports: [number, number] = [
      options.httpPort ?? (await freePort()),
      options.rtmpPort ?? (await freePort()),
    ];
    const doors = ["--http", `127.0.0.1:${ports[0]}`, "--rtmp", `127.0.0.1:${ports[1]}`, "--data", data];
    const secret = options.token === undefined ? [] : ["--token", options.token];
    const argv = [MAIN, "serve", ...doors, ...secret, ...(options.args ?? [])];
    const program = await Program.start(NODE, argv, { maxMs: options.maxMs ?? 150_000 });
    await program.waitFor(/Tessera runs at http/, START_MS);
    const served = new Served(program, ports, data, folder, options.token);
    served.#events = await EventStream.open(served.url, options.token);
    return served;
  }

  /** Everything that happened, in order. */
  get events(): readonly MixEvent[] {
    return this.#events?.events ?? [];
  }

  /** The answer to one request, whatever it is. */
  async send(method: string, params: unknown = {}, token = this.#token): Promise<Answer> {
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const response = await fetch(`${this.url}/rpc`, {
      method: "POST",
      headers: { "content-type": "application/json", ...authorization },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
    return (await response.json()) as Answer;
  }

  /** The result of one request. @throws if it is refused. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  async call(method: string, params: unknown = {}): Promise<any> {
    const { result, error } = await this.send(method, params);
    if (error === undefined) return result;
    throw new Error(`${method}: ${JSON.stringify(error)}\nlog: ${this.program.stderr.slice(-3000)}`);
  }

  mix(mix: string): Promise<MixInfo> {
    return this.call("mix.get", { mix });
  }

  stats(mix: string): Promise<MixStats> {
    return this.call("mix.stats", { mix });
  }

  async sourceStats(mix: string, source: string): Promise<SourceStatus> {
    const found = (await this.stats(mix)).sources.find(({ id }) => id === source);
    if (found === undefined) throw new Error(`no statistics of source ${source}`);
    return found;
  }

  async outputStats(mix: string, output: string): Promise<OutputStatus> {
    const found = (await this.stats(mix)).outputs.find(({ id }) => id === output);
    if (found === undefined) throw new Error(`no statistics of output ${output}`);
    return found;
  }

  layout(mix: string, view = "main"): Promise<LayoutReceipt> {
    return this.call("layout.get", { mix, view });
  }

  /** Events of one mix and type, about this source, output or view if it is given. */
  eventsOf<T extends MixEvent["type"]>(
    mix: string,
    type: T,
    about?: string,
  ): Extract<MixEvent, { type: T }>[] {
    const isIt = (event: MixEvent): event is Extract<MixEvent, { type: T }> =>
      event.type === type && event.mix === mix && (about === undefined || subjectOf(event) === about);
    return this.events.filter(isIt);
  }

  /** Waits for the `nth` such event. */
  async happened<T extends MixEvent["type"]>(
    mix: string,
    type: T,
    about?: string,
    { nth = 1, withinMs = 20_000 } = {},
  ): Promise<Extract<MixEvent, { type: T }>> {
    return await until(
      `${type} ${about ?? ""} number ${nth} in mix ${mix}; log: ${this.program.stderr.slice(-800)}`,
      () => this.eventsOf(mix, type, about)[nth - 1],
      withinMs,
    );
  }

  /** Waits until a recording or push has sent so many pictures. */
  async sent(mix: string, output: string, frames: number, withinMs = 30_000): Promise<OutputStatus> {
    let last: MixStats | undefined;
    const enough = async (): Promise<OutputStatus | undefined> => {
      last = await this.stats(mix);
      return last.outputs.find((one) => one.id === output && one.frames >= frames);
    };
    try {
      return await until(`${frames} pictures in ${output}`, enough, withinMs);
    } catch (cause) {
      const log = this.program.stderr.slice(-2000);
      throw new Error(`not ${frames} pictures in ${output}: ${JSON.stringify(last)} log: ${log}`, { cause });
    }
  }

  /** A recording's file. */
  recording(name: string): string {
    return join(this.data, "recordings", name);
  }

  /** Its worker processes, the warm one too. */
  workers(): number[] {
    return childrenOf(this.program.pid).filter((pid) => commandOf(pid).includes("worker-main"));
  }

  /** The worker that has this recording open. */
  async workerWriting(name: string): Promise<number> {
    const path = this.recording(name);
    return await until(`a worker that writes ${name}`, () =>
      this.workers().find((pid) => hasOpen(pid, path)),
    );
  }

  /** True if the worker is inside a decoder of this source: what it notes for its control process to read. */
  isDecoding(pid: number, source: string): boolean {
    try {
      const slots = readFileSync(`/proc/${pid}/fd/${DECODING_SLOTS_FD}`);
      return busyOwners(slots).some((owner) => owner.source === source);
    } catch {
      return false;
    }
  }

  /** Ends it in order, as an operator does, and checks it. */
  async stop(): Promise<Exit> {
    const maps = this.#maps();
    const exit = await this.program.stop("SIGTERM", 20_000);
    this.#check(maps);
    return exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const maps = this.#maps();
    this.#events?.close();
    const workers = this.program.hasExited ? [] : this.workers();
    await this.program[Symbol.asyncDispose]();
    await until("no worker is left", () => workers.every((pid) => commandOf(pid) === ""), 5000);
    this.#folder?.[Symbol.dispose]();
    this.#check(maps);
  }

  #maps(): string {
    return this.program.hasExited ? "" : readOr(`/proc/${this.program.pid}/maps`);
  }

  #check(maps: string): void {
    if (this.#events?.fault !== undefined) throw new Error(this.#events.fault);
    const said = BROKEN.exec(this.program.stderr);
    if (said !== null) {
      const around = this.program.stderr.slice(Math.max(0, said.index - 600), said.index + 2000);
      throw new Error(`the log holds what only a bug writes: ${around}`);
    }
    const loaded = maps.split("\n").find((line) => /node[-_]av|libav(codec|format|util)|sharp/.test(line));
    if (loaded !== undefined) throw new Error(`the control process has loaded ${loaded}`);
  }
}

/** Events over a WebSocket, with their numbers checked: a gap or a repetition is an error. */
class EventStream {
  readonly events: MixEvent[] = [];
  /** What was wrong with their numbers, first of all. */
  fault: string | undefined;
  readonly #socket: WebSocket;
  /** The last number of each mix. */
  readonly #numbers = new Map<string, number>();

  static async open(url: string, token: string | undefined): Promise<EventStream> {
    const protocols = token === undefined ? ["tessera"] : ["tessera", `bearer.${token}`];
    const socket = new WebSocket(`${url.replace("http", "ws")}/rpc`, protocols);
    const stream = new EventStream(socket);
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve);
      socket.addEventListener("error", () => reject(new Error("no WebSocket")));
    });
    const subscribed = Promise.withResolvers<void>();
    socket.addEventListener("message", () => subscribed.resolve(), { once: true });
    socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "events.subscribe", params: {} }));
    await subscribed.promise;
    return stream;
  }

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => {
      const message = JSON.parse(String(data)) as { method?: string; params?: MixEvent };
      if (message.method === "event" && message.params !== undefined) this.#take(message.params);
    });
  }

  #take(event: MixEvent): void {
    const { mix, seq, type } = event;
    const before = this.#numbers.get(mix) ?? seq - 1;
    if (seq !== before + 1) this.fault ??= `event ${seq} (${type}) of mix ${mix} came after ${before}`;
    // Another mix may have its id afterwards, and counts from the beginning.
    if (type === "mix.closed") this.#numbers.delete(mix);
    else this.#numbers.set(mix, seq);
    this.events.push(event);
  }

  close(): void {
    this.#socket.close();
  }
}

/** Whom an event tells of. */
function subjectOf(event: MixEvent): string | undefined {
  if ("source" in event) return event.source;
  if ("output" in event) return event.output;
  return "view" in event ? event.view : undefined;
}

const readOr = (file: string): string => {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
};

/** What a process runs; empty if it is gone. */
export const commandOf = (pid: number): string => readOr(`/proc/${pid}/cmdline`);

const childrenOf = (pid: number): number[] =>
  readdirSync(`/proc/${pid}/task`)
    .flatMap((task) => readOr(`/proc/${pid}/task/${task}/children`).split(" "))
    .filter((child) => child !== "")
    .map(Number);

function hasOpen(pid: number, path: string): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => linkOf(`/proc/${pid}/fd/${fd}`) === path);
  } catch {
    return false;
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
