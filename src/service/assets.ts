import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { open, readFile, rename, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { ExistsError, InvalidArgumentError, LimitError, NotFoundError, StorageError } from "../core/error.ts";
import { imageHeader } from "./image-header.ts";
import type { AssetRow, Store } from "./store.ts";
import { wallMs } from "./time.ts";

const MAX_BYTES = 5 * 1024 * 1024;
const MAX_PIXELS = 16_000_000;
const MAX_ASSETS = 1000;

/** What callers hear of an asset. `hash` is of its bytes. */
export interface Asset {
  readonly name: string;
  readonly hash: string;
  readonly type: AssetRow["type"];
  readonly width: number;
  readonly height: number;
  readonly bytes: number;
  readonly createdAt: string;
}

/**
 * Images that layouts and avatars name. Bytes lie in files called by their hash, so a file is never half an image
 * and never another one; beside them a link per name, `NAME -> HASH.TYPE`, is how workers find them.
 */
export class Assets {
  readonly folder: string;
  readonly #store: Store;

  /** @param folder is made if it is missing. */
  constructor(store: Store, folder: string) {
    this.folder = folder;
    this.#store = store;
    mkdirSync(folder, { recursive: true });
  }

  /**
   * Stores an image. The same name with the same bytes gives what is there.
   *
   * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if it is no PNG, JPEG or SVG.
   * @throws {LimitError} `ERR_LIMIT` over 5 MB, 16 megapixels or 1000 assets.
   * @throws {ExistsError} `ERR_EXISTS` if the name stands for other bytes; remove it first.
   */
  async put(name: string, data: Uint8Array): Promise<Asset> {
    if (data.length > MAX_BYTES) throw new TooLargeError(`/data: has more than ${MAX_BYTES} bytes`);
    const { type, width, height } = imageHeader(data);
    if (width * height > MAX_PIXELS) throw new TooLargeError(`/data: has more than ${MAX_PIXELS} pixels`);
    const file = `${createHash("sha256").update(data).digest("hex")}.${type}`;
    const existing = this.#rows().find((row) => row.name === name);
    if (existing?.file === file) return describe(existing);
    if (existing !== undefined) throw new ExistsError(`asset ${name} is another image; remove it first`);
    if (this.#rows().length >= MAX_ASSETS) throw new TooLargeError(`there are ${MAX_ASSETS} assets already`);
    await this.#write(file, data);
    await this.#link(name, file);
    const row: AssetRow = { name, file, type, width, height, bytes: data.length, createdAtMs: wallMs() };
    this.#store.putAsset(row);
    return describe(row);
  }

  /** @throws {NotFoundError} `ERR_NOT_FOUND`; {@link StorageError} if its file is gone. */
  async get(name: string): Promise<Asset & { readonly data: Uint8Array }> {
    const row = this.#find(name);
    try {
      return { ...describe(row), data: await readFile(join(this.folder, row.file)) };
    } catch (error) {
      throw new StorageError(`the file of asset ${name} cannot be read`, { cause: error });
    }
  }

  /**
   * Sees to it that an asset that a request names is there.
   *
   * @param name undefined and null name none.
   * @param pointer where the name stands in the caller's parameters.
   * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT`
   */
  demand(name: string | null | undefined, pointer: string): void {
    if (name === undefined || name === null || this.#rows().some((row) => row.name === name)) return;
    throw new InvalidArgumentError(pointer, `there is no asset ${name}`);
  }

  list(): Asset[] {
    return this.#rows().map(describe);
  }

  /** Running mixes keep what they show, until they are restarted. @throws {NotFoundError} `ERR_NOT_FOUND` */
  async remove(name: string): Promise<void> {
    const row = this.#find(name);
    this.#store.removeAsset(name);
    await rm(join(this.folder, name), { force: true });
    if (this.#rows().some(({ file }) => file === row.file)) return;
    await rm(join(this.folder, row.file), { force: true });
  }

  #rows(): AssetRow[] {
    return this.#store.assets();
  }

  #find(name: string): AssetRow {
    const row = this.#rows().find((one) => one.name === name);
    if (row === undefined) throw new NotFoundError(`there is no asset ${name}`);
    return row;
  }

  async #link(name: string, file: string): Promise<void> {
    await rm(join(this.folder, name), { force: true });
    await symlink(file, join(this.folder, name));
  }

  /** Complete under its name or not there at all. */
  async #write(file: string, data: Uint8Array): Promise<void> {
    const path = join(this.folder, file);
    try {
      const handle = await open(`${path}.part`, "w", 0o644);
      try {
        await handle.writeFile(data);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(`${path}.part`, path);
    } catch (error) {
      throw new StorageError(`asset cannot be written: ${(error as Error).message}`, { cause: error });
    }
  }
}

/** Too much of something in a request: here it is the caller who has to act. */
class TooLargeError extends LimitError {
  override readonly fault = "caller";
}

/** Decodes base64 as RFC 4648 §4 has it. @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` */
export function fromBase64(text: string, pointer: string): Uint8Array {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) {
    throw new InvalidArgumentError(pointer, "is not base64");
  }
  return Buffer.from(text, "base64");
}

const describe = ({ name, file, type, width, height, bytes, createdAtMs }: AssetRow): Asset => ({
  name,
  hash: file.replace(/\..*$/, ""),
  type,
  width,
  height,
  bytes,
  createdAt: new Date(createdAtMs).toISOString(),
});
