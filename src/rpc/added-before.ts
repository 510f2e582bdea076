import { ExistsError } from "../core/error.ts";
import { bodyKey, bodyOf, type PartKind } from "../service/bodies.ts";
import type { Mix } from "../service/mix.ts";

/** A part of a mix as a caller asks for it. */
interface Wish {
  readonly id?: string | undefined;
}

/**
 * What the same request has added to `list` before, or came with the mix, so that it may come twice; undefined if its
 * id is free.
 *
 * @throws {ExistsError} `ERR_EXISTS` if another request took the id.
 */
export function addedBefore<T extends { readonly id: string }>(
  mix: Mix,
  kind: PartKind,
  list: readonly T[],
  wish: Wish,
): T | undefined {
  const existing = list.find(({ id }) => id === wish.id);
  if (existing === undefined) return undefined;
  if (mix.control.bodies[bodyKey(kind, existing.id)] === bodyOf(wish, existing.id)) return existing;
  throw new ExistsError(`${kind} ${existing.id} exists and is another one`);
}

/** Remembers what `wish` has added, for {@link addedBefore}. */
export const noteAdded = (mix: Mix, kind: PartKind, id: string, wish: Wish): void =>
  mix.note({ bodies: { ...mix.control.bodies, [bodyKey(kind, id)]: bodyOf(wish, id) } });
