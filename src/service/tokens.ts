import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { UnauthorizedError } from "../core/error.ts";
import { ID_PATTERN } from "../core/id.ts";
import { wallMs } from "./time.ts";

/** What a token may allow. */
export type Action = "publish" | "play" | "control";
export const ACTIONS: readonly Action[] = ["publish", "play", "control"];

/** What a caller may do. */
export interface Grant {
  /** Absent: every mix, and the node itself. */
  readonly mix?: string | undefined;
  readonly actions: readonly Action[];
  /** Milliseconds since 1970; absent: without end. */
  readonly untilMs?: number | undefined;
}

const EVERYTHING: Grant = { actions: ACTIONS };
const PREFIX = "tsr1";

/**
 * Issues and checks tokens. The node's token allows everything; a signed one what is written in it:
 * `tsr1.<base64url JSON>.<base64url HMAC-SHA256>`. Nothing is kept per token, so one is taken back by its time.
 */
export class Tokens {
  readonly #node: Uint8Array | undefined;
  readonly #key: Uint8Array;
  readonly #now: () => number;

  /**
   * @param node the node's token; undefined lets everybody in, which is for loopback only.
   * @param key signs tokens; 32 random bytes.
   */
  constructor(node: string | undefined, key: Uint8Array, now: () => number = wallMs) {
    this.#node = node === undefined ? undefined : sha256(node);
    this.#key = key;
    this.#now = now;
  }

  /** A token that allows `grant` for `ttlS` seconds, but never longer than `by`, who asks for it. */
  issue(grant: Pick<Grant, "mix" | "actions">, ttlS: number, by: Grant): string {
    const untilMs = Math.min(this.#now() + ttlS * 1000, by.untilMs ?? Number.POSITIVE_INFINITY);
    const claims = {
      ...(grant.mix === undefined ? {} : { mix: grant.mix }),
      actions: grant.actions,
      untilMs,
    };
    const body = `${PREFIX}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}`;
    return `${body}.${this.#sign(body).toString("base64url")}`;
  }

  /**
   * What the bearer of `token` may do.
   *
   * @throws {UnauthorizedError} `ERR_UNAUTHORIZED` if it is missing though required, wrong, or past its time.
   */
  check(token: string | undefined): Grant {
    if (token === undefined || token === "") {
      if (this.#node === undefined) return EVERYTHING;
      throw new UnauthorizedError("a token is needed");
    }
    if (this.#node !== undefined && timingSafeEqual(sha256(token), this.#node)) return EVERYTHING;
    return this.#signed(token);
  }

  #signed(token: string): Grant {
    const end = token.lastIndexOf(".");
    const body = token.slice(0, Math.max(0, end));
    const given = Buffer.from(token.slice(end + 1), "base64url");
    const wanted = this.#sign(body);
    const good = given.length === wanted.length && timingSafeEqual(given, wanted);
    const grant = good ? readClaims(body) : undefined;
    if (grant === undefined) throw new UnauthorizedError("the token is not one of this node");
    if (isOver(grant, this.#now())) throw new UnauthorizedError("the token's time is over");
    return grant;
  }

  #sign(body: string): Buffer {
    return createHmac("sha256", this.#key).update(body).digest();
  }
}

/** True if `grant` covers `action` on `mix`, or on the node itself if that is undefined. Time is {@link demand}'s. */
export function allows(grant: Grant, action: Action, mix: string | undefined): boolean {
  const covers = grant.mix === undefined || grant.mix === mix;
  // Who may control a mix may also look at it.
  const acts = grant.actions.includes(action) || (action === "play" && grant.actions.includes("control"));
  return covers && acts;
}

/** True if the grant's time is over; a connection may outlive the token that opened it. */
export const isOver = ({ untilMs }: Grant, nowMs: number = wallMs()): boolean =>
  untilMs !== undefined && untilMs <= nowMs;

/** @throws {UnauthorizedError} `ERR_UNAUTHORIZED` if the grant's time is over or {@link allows} says no. */
export function demand(grant: Grant, action: Action, mix: string | undefined): void {
  if (isOver(grant)) throw new UnauthorizedError("the token's time is over");
  if (allows(grant, action, mix)) return;
  const what = mix === undefined ? "the node" : `mix ${mix}`;
  throw new UnauthorizedError(`the token does not allow to ${action} ${what}`);
}

const sha256 = (text: string): Buffer => createHash("sha256").update(text).digest();

/** Claims whose signature is good, so only our own mistakes are left to find. */
function readClaims(body: string): Grant | undefined {
  const [prefix, encoded = ""] = body.split(".");
  if (prefix !== PREFIX) return undefined;
  try {
    const claims = JSON.parse(Buffer.from(encoded, "base64url").toString("utf8")) as Partial<Grant>;
    const { mix, actions, untilMs } = claims;
    if (!Array.isArray(actions) || typeof untilMs !== "number") return undefined;
    if (mix !== undefined && !ID_PATTERN.test(mix)) return undefined;
    return { mix, untilMs, actions: ACTIONS.filter((action) => actions.includes(action)) };
  } catch {
    return undefined;
  }
}
