import { DeviceError, wordsOf } from "../core/error.ts";
import type { AbsentReason } from "../core/probe-report.ts";

/** A stage is not available, for a reason that is known by kind. */
export class AbsentError extends DeviceError {
  readonly kind: AbsentReason["kind"];

  constructor(kind: AbsentReason["kind"], message: string) {
    super(message);
    this.kind = kind;
  }
}

const notBuilt = /(Filter|Encoder|Decoder) not found/;
const MAX_LENGTH = 240;

/**
 * Why a stage failed, short.
 *
 * @param said the first error in libav's log: it knows more than the code that came back.
 */
export function reasonOf(error: unknown, said?: string): AbsentReason {
  const text = wordsOf(error);
  const kind = error instanceof AbsentError ? error.kind : notBuilt.test(text) ? "not-built" : "failed";
  return { kind, message: clip(said === undefined ? text : `${text}: ${said}`) };
}

/** One line, bounded: drivers may say anything. */
export function clip(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length <= MAX_LENGTH ? line : `${line.slice(0, MAX_LENGTH - 1)}…`;
}
