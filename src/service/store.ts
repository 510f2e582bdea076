import { chmodSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, type SQLOutputValue } from "node:sqlite";
import type { MixState } from "../contract/worker.ts";
import { StorageError } from "../core/error.ts";

/** What control alone knows of a mix and needs after a restart of the service. Plain data. */
export interface ControlState {
  readonly createdAtMs: number;
  /** See `bodies.ts`. */
  readonly bodies: Readonly<Record<string, string>>;
  /** Crashes of a worker while it decoded that source. */
  readonly crashes: Readonly<Record<string, number>>;
  /** Sources that no worker gets any more. */
  readonly quarantined: readonly string[];
  /** Sources that a publish created and that go with it. */
  readonly undeclared: readonly string[];
}

/** One row: everything that brings a mix back. */
export interface StoredMix {
  readonly state: MixState;
  readonly control: ControlState;
  /** The first event number that was certainly never used. */
  readonly nextSeq: number;
  /** The mix clock is past this. */
  readonly floorUs: number;
}

/** The answer that an idempotency key stands for. */
export interface StoredAnswer {
  readonly key: string;
  /** Digest of method and parameters: the same key for something else is a mistake of the caller. */
  readonly request: string;
  readonly answer: unknown;
}

/** A stored image. `file` is its content hash. */
export interface AssetRow {
  readonly name: string;
  readonly file: string;
  readonly type: "png" | "jpeg" | "svg";
  readonly width: number;
  readonly height: number;
  readonly bytes: number;
  readonly createdAtMs: number;
}

const APPLICATION_ID = 0x54455353; // "TESS"
const VERSION = 1;
const ANSWERS_PER_MIX = 256;
/** Also answers of closed mixes are kept, so that a late retry of `mix.close` finds its answer; this bounds them. */
const ANSWERS_IN_ALL = 65_536;

const SCHEMA = `
  CREATE TABLE mixes (id TEXT PRIMARY KEY, state TEXT NOT NULL, control TEXT NOT NULL,
    next_seq INTEGER NOT NULL, floor_us INTEGER NOT NULL) STRICT;
  CREATE TABLE answers (number INTEGER PRIMARY KEY, mix TEXT NOT NULL, key TEXT NOT NULL,
    request TEXT NOT NULL, answer TEXT NOT NULL, UNIQUE (mix, key)) STRICT;
  CREATE TABLE assets (name TEXT PRIMARY KEY, file TEXT NOT NULL, type TEXT NOT NULL, width INTEGER NOT NULL,
    height INTEGER NOT NULL, bytes INTEGER NOT NULL, created_at_ms INTEGER NOT NULL) STRICT;
  CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${VERSION};`;

/**
 * The node's memory, in `tessera.db` of the data folder.
 *
 * WAL with synchronous=NORMAL: what is committed survives the death of the process, whatever kills it, and the file
 * is never corrupt; a power cut may cost the last changes. FULL would sync the disk on the loop that forwards RTMP,
 * and a disk that is busy with recordings can hold that for seconds.
 */
export class Store implements Disposable {
  readonly #db: DatabaseSync;

  private constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /**
   * Opens or makes the database of `folder`. One process at a time has it open.
   *
   * @throws {StorageError} `ERR_STORAGE` if it is damaged, of a newer Tessera, not ours, in use, or cannot be
   *   written; the file is left as it was.
   */
  static open(folder: string): Store {
    const path = join(folder, "tessera.db");
    try {
      mkdirSync(folder, { recursive: true });
      return new Store(openDatabase(path));
    } catch (error) {
      if (error instanceof StorageError) throw error;
      throw new StorageError(`${path}: ${(error as Error).message}`, { cause: error });
    }
  }

  /** All mixes, as last saved. @throws {StorageError} `ERR_STORAGE` if a row cannot be read. */
  mixes(): StoredMix[] {
    return this.#guard(() => this.#all("SELECT * FROM mixes ORDER BY rowid").map(readMix));
  }

