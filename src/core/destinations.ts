import { BlockList, isIP } from "node:net";
import { ForbiddenError, InvalidArgumentError } from "./error.ts";
import { bareHost } from "./host.ts";

/** Where this node may connect to and send, beyond the public internet. Plain data, so that workers get it too. */
export interface DestinationRules {
  /** CIDR blocks, addresses and host names that the operator allows (`--allow`). */
  readonly allow: readonly string[];
  /** True where only this machine's own users can ask: loopback is then nobody else's. */
  readonly loopback: boolean;
}

/** Not the public internet: RFC 6890 and the IANA special-purpose registries. */
const SPECIAL_V4 = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
];
const SPECIAL_V6 = [
  "::/128",
  "::1/128",
  "64:ff9b:1::/48",
  "100::/64",
  "2001::/23",
  "2001:db8::/32",
  "fc00::/7",
  "fe80::/10",
  "fec0::/10",
  "ff00::/8",
];
/** Prefixes that carry an IPv4 address, which is what counts: mapped, NAT64, 6to4; and the deprecated compatible. */
const CARRIES_V4: readonly { readonly block: string; readonly firstGroup: number }[] = [
  { block: "::ffff:0:0/96", firstGroup: 6 },
  { block: "64:ff9b::/96", firstGroup: 6 },
  { block: "2002::/16", firstGroup: 1 },
  { block: "::/96", firstGroup: 6 },
];

/**
 * Says which addresses may be connected to. Private, loopback, link-local and other special ones are refused unless
 * allowed, so that a caller cannot make the node speak to what only the node can reach.
 */
export class DestinationPolicy {
  readonly #allowed: BlockList;
  readonly #names: ReadonlySet<string>;
  readonly #loopback: boolean;

  /** @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if an entry is no CIDR block, address or host name. */
  constructor(rules: DestinationRules) {
    const names = rules.allow.filter((entry) => !/[/:]|^\d+(\.\d+){3}$/.test(entry));
    for (const name of names) {
      if (!/^[a-z0-9_]([a-z0-9_-]*\.?)*$/i.test(name)) {
        throw new InvalidArgumentError("allow", `is no CIDR block, address or host name: ${name}`);
      }
    }
    this.#names = new Set(names.map((name) => name.toLowerCase()));
    this.#allowed = blockList(rules.allow.filter((entry) => !names.includes(entry)));
    this.#loopback = rules.loopback;
  }

  /** True if the host was allowed by name: then its addresses need no check. */
  allowsName(host: string): boolean {
    return this.#names.has(host.toLowerCase().replace(/\.$/, ""));
  }

  /** True if this address, IPv4 or IPv6 without brackets, may be connected to. */
  allowsAddress(address: string): boolean {
    const bare = address.replace(/%.*$/, "");
    if (isIP(bare) === 0) return false;
    if (contains(this.#allowed, bare)) return true;
    const inner = isIP(bare) === 6 ? carriedV4(bare) : undefined;
    if (inner !== undefined) return this.allowsAddress(inner);
    if (this.#loopback && contains(LOOPBACK, bare)) return true;
    return !contains(SPECIAL, bare);
  }

  /**
   * Checks every address that a host has.
   *
   * @throws {ForbiddenError} `ERR_FORBIDDEN` if one of them is not allowed, or there are none.
   */
  check(host: string, addresses: readonly string[]): void {
    if (this.allowsName(host)) return;
    const refused = addresses.find((address) => !this.allowsAddress(address));
    if (refused === undefined && addresses.length > 0) return;
    const what =
      refused === undefined ? `${host} has no address` : `${host} is ${refused}, which is not public`;
    throw new ForbiddenError(`${what}; this node's --allow does not list it`);
  }
}

/**
 * The address that `host` of a URL is, however it is written (`127.1`, `0x7f.1`, `2130706433`, `[::1]`), or
 * undefined if it is a name to be resolved. WHATWG URL §3.5 does the reading, as `connect` would.
 *
 * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if it is no host at all.
 */
export function literalAddress(host: string): string | undefined {
  const bracketed = isIP(host) === 6 ? `[${host}]` : host;
  const url = URL.parse(`http://${bracketed}/`);
  if (url === null || url.hostname === "" || /[@/?#\\]/.test(host)) {
    throw new InvalidArgumentError("host", `is not a host: ${host}`);
  }
  const bare = bareHost(url.hostname);
  return isIP(bare) === 0 ? undefined : bare;
}

const LOOPBACK = blockList(["127.0.0.0/8", "::1/128"]);
const SPECIAL = blockList([...SPECIAL_V4, ...SPECIAL_V6]);

function blockList(entries: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = "", bits, ...more] = entry.split("/");
    const family = isIP(address);
    const length =
      bits === undefined ? (family === 4 ? 32 : 128) : /^\d{1,3}$/.test(bits) ? Number(bits) : -1;
    if (family === 0 || more.length > 0 || length < 0 || length > (family === 4 ? 32 : 128)) {
      throw new InvalidArgumentError("allow", `is no CIDR block, address or host name: ${entry}`);
    }
    list.addSubnet(address, length, family === 4 ? "ipv4" : "ipv6");
  }
  return list;
}

const contains = (list: BlockList, address: string): boolean =>
  list.check(address, isIP(address) === 4 ? "ipv4" : "ipv6");

/** The IPv4 address inside an IPv6 one, RFC 4291 §2.5.5, RFC 6052 §2.1, RFC 3056 §2. */
function carriedV4(address: string): string | undefined {
  for (const { block, firstGroup } of CARRIES_V4) {
    if (!contains(blockList([block]), address)) continue;
    const groups = groupsOf(address);
    const [high = 0, low = 0] = groups.slice(firstGroup, firstGroup + 2);
    const isUnspecifiedOrLoopback = block === "::/96" && high === 0 && low <= 1;
    if (isUnspecifiedOrLoopback) return undefined;
    return [high >> 8, high & 255, low >> 8, low & 255].join(".");
  }
  return undefined;
}

/** The eight groups of an IPv6 address, after WHATWG URL has written it in hexadecimal. */
function groupsOf(address: string): number[] {
  const written = bareHost(URL.parse(`http://[${address}]/`)?.hostname ?? "::");
  const [left = "", right] = written.split("::");
  const parse = (text: string): number[] =>
    text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
  const [head, tail] = [parse(left), parse(right ?? "")];
  const zeros = right === undefined ? 0 : 8 - head.length - tail.length;
  return [...head, ...new Array<number>(zeros).fill(0), ...tail];
}
