import type { Snapshot } from "../contract/worker.ts";
import type { Service } from "../service/service.ts";

/** Stills of views for many viewers: those who ask while one is on its way, or just after, share it. */
export class Snapshots {
  readonly #service: Service;
  readonly #recent = new Map<string, { readonly picture: Promise<Snapshot>; readonly atMs: number }>();

  constructor(service: Service) {
    this.#service = service;
  }

  /** A JPEG of at most 100 ms age. @throws {NotFoundError} `ERR_NOT_FOUND`; {@link BusyError} `ERR_BUSY` */
  async take(mix: string, view: string): Promise<Snapshot> {
    const key = `${mix}/${view}`;
    const recent = this.#recent.get(key);
    if (recent !== undefined && performance.now() - recent.atMs < FRESH_MS) return await recent.picture;
    const picture = this.#service.mix(mix).snapshot(view, "jpeg");
    this.#recent.set(key, { picture, atMs: performance.now() });
    try {
      return await picture;
    } catch (error) {
      this.#recent.delete(key);
      throw error;
    } finally {
      setTimeout(() => this.#forget(key, picture), FRESH_MS).unref();
    }
  }

  #forget(key: string, picture: Promise<Snapshot>): void {
    if (this.#recent.get(key)?.picture === picture) this.#recent.delete(key);
  }
}

const FRESH_MS = 100;
