import { isIP } from "node:net";
import { ForbiddenError } from "../core/error.ts";
import { bareHost } from "../core/host.ts";

/** Which names this server answers to, and which pages may call it. */
export interface GuardOptions {
  /** Host it is bound to, as the operator wrote it. */
  readonly host: string;
  /** Where users reach it, e.g. through a proxy. */
  readonly publicUrl?: string | undefined;
  /** Origins of pages that may call it besides its own, e.g. `https://console.example`. */
  readonly origins: readonly string[];
}

/** The headers that say from where and to where a browser believes to speak. */
export interface GuardedHeaders {
  readonly host?: string | undefined;
  readonly origin?: string | undefined;
}

/**
 * Keeps web pages of others away. Loopback is open to every page that a user of this machine visits, so the name in
 * `Host` must be ours (a page whose name was rebound to this address has its own) and `Origin`, if there is one,
 * must be the same origin or one that the operator listed.
 */
export class Guard {
  readonly #names: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;

  constructor(options: GuardOptions) {
    const publicUrl = options.publicUrl === undefined ? null : URL.parse(options.publicUrl);
    this.#names = new Set(["localhost", options.host.toLowerCase(), publicUrl?.hostname ?? "localhost"]);
    this.#origins = new Set([...options.origins, ...(publicUrl === null ? [] : [publicUrl.origin])]);
  }

  /** @throws {ForbiddenError} `ERR_FORBIDDEN` */
  check({ host, origin }: GuardedHeaders): void {
    const url = host === undefined || /[@/?#\\\s]/.test(host) ? null : URL.parse(`http://${host}`);
    if (url === null) throw new ForbiddenError("the request has no valid Host");
    const name = bareHost(url.hostname).replace(/\.$/, "");
    // An address cannot be rebound: whoever wrote it into a URL meant this machine.
    if (isIP(name) === 0 && !this.#names.has(name)) {
      throw new ForbiddenError(`this server is not ${name}; if it is, say so with --public-url`);
    }
    if (origin === undefined || this.#origins.has(origin)) return;
    if (URL.parse(origin)?.host !== url.host)
      throw new ForbiddenError("pages of another origin may not call this");
  }
}

/** The token of `Authorization: Bearer T` (RFC 6750 §2.1), or undefined. */
export const bearer = (authorization: string | undefined): string | undefined =>
  /^Bearer +([^ ]+) *$/i.exec(authorization ?? "")?.[1];
