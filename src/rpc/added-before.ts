import { ExistsError } from "../core/error.ts";
import { digest } from "../service/canonical.ts";
import type { Mix } from "../service/mix.ts";

/** A source or an output as a caller asks for it. */
interface Wish {
  readonly id?: string | undefined;
}

/**
 * What the same request has added to `list` before, so that it may come twice; undefined if its id is free.
 *
 * @throws {ExistsError} `ERR_EXISTS` if another request took the id.
 */
export function addedBefore<T extends { readonly id: string }>(
  mix: Mix,
  kind: "source" | "output",
  list: readonly T[],
  wish: Wish,
): T | undefined {
  const existing = list.find(({ id }) => id === wish.id);
  if (existing === undefined || mix.control.bodies[`${kind}/${existing.id}`] === digest(wish))
    return existing;
  throw new ExistsError(`${kind} ${existing.id} exists and is another one`);
}

/** Remembers what `wish` has added, for {@link addedBefore}. */
export const noteAdded = (mix: Mix, kind: "source" | "output", id: string, wish: Wish): void =>
  mix.note({ bodies: { ...mix.control.bodies, [`${kind}/${id}`]: digest(wish) } });
