import { basename } from "node:path";
import { errorInfo, StorageError, type TesseraError } from "../core/error.ts";
import { type Micros, seconds, us } from "../core/time.ts";
import type { Clock } from "../media/clock.ts";
import type { DropCount } from "./drop-count.ts";
import type { EventQueue } from "./event-queue.ts";
import type { ManifestPart } from "./manifest.ts";
import type { Ending, Written } from "./recording-container.ts";
import { DeletedError, type PartFile, storageError } from "./recording-file.ts";
import type { RecordingFolder } from "./recording-folder.ts";
import type { Fragment, Part } from "./recording-part.ts";

/** A recording holds this much for a slow disk, then it alone fails. */
const MAX_HELD_US = seconds(10);
const MAX_HELD_BYTES = 64 * 2 ** 20;
/** How much a power cut may cost; a killed process costs nothing that was written. */
const SYNC_EVERY_US = seconds(2);
/** How far the manifest's numbers for an open part may lag. */
const NOTE_EVERY_US = seconds(10);

type Job =
  | { readonly type: "begin"; readonly part: Part }
  | { readonly type: "write"; readonly part: Part; readonly fragment: Fragment }
  | { readonly type: "end"; readonly part: Part };

/** The part that is on the disk now. */
interface OpenPart {
  readonly part: Part;
  readonly file: PartFile;
  durationUs: Micros;
  syncedUs: Micros;
  notedUs: Micros;
}

const writtenOf = ({ file, durationUs }: OpenPart): Written => ({ bytes: file.length, durationUs });

/** What a {@link RecordingWriter} needs for its life. */
export interface RecordingWriterOptions {
  /** Taken over: disposed when nothing more is written. */
  readonly folder: Promise<RecordingFolder>;
  readonly events: EventQueue;
  /** Told of every packet that reaches no file. */
  readonly drops: DropCount<"slow" | "late" | "failed">;
  readonly clock: Clock;
  /** Virtual clock: hold any amount, and say through {@link RecordingWriter.drained} when to go on. */
  readonly wait: boolean;
  /** Wall time of mix time 0, in milliseconds since the Unix epoch. */
  readonly startWallMs: number;
}

/**
 * Carries the bytes of parts to their files, in order, one file operation at a time, and tells what became of them.
 *
 * The caller never waits. What it hands over is bounded in media time and bytes; past that, and at any error of the
 * file system, the open part is cut to its last whole fragment and closed, and nothing more is taken.
 */
export class RecordingWriter {
  readonly #options: RecordingWriterOptions;
  readonly #done: Promise<void>;
  #jobs: Job[] = [];
  #heldBytes = 0;
  #newestUs = us(0);
  #oldestUs: Micros | undefined;
  #open: OpenPart | undefined;
  #lost: Part | undefined;
  #isLive = false;
  #ended = false;
  #failure: TesseraError | undefined;
  #wake: (() => void) | undefined;
  #drain: PromiseWithResolvers<void> | undefined;
  #bytes = 0;
  #frames = 0;

  constructor(options: RecordingWriterOptions) {
    this.#options = options;
    this.#done = this.#run().finally(() => this.#leave());
  }

