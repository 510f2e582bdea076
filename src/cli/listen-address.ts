import { literalAddress } from "../core/destinations.ts";
import { InvalidArgumentError } from "../core/error.ts";
import { bareHost } from "../core/host.ts";

/** Where a door listens. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * Reads `127.0.0.1:8080`, `[::1]:8080`, `:8080` (all of this machine's addresses) or `8080` (loopback).
 * `off` gives undefined.
 *
 * @param option its name, for the error. @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT`
 */
export function listenAddress(text: string, option: string): ListenAddress | undefined {
  if (text === "off") return undefined;
  const [, host, portText] = /^(?:(\[[^\]]+\]|[^:[\]]*):)?(\d{1,5})$/.exec(text) ?? [];
  const port = Number(portText);
  if (portText === undefined || port > 65_535) {
    throw new InvalidArgumentError(option, `is not host:port or off: ${text}`);
  }
  if (host === undefined) return { host: "127.0.0.1", port };
  return { host: host === "" ? "::" : bareHost(host), port };
}

/** True if only this machine can reach it. */
export function isLoopback({ host }: ListenAddress): boolean {
  if (host === "localhost") return true;
  const address = literalAddress(host);
  return address === "::1" || (address?.startsWith("127.") ?? false);
}

/**
 * Closed by default: what others can reach needs a token.
 *
 * @param option the address's name, for the error. @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT`
 */
export function requireToken(
  address: ListenAddress | undefined,
  token: string | undefined,
  option: string,
): void {
  if (address === undefined || token !== undefined || isLoopback(address)) return;
  throw new InvalidArgumentError(
    option,
    `${inUrl(address.host)} can be reached by others: set --token, or listen on loopback`,
  );
}

/** As it stands in a URL. */
export const inUrl = (host: string): string => (host.includes(":") ? `[${host}]` : host);
