import { Resolver } from "node:dns/promises";
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { type DestinationPolicy, literalAddress } from "../core/destinations.ts";
import { PeerUnreachableError } from "../core/error.ts";
import { bareHost } from "../core/host.ts";

/** Finds a host's addresses; the one that is connected to is one of them. Throws what forbids it. */
export type Resolve = (host: string, signal: AbortSignal) => Promise<readonly string[]>;

/** Of one query to one server; three are tried. */
const QUERY_MS = 2000;
const TRIES = 2;
const HOSTS_FILE = "/etc/hosts";

/**
 * Finds a host's addresses without `getaddrinfo`: that holds a thread of the pool for as long as a name server is
 * mute, and libav's work waits for the same threads.
 *
 * Asks the hosts file first, then DNS, IPv4 before IPv6.
 *
 * @throws {PeerUnreachableError} `ERR_PEER_UNREACHABLE` if it has none; `signal.reason` if aborted.
 */
export const resolveHost: Resolve = async (host, signal) => {
  const bare = bareHost(host);
  if (isIP(bare) !== 0) return [bare];
  const listed = addressesIn(await readFile(HOSTS_FILE, "utf8").catch(() => ""), bare);
  if (listed.length > 0) return listed;
  if (isLocalhost(bare)) return ["127.0.0.1", "::1"];
  return await ask(bare, signal);
};

/**
 * {@link resolveHost}, and every address checked against the node's rules before any is connected to.
 *
 * Throws `ERR_FORBIDDEN` besides what {@link resolveHost} throws.
 */
export const checkedResolve =
  (policy: DestinationPolicy): Resolve =>
  async (host, signal) => {
    const addresses = await resolveHost(literalAddress(host) ?? host, signal);
    policy.check(host, addresses);
    return addresses;
  };

/** RFC 6761 §6.3: these never leave the machine. */
const isLocalhost = (host: string): boolean => /(^|\.)localhost\.?$/i.test(host);

async function ask(host: string, signal: AbortSignal): Promise<readonly string[]> {
  signal.throwIfAborted();
  const resolver = new Resolver({ timeout: QUERY_MS, tries: TRIES });
  const cancel = (): void => resolver.cancel();
  signal.addEventListener("abort", cancel, { once: true });
  try {
    const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    signal.throwIfAborted();
    const found = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
    if (found.length > 0) return found;
    const failed = answers.find((answer) => answer.status === "rejected");
    throw new PeerUnreachableError(`${host} has no address`, { cause: failed?.reason });
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

/** hosts(5): an address, then its names; `#` begins a comment. */
export function addressesIn(hosts: string, host: string): string[] {
  const wanted = host.toLowerCase();
  return hosts.split("\n").flatMap((line) => {
    const [address = "", ...names] = (line.split("#")[0] ?? "").trim().split(/\s+/);
    return isIP(address) !== 0 && names.some((name) => name.toLowerCase() === wanted) ? [address] : [];
  });
}