  /** Bytes and pictures that reached a file. */
  get counts(): { readonly bytes: number; readonly frames: number } {
    return { bytes: this.#bytes, frames: this.#frames };
  }

  /** Set once nothing more is taken. */
  get failure(): TesseraError | undefined {
    return this.#failure;
  }

  /** The part whose file was deleted under it: what still comes for it is dropped, another one may begin. */
  get lost(): Part | undefined {
    return this.#lost;
  }

  begin(part: Part): void {
    this.#add({ type: "begin", part });
  }

  write(part: Part, fragment: Fragment): void {
    this.#heldBytes += fragment.bytes.byteLength;
    this.#newestUs = us(part.startUs + fragment.endUs);
    this.#oldestUs ??= this.#newestUs;
    this.#add({ type: "write", part, fragment });
    if (this.#isFull() && !this.#options.wait) this.fail(new StorageError(this.#tooSlow()), "slow");
  }

  end(part: Part): void {
    this.#add({ type: "end", part });
  }

  /** Settles when what is held is within its bound. */
  drained(): Promise<void> {
    if (!this.#isFull() || this.#failure !== undefined) return Promise.resolve();
    this.#drain ??= Promise.withResolvers<void>();
    return this.#drain.promise;
  }

  /** Nothing more comes; settles once all of it is on the disk, or the recording has failed. Never rejects. */
  finish(): Promise<void> {
    this.#ended = true;
    this.#wake?.();
    return this.#done;
  }

  /**
   * Gives up at once: what is held is dropped, the open file closed as soon as the file system lets go of it.
   *
   * @param why what is held counts as lost.
   */
  fail(error: TesseraError, why: "slow" | "failed" = "failed"): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    for (const job of this.#jobs) this.#drop(job, why);
    this.#jobs = [];
    this.#heldBytes = 0;
    this.#oldestUs = undefined;
    this.#drain?.resolve();
    this.#wake?.();
    this.#tellFailure(error);
  }

  #add(job: Job): void {
    if (this.#failure !== undefined) this.#drop(job);
    else this.#jobs.push(job);
    this.#wake?.();
  }

  #drop(job: Job, why: "slow" | "failed" = "failed"): void {
    if (job.type === "write") this.#options.drops.add(why, job.fragment.packets);
  }

  #isFull(): boolean {
    return this.#heldUs() > MAX_HELD_US || this.#heldBytes > MAX_HELD_BYTES;
  }

  #heldUs(): number {
    return this.#oldestUs === undefined ? 0 : this.#newestUs - this.#oldestUs;
  }

