import { lookup } from "node:dns/promises";
import { connect, isIP, type LookupFunction, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { type DestinationPolicy, literalAddress } from "../core/destinations.ts";
import { PeerUnreachableError, wordsOf } from "../core/error.ts";
import { bareHost } from "../core/host.ts";

/** Whom to connect to, as a URL says it. */
export interface Destination {
  /** A name or an address; brackets around IPv6 are taken off. */
  readonly host: string;
  readonly port: number;
  /** By TLS, and only to a peer whose certificate is for `host` and signed by an authority that is trusted here. */
  readonly secure: boolean;
}

/**
 * Resolves `host`, without brackets, and returns its addresses, IPv4 first, once all of them are checked.
 *
 * @throws {ForbiddenError} `ERR_FORBIDDEN` if the policy refuses one of them.
 * @throws {PeerUnreachableError} `ERR_PEER_UNREACHABLE` if there are none.
 */
export async function checkedAddresses(
  host: string,
  policy: DestinationPolicy,
): Promise<readonly [string, ...string[]]> {
  const literal = literalAddress(host);
  const found = literal === undefined ? await resolve(host) : [literal];
  policy.check(host, found);
  const [first, ...others] = found;
  if (first === undefined) throw new PeerUnreachableError(`${host} has no address`);
  return [first, ...others];
}

/**
 * What `net.connect` and its like need to try the checked addresses of `host`, without brackets, and no other.
 *
 * Throws what {@link checkedAddresses} throws.
 */
export async function checkedRoute(
  host: string,
  policy: DestinationPolicy,
): Promise<{ readonly host: string; readonly lookup: LookupFunction }> {
  const addresses = await checkedAddresses(host, policy);
  const found = addresses.map((address) => ({ address, family: isIP(address) }));
  const lookup: LookupFunction = (_name, { all }, answer) => {
    if (all === true) answer(null, found);
    else answer(null, addresses[0], isIP(addresses[0]));
  };
  // Node looks no address up, and reads some that FFmpeg and we read (0x7f.1) as names.
  return { host: literalAddress(host) ?? host, lookup };
}

/**
 * Connects to an address that was checked.
 *
 * @throws {ForbiddenError} `ERR_FORBIDDEN` as {@link checkedAddresses}.
 * @throws {PeerUnreachableError} `ERR_PEER_UNREACHABLE` if it refuses, or its certificate is not to be trusted.
 */
export async function checkedDial(
  { host, port, secure }: Destination,
  policy: DestinationPolicy,
): Promise<Socket> {
  const route = await checkedRoute(bareHost(host), policy);
  // RFC 6066 §3: addresses are no server names; Node checks the certificate against the address then.
  const name = isIP(route.host) === 0 ? { servername: route.host } : {};
  const socket = secure ? connectTls({ ...route, port, ...name }) : connect({ ...route, port });
  const { promise, resolve: connected, reject } = Promise.withResolvers<void>();
  socket.once(secure ? "secureConnect" : "connect", connected).once("error", reject);
  try {
    await promise;
    return socket;
  } catch (cause) {
    throw new PeerUnreachableError(`${host}: ${wordsOf(cause)}`, { cause });
  } finally {
    socket.off("error", reject);
  }
}

async function resolve(host: string): Promise<string[]> {
  try {
    const found = await lookup(host, { all: true, order: "ipv4first" });
    return found.map(({ address }) => address);
  } catch (cause) {
    throw new PeerUnreachableError(`${host} cannot be resolved`, { cause });
  }
}
