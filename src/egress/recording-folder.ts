import { readdir, rm } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { StorageError } from "../core/error.ts";
import { gapsBetween, type Manifest, type ManifestPart, readManifest, writeManifest } from "./manifest.ts";
import { PartFile, storageError } from "./recording-file.ts";

/** Tries at a free name; more means that somebody else is filling the folder. */
const MAX_TRIES = 1000;

/** Whose recording it is, for the manifest. */
export interface RecordingOwner {
  readonly mix: string;
  readonly output: string;
  readonly previousNode?: string;
}

/**
 * Where a recording lives: `name.mp4`, `name.2.mp4` and so on, and `name.json` beside them. It hands out files that
 * were not there before, and keeps the manifest; parts of the same mix and output from before a restart stay in it.
 *
 * @throws {StorageError} `ERR_STORAGE` from every method.
 */
export class RecordingFolder {
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
    this.#manifestPath = join(this.#folder, `${this.#stem}.json`);
  }

  /** @param overwrite removes the recording that is there: its manifest and the files this names. */
  static async open(path: string, owner: RecordingOwner, overwrite: boolean): Promise<RecordingFolder> {
    const folder = new RecordingFolder(path, owner);
    try {
      await folder.#takeOver(overwrite);
      return folder;
    } catch (error) {
      throw storageError(path, error);
    }
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

  #manifest(): Manifest {
    const parts = this.#parts;
    const startedAt = parts[0]?.startedAt ?? "";
    const earlier = this.#earlier.length === 0 ? {} : { earlier: this.#earlier };
    return { version: 1, ...this.#owner, startedAt, parts, gaps: gapsBetween(parts), ...earlier };
  }

  #nameOf(number: number): string {
    return number === 1 ? `${this.#stem}${this.#extension}` : `${this.#stem}.${number}${this.#extension}`;
  }

  async #takeOver(overwrite: boolean): Promise<void> {
    let found = await readManifest(this.#manifestPath);
    if (found?.parts.some((part) => extname(part.file) !== this.#extension)) {
      // name.mp4 and name.mkv lie side by side: the second to come has its manifest under its full name.
      this.#manifestPath = join(this.#folder, `${this.#stem}${this.#extension}.json`);
      found = await readManifest(this.#manifestPath);
    }
    if (overwrite) await this.#remove(found);
    else if (found?.mix === this.#owner.mix && found.output === this.#owner.output) this.#continue(found);
    else if (found !== undefined) this.#earlier = [...(found.earlier ?? []), { ...found, earlier: [] }];
    const names = [...(await readdir(this.#folder)), ...this.#parts.map((part) => part.file)];
    this.#nextNumber = 1 + Math.max(0, ...names.map((name) => this.#numberOf(name)));
  }

  #continue(found: Manifest): void {
    this.#parts = [...found.parts];
    this.#earlier = found.earlier ?? [];
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