  #tooSlow(): string {
    const path = this.#open?.file.path ?? "the recording";
    const held = `${(this.#heldUs() / 1e6).toFixed(1)} s, ${(this.#heldBytes / 2 ** 20).toFixed(1)} MiB`;
    return `${path}: the disk is too slow, ${held} are waiting`;
  }

  async #run(): Promise<void> {
    try {
      await this.#options.folder;
      for (let job = await this.#next(); job !== undefined; job = await this.#next()) await this.#do(job);
      if (this.#failure === undefined) this.#options.events.emit({ type: "ended" });
    } catch (error) {
      await this.#abandon();
      this.fail(storageError(this.#open?.file.path ?? "recording", error));
      return;
    }
    await this.#abandon();
  }

  async #leave(): Promise<void> {
    const folder = await this.#options.folder.catch(() => undefined);
    folder?.[Symbol.dispose]();
  }

  async #next(): Promise<Job | undefined> {
    for (;;) {
      if (this.#failure !== undefined) return undefined;
      const job = this.#jobs.shift();
      if (job !== undefined || this.#ended) return job;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
  }

  async #do(job: Job): Promise<void> {
    if (job.part === this.#lost) return this.#settle(job, false);
    try {
      if (job.type === "begin") await this.#begin(job.part);
      else if (job.type === "write") await this.#write(job.fragment);
      else await this.#end();
      this.#settle(job, true);
    } catch (error) {
      this.#settle(job, false);
      if (!(error instanceof DeletedError)) throw error;
      await this.#lose(error);
    }
  }

  /** Takes a job off the books. */
  #settle(job: Job, written: boolean): void {
    if (job.type !== "write") return;
    if (!written) this.#drop(job);
    if (this.#failure !== undefined) return;
    this.#heldBytes -= job.fragment.bytes.byteLength;
    const next = this.#jobs.find((one) => one.type === "write");
    this.#oldestUs = next?.type === "write" ? us(next.part.startUs + next.fragment.endUs) : undefined;
    if (this.#isFull()) return;
    this.#drain?.resolve();
    this.#drain = undefined;
  }

  async #begin(part: Part): Promise<void> {
    const folder = await this.#options.folder;
    const file = await folder.create();
    const now = this.#options.clock.now();
    this.#open = { part, file, durationUs: us(0), syncedUs: now, notedUs: now };
    await file.append(part.header);
    this.#bytes += part.header.byteLength;
    await folder.note(this.#entry(this.#open, false));
    if (!this.#isLive) this.#options.events.emit({ type: "live" });
    this.#isLive = true;
    this.#options.events.emit({ type: "part", path: file.path, durationUs: 0, bytes: file.length });
  }

  async #write(fragment: Fragment): Promise<void> {
    const open = this.#open;
    if (open === undefined) return;
    await open.file.append(fragment.bytes);
    open.durationUs = fragment.endUs;
    this.#bytes += fragment.bytes.byteLength;
    this.#frames += fragment.frames;
    if (!this.#options.wait) await this.#keep(open);
  }

  /** Now and then: data to the platters, numbers to the manifest. */
  async #keep(open: OpenPart): Promise<void> {
    const now = this.#options.clock.now();
    if (now - open.syncedUs < SYNC_EVERY_US) return;
    open.syncedUs = now;
    await open.file.sync();
    if (now - open.notedUs < NOTE_EVERY_US) return;
    open.notedUs = now;
    await (await this.#options.folder).note(this.#entry(open, false));
  }

  async #end(): Promise<void> {
    const open = this.#open;
    if (open === undefined) return;
    const written = writtenOf(open);
    await open.file.patch(open.part.finish(written));
    const ending = open.part.ending(written);
    if (ending !== undefined) await this.#append(open.file, ending);
    await open.file.sync();
    await open.file.close();
    this.#open = undefined;
    const { durationUs, file } = open;
    this.#options.events.emit({ type: "finished", path: file.path, durationUs, bytes: file.length });
    await (await this.#options.folder).note(this.#entry(open, true));
  }

  /** Its index; a disk without room for it has all of the media all the same. */
  async #append(file: PartFile, { tail, patch }: Ending): Promise<void> {
    try {
      await file.append(tail);
    } catch {
      return;
    }
    await file.sync();
    await file.patch([patch]);
    this.#bytes += tail.byteLength;
  }

  /** The open file was deleted: say so, and take the next part. */
  async #lose(error: DeletedError): Promise<void> {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    this.#lost = open.part;
    await open.file.close();
    (await this.#options.folder).forget(open.file.path);
    this.#tellPartFailed(open, error);
  }

  /** After an error: whatever the file system still lets us do to leave a whole file behind. */
  async #abandon(): Promise<void> {
    const open = this.#open;
    if (open === undefined) return;
    await open.file.patch(open.part.finish(writtenOf(open))).catch(() => undefined);
    await open.file.sync().catch(() => undefined);
    await open.file.close().catch(() => undefined);
    const folder = await this.#options.folder.catch(() => undefined);
    await folder?.note(this.#entry(open, true)).catch(() => undefined);
  }

  #tellFailure(error: TesseraError): void {
    if (this.#open !== undefined) this.#tellPartFailed(this.#open, error);
    this.#options.events.emit({ type: "failed", error: errorInfo(error) });
  }

  #tellPartFailed({ file, durationUs }: OpenPart, error: TesseraError): void {
    const [path, bytes] = [file.path, file.length];
    this.#options.events.emit({ type: "partFailed", path, durationUs, bytes, error: errorInfo(error) });
  }

  #entry({ part, file, durationUs }: OpenPart, closed: boolean): ManifestPart {
    const startedAt = new Date(this.#options.startWallMs + part.startUs / 1000).toISOString();
    return {
      file: basename(file.path),
      startPtsUs: part.startUs,
      durationUs,
      bytes: file.length,
      closed,
      startedAt,
    };
  }
}
