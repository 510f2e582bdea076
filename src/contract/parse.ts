import type { z } from "zod";
import { InvalidArgumentError } from "../core/error.ts";

/**
 * Checks data from outside against a schema, and types it.
 *
 * @param at RFC 6901 pointer of `value` within what the caller sent.
 * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` with a pointer to the first fault; an unknown key names
 *   the nearest known one.
 */
export function parse<Schema extends z.ZodType>(schema: Schema, value: unknown, at = ""): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = deepest(result.error.issues);
  if (issue === undefined) throw new InvalidArgumentError(at, "is not valid");
  const path = issue.code === "unrecognized_keys" ? [...issue.path, issue.keys[0] ?? ""] : issue.path;
  throw new InvalidArgumentError(at + toPointer(path), problem(issue, schema));
}

/** RFC 6901 §3: `~` and `/` are escaped. */
export const toPointer = (path: readonly PropertyKey[]): string =>
  path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");

type Issue = z.core.$ZodIssue;

/** In a union the branch that got furthest tells the user most. */
function deepest(issues: readonly Issue[]): Issue | undefined {
  let best: Issue | undefined;
  for (const issue of issues) {
    const inner =
      issue.code === "invalid_union" ? issue.errors.map(deepest).filter((one) => one !== undefined) : [];
    for (const one of inner.length > 0
      ? inner.map((i) => ({ ...i, path: [...issue.path, ...i.path] }))
      : [issue]) {
      if (best === undefined || one.path.length > best.path.length) best = one as Issue;
    }
  }
  return best;
}

function problem(issue: Issue, schema: z.ZodType): string {
  if (issue.code !== "unrecognized_keys") return issue.message;
  const key = issue.keys[0] ?? "";
  const near = nearest(key, keysAt(schema));
  return near === undefined ? "is not a known key" : `is not a known key; did you mean "${near}"?`;
}

/** Every key that the schema's JSON form knows: a superset of the right place's, enough for a hint. */
function keysAt(schema: z.ZodType): readonly string[] {
  const found = new Set<string>();
  const seen = new Set<unknown>();
  const walk = (node: unknown): void => {
    if (typeof node !== "object" || node === null || seen.has(node)) return;
    seen.add(node);
    const shape = (node as { shape?: unknown }).shape;
    if (typeof shape === "object" && shape !== null) for (const key of Object.keys(shape)) found.add(key);
    for (const child of [shape, (node as { def?: unknown }).def]) {
      if (typeof child === "object" && child !== null) for (const value of Object.values(child)) walk(value);
    }
    if (Array.isArray(node)) for (const value of node) walk(value);
  };
  walk(schema);
  return [...found];
}

/** The known word within a third of its length in edits, or undefined. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitute = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitute, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
