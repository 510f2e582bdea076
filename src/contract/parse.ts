import type { z } from "zod";
import { InvalidArgumentError } from "../core/error.ts";
import { schemaFault } from "../core/schema-fault.ts";

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
  const { pointer, problem } = schemaFault(schema, result.error);
  throw new InvalidArgumentError(at + pointer, problem);
}
