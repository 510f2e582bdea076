import { type ChildProcess, spawn } from "node:child_process";
import { extname } from "node:path";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import type { DestinationRules } from "../core/destinations.ts";
import {
  errorInfo,
  InternalError,
  MediaInvalidError,
  PeerLostError,
  PeerUnreachableError,
  RemoteError,
} from "../core/error.ts";
import { redactUrl } from "../core/log.ts";
import { type Micros, ms, us } from "../core/time.ts";
import type { Clock } from "../media/clock.ts";
import { Link } from "../media/link.ts";
import type { Packet } from "../media/packet.ts";
import { PacketPipeReader } from "../transport/packet-pipe-reader.ts";
import type { Ingest } from "./ingest.ts";
import { planPull } from "./pull-plan.ts";
import { PULL_STREAM, type PullOpened, type PullRequest } from "./pull-request.ts";
import { StampTracker } from "./timestamps.ts";

/** A network input that FFmpeg opens. */
export interface PullOptions {
  /** rtmp, rtmps, rtsp, rtsps, srt, http or https. */
  readonly url: string;
  /** The mix clock; it must run. */
  readonly clock: Clock;
  /** Which addresses may be connected to, redirects and playlists included. */
  readonly destinations: DestinationRules;
  /** From the start to the first packet; 10 s if absent. */
  readonly openTimeoutMs?: number;
  /** From one packet to the next; 5 s if absent. */
  readonly stallTimeoutMs?: number;
  /** Its abort is a {@link Ingest.close}. */
  readonly signal?: AbortSignal;
}

/** Its program; from source it is TypeScript, built it is not. */
const CHILD = fileURLToPath(new URL(`./pull-child${extname(import.meta.url)}`, import.meta.url));
/** How much of an unread live input is kept. */
const LIVE_BOUNDS = { maxMs: 5000, maxBytes: 32 * 2 ** 20 } as const;
/** How much of what FFmpeg said is kept to explain a failure. */
const MAX_REASON_CHARS = 2000;

/**
 * Opens a network input in a process of its own, which is killed when it does not open or goes silent in time, and at
 * once on close. The connection is made when the iteration begins, so failures come there.
 *
 * @throws {NotSupportedError} `ERR_NOT_SUPPORTED` for a scheme that is not pulled.
 * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` for what is no URL with a host.
 */
export function openPull(options: PullOptions): Ingest {
  const { isLive } = planPull(options.url, 0);
  return new PullIngest(options, isLive);
}

class PullIngest implements Ingest {
  readonly #options: PullOptions;
  readonly #isLive: boolean;
  readonly #link: Link;
  #tracker = new StampTracker();
  readonly #stop = new AbortController();
  #child: ChildProcess | undefined;
  #said = "";
  #isOpen = false;
  #isFinite: boolean;
  /** When something last came, or was last waited for by us rather than by the reader. */
  #activeUs: Micros = us(0);
  #failure: Error | undefined;

  constructor(options: PullOptions, isLive: boolean) {
    this.#options = options;
    this.#isLive = isLive;
    this.#isFinite = !isLive;
    this.#link = new Link({ ...LIVE_BOUNDS, overflow: isLive ? "drop-to-key" : "wait" });
    options.signal?.addEventListener("abort", () => void this.close(), { once: true });
    if (options.signal?.aborted) this.#stop.abort();
  }

  get dropped(): number {
    return this.#link.dropped;
  }

  get isFinite(): boolean {
    return this.#isFinite;
  }

  close(): Promise<void> {
    this.#stop.abort();
    this.#child?.kill("SIGKILL");
    this.#link.abort();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Packet, void, undefined> {
    if (this.#stop.signal.aborted) return;
    const running = this.#run();
    try {
      yield* this.#link;
      await running;
      if (this.#failure !== undefined) throw this.#failure;
    } finally {
      await this.close();
      await running;
    }
  }

  /** Runs the child to its end and leaves in `#failure` why, if that was no regular one. Never rejects. */
  async #run(): Promise<void> {
    const watching = this.#watch();
    const exited = Promise.withResolvers<string>();
    try {
      const child = this.#spawn();
      child.once("error", (error) => exited.resolve(error.message));
      child.once("exit", (code, signal) => exited.resolve(signal ?? `exit ${code}`));
      await using pipe = new PacketPipeReader(child.stdio[3] as Duplex);
      void this.#learn(pipe);
      const died = exited.promise.then((how) => this.#fail(new PeerLostError(`its reader died: ${how}`)));
      await this.#receive(pipe).catch((error: unknown) =>
        this.#explain(error, pipe.isClosed ? died : undefined),
      );
    } catch (error) {
      this.#fail(error instanceof Error ? error : new InternalError(String(error)));
    } finally {
      this.#stop.abort();
      this.#child?.kill("SIGKILL");
      this.#link.end();
      await watching;
    }
  }

  /** Hears what the child says of the input. */
  async #learn(pipe: PacketPipeReader): Promise<void> {
    for await (const text of pipe.controls) {
      const opened = JSON.parse(text) as PullOpened;
      this.#isFinite = opened.isFinite;
      this.#tracker = new StampTracker(opened.wrapUs ?? undefined);
      this.#activeUs = this.#options.clock.now();
    }
  }

