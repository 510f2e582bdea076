import type { MixState } from "../contract/worker.ts";
import { type Blame, blame } from "./blame.ts";
import type { Step } from "./plan.ts";
import { monotonicMs } from "./time.ts";

/** A worker that lived this long clears those who were suspected of the death of the one before. */
const FORGET_CRASHES_MS = 600_000;

/**
 * The sources of a mix that its worker does not have: those in quarantine, and suspects that wait to be brought back
 * one after the other, so that a second crash says whose fault it is. Isolated outputs are absent with their source.
 */
export class Absence {
  readonly #absent: Set<string>;
  /** Suspects that this worker got back, in that order. */
  #returned: string[] = [];
  #upSinceMs = 0;

  constructor(quarantined: readonly string[]) {
    this.#absent = new Set(quarantined);
  }

  has(source: string | undefined): boolean {
    return source !== undefined && this.#absent.has(source);
  }

  /** The source is gone from the state, or was brought back. */
  end(source: string, how: "removed" | "returned"): void {
    this.#absent.delete(source);
    if (how === "returned") this.#returned.push(source);
  }

  /** What a worker is to start from. */
  present(state: MixState): MixState {
    return {
      ...state,
      sources: state.sources.filter(({ id }) => !this.has(id)),
      outputs: state.outputs.filter(({ source }) => !this.has(source)),
    };
  }

  /** True if a step is about something that the worker does not have, so that there is nothing to tell it. */
  concerns({ method, params }: Step, state: MixState): boolean {
    if (method === "source.update" || method === "source.remove") return this.has(params.id);
    if (method === "output.add") return this.has(params.output.source);
    if (!method.startsWith("output.") || !("id" in params)) return false;
    return this.has(state.outputs.find(({ id }) => id === params.id)?.source);
  }

  /** A worker has opened the mix. Gives whom to bring back. */
  onUp(quarantined: readonly string[]): string[] {
    this.#upSinceMs = monotonicMs();
    this.#returned = [];
    return [...this.#absent].filter((source) => !quarantined.includes(source));
  }

  /** A worker died while it decoded `suspects`: they come back last, and who did it twice does not. */
  onCrash(known: Blame, suspects: readonly string[]): Blame {
    const order = this.#returned;
    const byReturn = suspects.toSorted((a, b) => order.indexOf(a) - order.indexOf(b));
    const isOldStory = monotonicMs() - this.#upSinceMs > FORGET_CRASHES_MS;
    const { crashes, quarantined } = known;
    for (const source of suspects) this.#absent.add(source);
    return blame({ crashes: isOldStory ? {} : crashes, quarantined }, byReturn);
  }
}
