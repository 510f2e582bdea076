import type { NativeFrame, Shortfall } from "../../native/frame.ts";
import { BLACK, Picture, Stamp } from "../../native/picture.ts";
import { type ScaleJob, Scaler, type ScaleThread } from "../../native/scaler.ts";
import type { QueuedFrame } from "./queue.ts";

/**
 * One source at one size and crop, drawn anew only when the source has a new picture.
 *
 * What {@link paint} copies is always a whole picture: scaling goes to a second buffer that is swapped in when done.
 */
export class Tile implements Disposable {
  readonly widthPx: number;
  readonly heightPx: number;
  readonly #scaler: Scaler;
  readonly #stamp: Stamp;
  #front: Picture;
  #back: Picture;
  #serial = -1;
  #drawing: Promise<boolean> = Promise.resolve(false);
  #drawingSerial = -1;
  #users = 0;

  constructor(job: ScaleJob) {
    this.widthPx = job.widthPx;
    this.heightPx = job.heightPx;
    this.#scaler = new Scaler(job);
    this.#stamp = new Stamp(job.widthPx, job.heightPx);
    this.#front = Picture.solid(job.widthPx, job.heightPx, BLACK);
    this.#back = Picture.alloc(job.widthPx, job.heightPx);
  }

  /** Serial of the source picture it shows, -1 before the first. */
  get serial(): number {
    return this.#serial;
  }

  get users(): number {
    return this.#users;
  }

  hold(): void {
    this.#users += 1;
  }

  release(): void {
    this.#users -= 1;
  }

  /**
   * Shows `queued`; true if that took drawing. Two views that ask for the same picture draw it once.
   *
   * @throws {DeviceError} `ERR_DEVICE` if its format cannot be scaled; the old picture stays.
   */
  update(queued: QueuedFrame, thread: ScaleThread): Promise<boolean> {
    if (queued.serial === this.#serial) return Promise.resolve(false);
    if (queued.serial === this.#drawingSerial) return this.#drawing;
    this.#drawingSerial = queued.serial;
    const frame = queued.frame.clone();
    const after = this.#drawing.catch(() => false);
    this.#drawing = after.then(() => this.#draw(frame, queued.serial, thread));
    return this.#drawing;
  }

  /** Copies the tile to (x, y) of a writable canvas. */
  paint(canvas: Picture, x: number, y: number): void {
    this.#stamp.copy(this.#front, canvas, x, y);
  }

  [Symbol.dispose](): void {
    const free = (): void => {
      this.#scaler[Symbol.dispose]();
      this.#stamp[Symbol.dispose]();
      this.#front[Symbol.dispose]();
      this.#back[Symbol.dispose]();
    };
    this.#drawing.then(free, free);
  }

  async #draw(frame: NativeFrame, serial: number, thread: ScaleThread): Promise<boolean> {
    using source = frame;
    await this.#scaler.scale(source.raw, this.#back, thread);
    [this.#front, this.#back] = [this.#back, this.#front];
    this.#serial = serial;
    return true;
  }
}

/** What is wrong with how a picture is shown; `notDrawn`: nothing here scales it, and the one before stays. */
type Warning = Shortfall | "notDrawn";

/** What the tiles of one source have in common. */
export class TileOrigin {
  /** Of this source alone, also if another had its id before: none of that one's tiles is taken for one of its own. */
  readonly number: number;
  readonly #warned = new Map<Warning, { pictures: number; serial: number }>();

  constructor(number: number) {
    this.number = number;
  }

  /** Pictures that were shown with something wrong, by what. */
  get warnings(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#warned].map(([name, { pictures }]) => [name, pictures]));
  }

  /** Counts a picture once, on however many tiles it is. */
  warn(name: Warning, { serial }: QueuedFrame): void {
    const before = this.#warned.get(name) ?? { pictures: 0, serial: -1 };
    if (serial > before.serial) this.#warned.set(name, { pictures: before.pictures + 1, serial });
  }
}

/** The tiles of a mix, shared by all its views. */
export class TileCache implements Disposable {
  readonly #tiles = new Map<string, Tile>();
  readonly #origins = new Map<string, TileOrigin>();
  #originCount = 0;

  /** The source that has this id now. */
  origin(source: string): TileOrigin {
    const known = this.#origins.get(source);
    if (known !== undefined) return known;
    this.#originCount += 1;
    const origin = new TileOrigin(this.#originCount);
    this.#origins.set(source, origin);
    return origin;
  }

  /** The source is gone: another of its id starts without its pictures and its warnings. */
  forget(source: string): void {
    this.#origins.delete(source);
  }

  get size(): number {
    return this.#tiles.size;
  }

  /** The tile of this source for this job; held for the caller until {@link release}. */
  hold(key: string, job: ScaleJob): Tile {
    const tile = this.#tiles.get(key) ?? new Tile(job);
    this.#tiles.set(key, tile);
    tile.hold();
    return tile;
  }

  release(key: string): void {
    const tile = this.#tiles.get(key);
    if (tile === undefined) return;
    tile.release();
    if (tile.users > 0) return;
    this.#tiles.delete(key);
    tile[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    for (const tile of this.#tiles.values()) tile[Symbol.dispose]();
    this.#tiles.clear();
  }
}
