import { type FileHandle, open } from "node:fs/promises";
import { StorageError, wordsOf } from "../core/error.ts";
import type { Patch } from "./recording-container.ts";

/**
 * One file being written front to back, by one caller that awaits each call. Every call runs on Node's thread pool,
 * one at a time.
 *
 * @throws {StorageError} `ERR_STORAGE` from every method: the file is then no longer than its last whole write, as
 * far as the file system still obeys.
 */
export class PartFile {
  readonly path: string;
  readonly #handle: FileHandle;
  #length = 0;

  private constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  /** Creates `path`; undefined if something is there already. */
  static async create(path: string): Promise<PartFile | undefined> {
    try {
      return new PartFile(path, await open(path, "wx"));
    } catch (error) {
      if (codeOf(error) === "EEXIST") return undefined;
      throw storageError(path, error);
    }
  }

  /** Bytes written. */
  get length(): number {
    return this.#length;
  }

  /** Appends all of `bytes`, or nothing. */
  async append(bytes: Uint8Array): Promise<void> {
    const start = this.#length;
    try {
      await this.#writeAll(bytes, start);
      this.#length = start + bytes.byteLength;
    } catch (error) {
      await this.#handle.truncate(start).catch(() => undefined);
      throw storageError(this.path, error);
    }
  }

  /** Writes over what is there. */
  async patch(patches: readonly Patch[]): Promise<void> {
    try {
      for (const { offset, bytes } of patches) await this.#writeAll(bytes, offset);
    } catch (error) {
      throw storageError(this.path, error);
    }
  }

  /** Forces the data to the disk, and looks whether the file still has a name. */
  async sync(): Promise<void> {
    try {
      await this.#handle.datasync();
      if ((await this.#handle.stat()).nlink > 0) return;
    } catch (error) {
      throw storageError(this.path, error);
    }
    throw new DeletedError(`${this.path}: deleted while it was recorded`);
  }

  async close(): Promise<void> {
    try {
      await this.#handle.close();
    } catch (error) {
      throw storageError(this.path, error);
    }
  }

  /** A file system may take less than it was given, and say why only when asked for the rest. */
  async #writeAll(bytes: Uint8Array, offset: number): Promise<void> {
    for (let done = 0; done < bytes.byteLength; ) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.byteLength - done, offset + done);
      done += bytesWritten;
    }
  }
}

/** Somebody deleted the file of the open part: it is lost, and the next part can begin. */
export class DeletedError extends StorageError {}

/** What the file system said, as `ERR_STORAGE`. */
export function storageError(path: string, error: unknown): StorageError {
  if (error instanceof StorageError) return error;
  const code = codeOf(error);
  return new StorageError(`${path}: ${WHY[code] ?? wordsOf(error)}`, {
    cause: error,
  });
}

const WHY: Record<string, string> = {
  ENOSPC: "the disk is full (ENOSPC)",
  EDQUOT: "the quota is used up (EDQUOT)",
  EIO: "the disk failed (EIO)",
  EROFS: "the file system is read-only (EROFS)",
  ENOENT: "the folder is missing (ENOENT)",
  EACCES: "not allowed to write here (EACCES)",
  EFBIG: "the file is larger than the file system allows (EFBIG)",
};

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
