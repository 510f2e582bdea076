import { errorInfo, InternalError, NotSupportedError, TesseraError } from "../core/error.ts";
import type { Logger } from "../core/log.ts";
import { nearest } from "../core/nearest.ts";
import { INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, type RpcError, rpcError } from "./errors.ts";
import type { Context } from "./method.ts";
import { METHODS } from "./methods.ts";
import { isUnsupportedMethod } from "./not-supported.ts";

/** How a request came in. */
export type Transport = "http" | "ws" | "amqp";

/** Hears how long each request took; label `unknown` stands for methods that do not exist. */
export interface RequestObserver {
  observe(method: string, transport: Transport, seconds: number): void;
}

interface Answer {
  readonly jsonrpc: "2.0";
  readonly id: string | number | null;
  readonly result?: unknown;
  readonly error?: RpcError;
}

const MAX_BATCH = 100;
/** Deeper data is no request of ours, and would cost stack wherever it is walked. */
const MAX_DEPTH = 32;
/** For everything but images. */
const MAX_CHARS = 1 << 20;

/** Answers JSON-RPC 2.0 texts. Requests begin in the order in which they stand in a text. */
export class Dispatcher {
  readonly #observer: RequestObserver;
  readonly #log: Logger;

  constructor(observer: RequestObserver, log: Logger) {
    this.#observer = observer;
    this.#log = log;
  }

  /** The answer as text, or undefined if there is none, which is so for notifications. Never throws. */
  async handle(text: string, context: Context, transport: Transport): Promise<string | undefined> {
    const body = readJson(text);
    if (body === undefined) return JSON.stringify(refusal(PARSE_ERROR, "is not JSON"));
    if (depthOf(body, 0) > MAX_DEPTH) return JSON.stringify(refusal(INVALID_REQUEST, "is nested too deeply"));
    if (text.length > MAX_CHARS && !(isRecord(body) && body.method === "asset.put")) {
      return JSON.stringify(refusal(INVALID_REQUEST, "is longer than 1 MB", "ERR_LIMIT"));
    }
    if (!Array.isArray(body)) return toText(await this.#one(body, context, transport));
    if (body.length === 0) return JSON.stringify(refusal(INVALID_REQUEST, "is an empty batch"));
    if (body.length > MAX_BATCH) {
      return JSON.stringify(refusal(INVALID_REQUEST, `has more than ${MAX_BATCH} requests`, "ERR_LIMIT"));
    }
    const answers = await Promise.all(body.map((request) => this.#one(request, context, transport)));
    const told = answers.filter((answer) => answer !== undefined);
    return told.length === 0 ? undefined : JSON.stringify(told);
  }

  async #one(request: unknown, context: Context, transport: Transport): Promise<Answer | undefined> {
    const fault = envelopeFault(request);
    if (fault !== undefined || !isRecord(request)) return refusal(INVALID_REQUEST, fault ?? "is no request");
    const started = performance.now();
    const name = String(request.method);
    const answer = await this.#answer(name, request.params, context);
    this.#observer.observe(
      METHODS.has(name) ? name : "unknown",
      transport,
      (performance.now() - started) / 1000,
    );
    // §4.1: a request without an id is a notification, and never answered, not even with an error.
    return "id" in request
      ? { jsonrpc: "2.0", id: request.id as string | number | null, ...answer }
      : undefined;
  }

  async #answer(name: string, params: unknown, context: Context): Promise<Pick<Answer, "result" | "error">> {
    const method = METHODS.get(name);
    try {
      if (method !== undefined) return { result: (await method.call(context, params)) ?? null };
      if (isUnsupportedMethod(name)) throw new NotSupportedError(`${name} is not supported yet`);
      return { error: unknownMethod(name) };
    } catch (error) {
      return { error: rpcError(errorInfo(this.#checked(error, name))) };
    }
  }

  /** What is thrown by mistake is logged whole, and told without its inside. */
  #checked(error: unknown, method: string): unknown {
    if (error instanceof TesseraError) return error;
    this.#log.error({ err: error, method }, "request failed by a bug");
    return new InternalError("this request failed by a bug of ours; the log has more");
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What JSON-RPC 2.0 §4 has against a request object. */
function envelopeFault(request: unknown): string | undefined {
  if (!isRecord(request)) return "is no request object";
  if (request.jsonrpc !== "2.0") return 'needs "jsonrpc": "2.0"';
  if (typeof request.method !== "string") return "needs a method";
  const { id, params } = request;
  if ("id" in request && id !== null && typeof id !== "string" && typeof id !== "number")
    return "has a bad id";
  if (typeof id === "string" && id.length > 256) return "has an id of more than 256 characters";
  if ("params" in request && (typeof params !== "object" || params === null)) return "has bad params";
  return undefined;
}

function unknownMethod(name: string): RpcError {
  const near = nearest(name, [...METHODS.keys()]);
  const hint = near === undefined ? "" : `; did you mean ${near}?`;
  const message = `there is no method ${name.slice(0, 64)}${hint}`;
  return rpcError({ code: "ERR_NOT_FOUND", fault: "caller", retryable: false, message }, METHOD_NOT_FOUND);
}

function refusal(number: number, problem: string, code = "ERR_INVALID_ARGUMENT"): Answer {
  const info = { code, fault: "caller", retryable: false, message: `the request ${problem}` } as const;
  return { jsonrpc: "2.0", id: null, error: rpcError(info, number) };
}

const toText = (answer: Answer | undefined): string | undefined =>
  answer === undefined ? undefined : JSON.stringify(answer);

function readJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Stops where it is deep enough to be refused. */
function depthOf(value: unknown, depth: number): number {
  if (typeof value !== "object" || value === null || depth > MAX_DEPTH) return depth;
  let deepest = depth + 1;
  for (const inner of Object.values(value)) deepest = Math.max(deepest, depthOf(inner, depth + 1));
  return deepest;
}
