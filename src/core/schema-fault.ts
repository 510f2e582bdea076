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
  const near = nearest(issue.keys[0] ?? "", keysAt(schema, issue.path));
  return near === undefined ? "is not a known key" : `is not a known key; did you mean "${near}"?`;
}

/** What this file needs to know of a schema's insides. */
interface Node {
  readonly shape?: Readonly<Record<string, Node>>;
  readonly def: {
    readonly innerType?: Node;
    readonly in?: Node;
    readonly options?: readonly Node[];
    readonly element?: Node;
    readonly valueType?: Node;
    readonly items?: readonly Node[];
  };
}

/** The keys that an object at `path` may have, in any branch of a union. */
function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): readonly string[] {
  let nodes = unwrapped(schema as unknown as Node);
  for (const part of path) nodes = nodes.flatMap((node) => inside(node, part)).flatMap(unwrapped);
  return nodes.flatMap((node) => Object.keys(node.shape ?? {}));
}

function inside({ shape, def }: Node, part: PropertyKey): readonly Node[] {
  const key = String(part);
  const field = shape !== undefined && Object.hasOwn(shape, key) ? shape[key] : undefined;
  return [field, def.element, def.valueType, def.items?.[Number(part)]].filter((one) => one !== undefined);
}

/** A schema without what is wrapped around it: optional, nullable, default, transform, union. */
function unwrapped(node: Node): readonly Node[] {
  const { innerType, in: input, options } = node.def;
  const within = [innerType, input, ...(options ?? [])].filter((one) => one !== undefined);
  return within.length === 0 ? [node] : within.flatMap(unwrapped);
}
