import { InvalidArgumentError } from "../core/error.ts";

/** Runs `work`; a pointer below `from` in what it throws is told as below `to`, where the caller wrote it. */
export function relocating<T>(from: string, to: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const isBelow =
      error instanceof InvalidArgumentError && `${error.pointer}/`.startsWith(from === "" ? "/" : `${from}/`);
    if (!isBelow) throw error;
    const problem = error.message.slice(error.pointer.length + 2);
    throw new InvalidArgumentError(to + error.pointer.slice(from.length), problem, { cause: error });
  }
}
