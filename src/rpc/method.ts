import { z } from "zod";
import { parse } from "../contract/parse.ts";
import type { Service } from "../service/service.ts";
import { type Action, demand, type Grant } from "../service/tokens.ts";

/** Who calls, and what they call upon. One per connection: what it reads comes after what it changed before. */
export interface Context {
  readonly service: Service;
  readonly grant: Grant;
  /** Begins the caller's stream of events; only where there is one, which is on a WebSocket. */
  readonly subscribe?: (filter: { mix?: string | undefined; types?: readonly string[] | undefined }) => void;
}

/** One method as the dispatcher sees it. */
export interface Method {
  readonly name: string;
  /** For documentation and tests. */
  readonly params: z.ZodObject;
  /**
   * Checks `params`, takes its place in the order before it returns, and answers.
   *
   * @throws a TesseraError; pointers are relative to `params`.
   */
  call(context: Context, params: unknown): Promise<unknown>;
}

interface Definition<Shape extends z.ZodObject> {
  readonly name: string;
  readonly action: Action;
  readonly params: Shape;
  /** The mix that a token must cover; undefined: the node. */
  readonly covers: (params: z.output<Shape>) => string | undefined;
  /** The mix in whose order it runs, if that is another one. */
  readonly runsIn?: (params: z.output<Shape>) => string | undefined;
  /**
   * It changes nothing, so it waits for no other caller's requests, an idempotency key has nothing to guard, and its
   * answer, which may be large, is not kept.
   */
  readonly reads?: true;
  /** Fills in what the caller left to us, before anything else. */
  readonly complete?: (
    params: z.output<Shape>,
    idempotencyKey: string | undefined,
  ) => Partial<z.output<Shape>>;
  readonly handle: (context: Context, params: z.output<Shape>) => unknown;
}

const Key = z.string().min(1).max(256).optional();

/** Defines a method once: its parameters, who may call it, and what it does. */
export function method<Shape extends z.ZodObject>(definition: Definition<Shape>): Method {
  const { name, action, params: shape, covers, runsIn = covers, reads, complete, handle } = definition;
  const schema = shape.extend({ idempotencyKey: Key });
  const call = async (context: Context, raw: unknown): Promise<unknown> => {
    const { idempotencyKey, ...rest } = parse(schema, raw ?? {}) as { idempotencyKey?: string };
    const given = rest as z.output<Shape>;
    const params = { ...given, ...complete?.(given, idempotencyKey) };
    demand(context.grant, action, covers(params));
    const work = async (): Promise<unknown> => await handle(context, params);
    const mix = runsIn(params);
    if (reads === true) return await context.service.read(context, mix, work);
    const request = { mix, idempotencyKey, body: [name, given], caller: context };
    return await context.service.run(request, work);
  };
  return { name, params: schema, call };
}

/** For methods of one mix. */
export const ofMix = ({ mix }: { readonly mix: string }): string => mix;
/** For methods of the node. */
export const ofNode = (): undefined => undefined;