  /** Saves mixes, forgets closed ones and keeps an answer, all or nothing. @throws {StorageError} `ERR_STORAGE` */
  save(change: {
    readonly put?: readonly StoredMix[];
    readonly remove?: readonly string[];
    readonly answer?: StoredAnswer & { readonly mix: string };
  }): void {
    this.#transaction(() => {
      for (const mix of change.put ?? []) this.#put(mix);
      for (const id of change.remove ?? []) this.#run("DELETE FROM mixes WHERE id = ?", id);
      if (change.answer !== undefined) this.#remember(change.answer);
    });
  }

  /** The answer that `key` got in `mix`, if it is among the last 256. */
  answer(mix: string, key: string): StoredAnswer | undefined {
    const row = this.#guard(() => this.#all("SELECT * FROM answers WHERE mix = ? AND key = ?", mix, key)[0]);
    if (row === undefined) return undefined;
    return { key, request: String(row.request), answer: JSON.parse(String(row.answer)) as unknown };
  }

  assets(): AssetRow[] {
    return this.#guard(() => this.#all("SELECT * FROM assets ORDER BY name").map(readAsset));
  }

  putAsset(row: AssetRow): void {
    const { name, file, type, width, height, bytes, createdAtMs } = row;
    const sql = "INSERT OR REPLACE INTO assets VALUES (?, ?, ?, ?, ?, ?, ?)";
    this.#guard(() => this.#run(sql, name, file, type, width, height, bytes, createdAtMs));
  }

  removeAsset(name: string): void {
    this.#guard(() => this.#run("DELETE FROM assets WHERE name = ?", name));
  }

  /** The secret of that name, made by `make` the first time. */
  secret(name: string, make: () => Uint8Array): Uint8Array {
    return this.#guard(() => {
      this.#run("INSERT OR IGNORE INTO secrets VALUES (?, ?)", name, make());
      return this.#all("SELECT value FROM secrets WHERE name = ?", name)[0]?.value as Uint8Array;
    });
  }

  /** Idempotent. */
  close(): void {
    if (this.#db.isOpen) this.#db.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #put({ state, control, nextSeq, floorUs }: StoredMix): void {
    const sql = `INSERT INTO mixes VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET state = excluded.state,
      control = excluded.control, next_seq = excluded.next_seq, floor_us = excluded.floor_us`;
    this.#run(sql, state.id, JSON.stringify(state), JSON.stringify(control), nextSeq, Math.round(floorUs));
  }

  #remember({ mix, key, request, answer }: StoredAnswer & { readonly mix: string }): void {
    const insert = "INSERT OR REPLACE INTO answers (mix, key, request, answer) VALUES (?, ?, ?, ?)";
    this.#run(insert, mix, key, request, JSON.stringify(answer) ?? "null");
    const old = `DELETE FROM answers WHERE mix = ? AND number <= (SELECT number FROM answers WHERE mix = ?
      ORDER BY number DESC LIMIT 1 OFFSET ${ANSWERS_PER_MIX})`;
    this.#run(old, mix, mix);
    this.#run(`DELETE FROM answers WHERE number <= (SELECT max(number) FROM answers) - ${ANSWERS_IN_ALL}`);
  }

  #transaction(work: () => void): void {
    this.#guard(() => {
      this.#db.exec("BEGIN IMMEDIATE");
      try {
        work();
        this.#db.exec("COMMIT");
      } catch (error) {
        if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
        throw error;
      }
    });
  }

  #all(sql: string, ...values: (string | number)[]): Record<string, SQLOutputValue>[] {
    return this.#db.prepare(sql).all(...values);
  }

  #run(sql: string, ...values: (string | number | Uint8Array)[]): void {
    this.#db.prepare(sql).run(...values);
  }

  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw new StorageError(`the node's database: ${(error as Error).message}`, { cause: error });
    }
  }
}

function openDatabase(path: string): DatabaseSync {
  const fresh = !existsSync(path);
  const db = new DatabaseSync(path);
  try {
    // A second `serve` on the same folder must fail, not share: two nodes must never run the same mixes.
    db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA busy_timeout = 0");
    // It holds stream keys and the key of tokens. SQLite gives its side files the same mode.
    if (fresh) chmodSync(path, 0o600);
    else checkOurs(db, path);
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE; COMMIT");
    if (pragma(db, "user_version") === 0) db.exec(`BEGIN; ${SCHEMA} COMMIT`);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function checkOurs(db: DatabaseSync, path: string): void {
  const version = pragma(db, "user_version");
  const tables = Number(db.prepare("SELECT count(*) AS n FROM sqlite_schema").get()?.n);
  if (version === 0 && tables === 0) return; // Died between making the file and its tables.
  if (pragma(db, "application_id") !== APPLICATION_ID) {
    throw new StorageError(`${path} is not a database of Tessera`);
  }
  if (version > VERSION) {
    throw new StorageError(
      `${path} was written by a newer Tessera (format ${version}, this one knows ${VERSION})`,
    );
  }
  const check = db.prepare("PRAGMA quick_check(1)").get();
  if (check?.quick_check !== "ok") throw new StorageError(`${path} is damaged: ${check?.quick_check}`);
}

const pragma = (db: DatabaseSync, name: string): number =>
  Number(db.prepare(`PRAGMA ${name}`).get()?.[name] ?? 0);

function readMix(row: Record<string, SQLOutputValue>): StoredMix {
  return {
    state: JSON.parse(String(row.state)) as MixState,
    control: JSON.parse(String(row.control)) as ControlState,
    nextSeq: Number(row.next_seq),
    floorUs: Number(row.floor_us),
  };
}

function readAsset(row: Record<string, SQLOutputValue>): AssetRow {
  return {
    name: String(row.name),
    file: String(row.file),
    type: row.type as AssetRow["type"],
    width: Number(row.width),
    height: Number(row.height),
    bytes: Number(row.bytes),
    createdAtMs: Number(row.created_at_ms),
  };
}
