import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Report } from "./report.ts";

/** How much work to do. */
export interface Effort {
  /** Seconds of media, or of each stretch of wall time. */
  readonly seconds: number;
  /** Times that every contender runs, in turn. */
  readonly rounds: number;
  /** Leaves Tessera out: what do the references alone say? */
  readonly referencesOnly: boolean;
}

/** One benchmark: what it is called, how much work is the real thing, and how it is done. */
export interface Workload {
  readonly name: string;
  readonly title: string;
  readonly seconds: number;
  readonly rounds: number;
  run(effort: Effort): Promise<Report>;
}

/** A folder for outputs that goes when it is disposed. */
export class Scratch implements Disposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "tessera-bench-out-"));

  file(name: string): string {
    return join(this.folder, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
