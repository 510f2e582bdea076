import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { setImmediate } from "node:timers/promises";
import { MediaInvalidError, PeerUnreachableError } from "../core/error.ts";
import { us } from "../core/time.ts";
import type { Clock } from "../media/clock.ts";
import type { Packet } from "../media/packet.ts";
import { Demuxer, type DemuxerOptions } from "../native/demuxer.ts";
import { FilePass } from "./file-pass.ts";
import { CONTAINER_FORMATS } from "./formats.ts";
import type { Ingest } from "./ingest.ts";

/** A regular file as an input. */
export interface FileOptions {
  readonly path: string;
  readonly clock: Clock;
  /** Begin again at the end, for ever; the stamps go on. */
  readonly loop?: boolean;
  /** Read on the calling thread: cheaper, and right only where nobody else waits for it (virtual clock). */
  readonly sync?: boolean;
  /** Its abort is a {@link Ingest.close}. */
  readonly signal?: AbortSignal;
}

/** After so many packets a sync reader lets the event loop turn: node-av frees what was collected only there. */
const SYNC_PACKETS = 64;

/**
 * Opens a regular file. It is touched when the iteration begins, so failures come there: `ERR_PEER_UNREACHABLE` if it
 * is not there or may not be read, `ERR_MEDIA_INVALID` if it holds no media.
 *
 * Stamps begin at 0 with the earliest picture or sound that is presented, encoder delay and edit lists taken into
 * account; a truncated file ends where its data ends. Packets are not paced: their reader is.
 */
export const openFile = (options: FileOptions): Ingest => new FileIngest(options);

class FileIngest implements Ingest {
  /** Files wait for their reader. */
  readonly dropped = 0;
  readonly isFinite: boolean;
  readonly #options: FileOptions;
  #demuxer: Demuxer | undefined;
  #closed = false;

  constructor(options: FileOptions) {
    this.#options = options;
    this.isFinite = options.loop !== true;
    options.signal?.addEventListener("abort", () => void this.close(), { once: true });
    if (options.signal?.aborted) this.#closed = true;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#demuxer?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Packet, void, undefined> {
    const { path, loop } = this.#options;
    await requireRegularFile(path);
    for (let offsetUs = us(0); !this.#closed; ) {
      const pass = new FilePass(offsetUs);
      try {
        yield* this.#play(pass);
      } finally {
        await this.#demuxer?.close();
      }
      if (!loop || this.#closed) return;
      // A file too short to advance time would spin.
      if (pass.endUs <= offsetUs) throw new MediaInvalidError(`${path} is too short to loop`);
      offsetUs = pass.endUs;
    }
  }

  async *#play(pass: FilePass): AsyncGenerator<Packet, void, undefined> {
    const { sync, clock, path } = this.#options;
    const wanted: DemuxerOptions = {
      url: `file:${resolve(path)}`,
      protocols: ["file"],
      formats: CONTAINER_FORMATS,
      clock,
    };
    const demuxer = sync ? Demuxer.openSync(wanted) : await Demuxer.open(wanted);
    this.#demuxer = demuxer;
    pass.begin(demuxer);
    for (let count = 1; !this.#closed; count++) {
      const packet = sync ? demuxer.readSync() : await demuxer.read();
      if (packet === undefined) break;
      if (sync && count % SYNC_PACKETS === 0) await setImmediate();
      yield* pass.take(packet);
    }
    if (this.#closed) return;
    yield* pass.end();
    if (demuxer.failure !== undefined && pass.isEmpty) throw demuxer.failure;
    if (pass.isEmpty) throw new MediaInvalidError("holds no packet that can be decoded");
  }
}

/** FIFOs, devices and folders could block for ever, or never end. */
async function requireRegularFile(path: string): Promise<void> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new PeerUnreachableError(`${path} cannot be read`, { cause });
  });
  if (!found.isFile()) throw new MediaInvalidError(`${path} is not a regular file`);
  if (found.size === 0) throw new MediaInvalidError(`${path} is empty`);
}