  #spawn(): ChildProcess {
    const { url, destinations, stallTimeoutMs = 5000 } = this.#options;
    const child = spawn(process.execPath, [CHILD], {
      stdio: ["pipe", "ignore", "pipe", "pipe"],
      env: trustEnvironment(),
    });
    this.#child = child;
    const request: PullRequest = { url, destinations, ioTimeoutUs: stallTimeoutMs * 2000 };
    child.stdin?.on("error", () => undefined); // It died; its exit says so.
    child.stdin?.write(`${JSON.stringify(request)}\n`);
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#said = (this.#said + text).slice(-MAX_REASON_CHARS);
    });
    return child;
  }

  async #receive(pipe: PacketPipeReader): Promise<void> {
    const { clock } = this.#options;
    for await (const packet of pipe.open(PULL_STREAM, { clock })) {
      this.#isOpen = true;
      this.#activeUs = clock.now();
      const { ptsUs, dtsUs, discontinuity } = this.#tracker.track(packet.kind, packet);
      this.#link.push({ ...packet, ptsUs, dtsUs, ...(discontinuity ? { discontinuity } : {}) });
      if (this.#isLive) continue;
      await this.#link.drained();
      this.#activeUs = clock.now();
    }
  }

  /** Kills the child when it takes too long to open, or goes silent. */
  async #watch(): Promise<void> {
    const { clock, openTimeoutMs = 10_000, stallTimeoutMs = 5000 } = this.#options;
    this.#activeUs = clock.now();
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const limit = ms(this.#isOpen ? stallTimeoutMs : openTimeoutMs);
      const due = us(this.#activeUs + limit);
      if (clock.now() < due || this.#isHeldBack()) {
        const until = this.#isHeldBack() ? us(clock.now() + limit) : due;
        await clock.sleepUntil(until, signal).catch(() => undefined);
        continue;
      }
      const waited = `nothing came for ${limit / 1000} ms`;
      const why = this.#isOpen ? new PeerLostError(waited) : new PeerUnreachableError(waited);
      this.#fail(why);
      this.#child?.kill("SIGKILL");
      return;
    }
  }

  /** True while nothing comes because nobody reads here. */
  #isHeldBack(): boolean {
    return !this.#isLive && this.#link.heldMs > LIVE_BOUNDS.maxMs;
  }

  #fail(why: Error): void {
    if (!this.#stop.signal.aborted) this.#failure ??= why;
  }

  /** Leaves a child's error with what FFmpeg said last, and without what a URL must not tell. */
  async #explain(error: unknown, died: Promise<void> | undefined): Promise<void> {
    await died; // A pipe that closes before its stream has ended is a dead child.
    const last = this.#said.trim().split("\n").at(-1) ?? "";
    const said = last.replace(/[a-z]+:\/\/\S+/gi, (url) => redactUrl(url));
    const info = errorInfo(error);
    const message = said === "" ? info.message : `${info.message} (${said})`;
    if (info.code === "ERR_MEDIA_INVALID") this.#fail(new MediaInvalidError(message));
    else this.#fail(new RemoteError({ ...info, message }));
  }
}

/** What says whose certificates a process trusts: the system's store, and what the operator adds to Node's list. */
const TRUST = ["NODE_USE_SYSTEM_CA", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/** The whole environment of a child: FFmpeg would follow proxies that are named in the rest. */
const trustEnvironment = (): NodeJS.ProcessEnv => ({
  NODE_USE_SYSTEM_CA: "1",
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => TRUST.includes(name))),
});
