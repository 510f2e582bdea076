import { readdir, rm, stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { StorageError } from "../core/error.ts";
import { gapsBetween, type Manifest, type ManifestPart, readManifest, writeManifest } from "./manifest.ts";
import { PartFile, storageError } from "./recording-file.ts";
import { playableEnd } from "./recording-recover.ts";

/** Tries at a free name; more means that somebody else is filling the folder. */
const MAX_TRIES = 1000;
/** Recordings of others that a manifest remembers. */
const MAX_EARLIER = 100;

/** Whose recording it is, for the manifest. */
export interface RecordingOwner {
  readonly mix: string;
  readonly output: string;
  readonly previousNode?: string;
}

/** What may be done with a recording that is there already, and how parts go on from one that is known of. */
export interface RecordingStart {
  /** Remove it: its manifest's parts, and the file of its name. */
  readonly overwrite: boolean;
  /** Number of the first part, at least; files that are there push it further. */
  readonly firstPart: number;
}

/**
 * Where a recording lives: `name.mp4`, `name.2.mp4` and so on, and beside them their manifest: `name.json`, or
 * `name.mp4.json` where `name.json` is something else. It hands out files that were not there before, and keeps the
 * manifest; parts of the same mix and output from before a restart stay in it.
 *
 * @throws {StorageError} `ERR_STORAGE` from every method.
 */
export class RecordingFolder implements Disposable {
  /** Those in use: name.mp4 and name.mkv may begin at the same time, before either has written `name.json`. */
  static readonly #open = new Set<RecordingFolder>();
  readonly #folder: string;
  readonly #stem: string;
  readonly #extension: string;
  readonly #owner: RecordingOwner;
  #parts: ManifestPart[] = [];
  #earlier: readonly Manifest[] = [];
  #manifestPath: string;
  #nextNumber = 1;

  private constructor(path: string, owner: RecordingOwner) {
    this.#extension = extname(path);
    this.#folder = dirname(path);
    this.#stem = basename(path, this.#extension);
    this.#owner = owner;
    const manifestPath = join(this.#folder, `${this.#stem}.json`);
    const isTaken = [...RecordingFolder.#open].some(
      (other) => other.#manifestPath === manifestPath && other.#extension !== this.#extension,
    );
    this.#manifestPath = isTaken ? this.#fullManifestPath() : manifestPath;
    RecordingFolder.#open.add(this);
  }

  static async open(path: string, owner: RecordingOwner, start: RecordingStart): Promise<RecordingFolder> {
    const folder = new RecordingFolder(path, owner);
    try {
      await folder.#takeOver(start);
      return folder;
    } catch (error) {
      folder[Symbol.dispose]();
      throw storageError(path, error);
    }
  }

  /** Nothing more is written; the manifest's name is free for others. */
  [Symbol.dispose](): void {
    RecordingFolder.#open.delete(this);
  }

  /** The next part's file, empty. */
  async create(): Promise<PartFile> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const file = await PartFile.create(join(this.#folder, this.#nameOf(this.#nextNumber++)));
      if (file !== undefined) return file;
    }
    throw new StorageError(`${this.#folder}: no free name for ${this.#stem}${this.#extension}`);
  }

  /** Notes how `part` stands, replacing what was noted for its file, and syncs the manifest. */
  async note(part: ManifestPart): Promise<void> {
    const at = this.#parts.findIndex((one) => one.file === part.file);
    if (at < 0) this.#parts.push(part);
    else this.#parts[at] = part;
    await writeManifest(this.#manifestPath, this.#manifest());
  }

  /** Its file is gone; the manifest's next sync leaves it out. */
  forget(path: string): void {
    this.#parts = this.#parts.filter((part) => part.file !== basename(path));
  }

  #manifest(): Manifest {
    const parts = this.#parts;
    const startedAt = parts[0]?.startedAt ?? "";
    const earlier = this.#earlier.length === 0 ? {} : { earlier: this.#earlier };
    return { version: 1, ...this.#owner, startedAt, parts, gaps: gapsBetween(parts), ...earlier };
  }

  #fullManifestPath(): string {
    return join(this.#folder, `${this.#stem}${this.#extension}.json`);
  }

  #nameOf(number: number): string {
    return number === 1 ? `${this.#stem}${this.#extension}` : `${this.#stem}.${number}${this.#extension}`;
  }

  async #takeOver({ overwrite, firstPart }: RecordingStart): Promise<void> {
    const found = await this.#findManifest();
    if (overwrite) await this.#remove(found);
    const names = await readdir(this.#folder);
    // Who deleted or moved all of the files has done with that recording, unless the caller says that it goes on.
    const isThere = found?.parts.some((part) => names.includes(part.file)) || firstPart > 1;
    const goesOn = found !== undefined && isThere && !overwrite && (await this.#continue(found));
    const isTaken = goesOn || names.includes(this.#nameOf(1));
    const next = isTaken ? 1 + Math.max(0, ...names.map((name) => this.#numberOf(name))) : 1;
    this.#nextNumber = Math.max(firstPart, next);
  }

  /**
   * Finds the manifest's place: where this recording has one, else where nothing is. A file of the user's and the
   * manifest of name.mkv stay untouched; a recording that finds them has its manifest under its full name.
   */
  async #findManifest(): Promise<Manifest | undefined> {
    const places = [...new Set([this.#manifestPath, this.#fullManifestPath()])];
    const found = await Promise.all(places.map(readManifest));
    const own = found.findIndex((one) => typeof one === "object" && this.#isOfThisKind(one));
    const at = own >= 0 ? own : found.indexOf(undefined);
    const [path, manifest] = [places[at], found[at]];
    if (path === undefined)
      throw new StorageError(`${places.join(" and ")}: no manifest of this recording, and not overwritten`);
    this.#manifestPath = path;
    return typeof manifest === "object" ? manifest : undefined;
  }

  #isOfThisKind({ parts }: Manifest): boolean {
    return parts.every((part) => extname(part.file) === this.#extension);
  }

  /** Keeps what the manifest says; true if it is about this very recording. */
  async #continue(found: Manifest): Promise<boolean> {
    const { mix, output } = this.#owner;
    const { earlier = [], ...before } = found;
    const isOurs = found.mix === mix && found.output === output;
    this.#earlier = isOurs ? earlier : [...earlier, before].slice(-MAX_EARLIER);
    if (isOurs) this.#parts = await Promise.all(found.parts.map((part) => this.#settled(part)));
    return isOurs;
  }

  /** A part that was never closed lost its writer; how long it really is stands in the file. */
  async #settled(part: ManifestPart): Promise<ManifestPart> {
    if (part.closed) return part;
    const path = join(this.#folder, part.file);
    const durationUs = await playableEnd(path);
    return durationUs === undefined ? part : { ...part, durationUs, bytes: (await stat(path)).size };
  }

  async #remove(found: Manifest | undefined): Promise<void> {
    const files = [this.#nameOf(1), ...(found?.parts ?? []).map((part) => part.file)];
    for (const file of files) await rm(join(this.#folder, file), { force: true });
  }

  /** 1 for `name.mp4`, n for `name.n.mp4`, 0 for what is no part. */
  #numberOf(name: string): number {
    if (name === this.#nameOf(1)) return 1;
    const { length } = this.#stem;
    if (!name.startsWith(`${this.#stem}.`) || !name.endsWith(this.#extension)) return 0;
    const number = Number(name.slice(length + 1, -this.#extension.length));
    return Number.isSafeInteger(number) && this.#nameOf(number) === name ? number : 0;
  }
}
