import type { z } from "zod";
import { nearest } from "./nearest.ts";

/** What is wrong with a value, and where in it. */
export interface SchemaFault {
  /** RFC 6901 pointer into the value that was checked. */
  readonly pointer: string;
  readonly problem: string;
}

/** The fault that tells the user most; an unknown key names the nearest known one. */
export function schemaFault(schema: z.ZodType, error: z.ZodError): SchemaFault {
  const issue = deepest(error.issues);
  if (issue === undefined) return { pointer: "", problem: "is not valid" };
  const path = issue.code === "unrecognized_keys" ? [...issue.path, issue.keys[0] ?? ""] : issue.path;
  return { pointer: toPointer(path), problem: problem(issue, schema) };
}

/** RFC 6901 §3: `~` and `/` are escaped. */
export const toPointer = (path: readonly PropertyKey[]): string =>
  path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");

type Issue = z.core.$ZodIssue;

/** In a union the branch that got furthest tells the user most, unless the union itself has something to say. */
function deepest(issues: readonly Issue[]): Issue | undefined {
  let best: Issue | undefined;
  for (const issue of issues) {
    const one = issue.code === "invalid_union" ? insideUnion(issue) : issue;
    if (best === undefined || depth(one) > depth(best)) best = one;
  }
  return best;
}

/** An unknown key lies one deeper than its object, and explains a missing key beside it. */
const depth = (issue: Issue): number => issue.path.length + (issue.code === "unrecognized_keys" ? 1.5 : 0);

function insideUnion(union: z.core.$ZodIssueInvalidUnion): Issue {
  const branches = union.errors.map(deepest).filter((one) => one !== undefined);
  const inner = deepest(branches);
  const silent = union.message === "Invalid input";
  if (inner === undefined || (inner.path.length === 0 && !silent)) return union;
  return { ...inner, path: [...union.path, ...inner.path] };
}

function problem(issue: Issue, schema: z.ZodType): string {
  if (issue.code !== "unrecognized_keys") return issue.message;
  const near = nearest(issue.keys[0] ?? "", keysAt(schema));
  return near === undefined ? "is not a known key" : `is not a known key; did you mean "${near}"?`;
}

/** Every key that the schema knows anywhere: a superset of the right place's, enough for a hint. */
function keysAt(schema: z.ZodType): readonly string[] {
  const found = new Set<string>();
  const seen = new Set<unknown>();
  const walk = (node: unknown): void => {
    if (typeof node !== "object" || node === null || seen.has(node)) return;
    seen.add(node);
    const { shape, def } = node as { shape?: unknown; def?: unknown };
    if (typeof shape === "object" && shape !== null) for (const key of Object.keys(shape)) found.add(key);
    for (const child of [shape, def]) {
      if (typeof child === "object" && child !== null) for (const value of Object.values(child)) walk(value);
    }
    if (Array.isArray(node)) for (const value of node) walk(value);
  };
  walk(schema);
  return [...found];
}
