import { lookup } from "node:dns/promises";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { type DestinationPolicy, literalAddress } from "../core/destinations.ts";
import { PeerUnreachableError } from "../core/error.ts";

/** Whom to connect to, as a URL says it. */
export interface Destination {
  /** A name or an address; brackets around IPv6 are taken off. */
  readonly host: string;
  readonly port: number;
  /** By TLS, and only to a peer whose certificate is for `host` and signed by an authority that is trusted here. */
  readonly secure: boolean;
}

/**
 * Resolves `host`, without brackets, and returns the address to connect to: the one that was checked.
 *
 * @throws {ForbiddenError} `ERR_FORBIDDEN` if the policy refuses one of the host's addresses.
 * @throws {PeerUnreachableError} `ERR_PEER_UNREACHABLE` if it cannot be resolved.
 */
export async function checkedAddress(host: string, policy: DestinationPolicy): Promise<string> {
  const literal = literalAddress(host);
  const found = literal === undefined ? await resolve(host) : [literal];
  policy.check(host, found);
  const [first] = found;
  if (first === undefined) throw new PeerUnreachableError(`${host} has no address`);
  return first;
}

/**
 * Connects to the address that was checked.
 *
 * @throws {ForbiddenError} `ERR_FORBIDDEN` as {@link checkedAddress}.
 * @throws {PeerUnreachableError} `ERR_PEER_UNREACHABLE` if it refuses, or its certificate is not to be trusted.
 */
export async function checkedDial(
  { host, port, secure }: Destination,
  policy: DestinationPolicy,
): Promise<Socket> {
  const bare = host.replace(/^\[|\]$/g, "");
  const address = await checkedAddress(bare, policy);
  // RFC 6066 §3: addresses are no server names; Node checks the certificate against the address then.
  const name = literalAddress(bare) === undefined ? { servername: bare } : {};
  const socket = secure ? connectTls({ host: address, port, ...name }) : connect({ host: address, port });
  const { promise, resolve: connected, reject } = Promise.withResolvers<void>();
  socket.once(secure ? "secureConnect" : "connect", connected).once("error", reject);
  try {
    await promise;
    return socket;
  } catch (cause) {
    throw new PeerUnreachableError(`${host}: ${(cause as Error).message}`, { cause });
  } finally {
    socket.off("error", reject);
  }
}

async function resolve(host: string): Promise<string[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch (cause) {
    throw new PeerUnreachableError(`${host} cannot be resolved`, { cause });
  }
}
