import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe } from "vitest";

/** A third-party program that tests drive; `scripts/peers.json` says what it consists of. */
export type Peer =
  | "ffmpeg"
  | "gstreamer"
  | "gst-rtsp-server"
  | "nginx-rtmp"
  | "stunnel"
  | "openssl"
  | "chromium"
  | "llvmpipe";

interface PeerEntry {
  readonly for: string;
  readonly packages: readonly string[];
  readonly needs: readonly string[];
}

const rootUrl = new URL("../../", import.meta.url);
const reportUrl = new URL("node_modules/.tessera-peers.json", rootUrl);

/** All peers, as `scripts/ensure-peers.js` installs them. */
export const PEERS = JSON.parse(readFileSync(new URL("scripts/peers.json", rootUrl), "utf8")) as Readonly<
  Record<Peer, PeerEntry>
>;

/**
 * Gives vitest's `describe` for checks that need these programs.
 *
 * Where one is absent the checks are skipped, loudly; under CI that is a failure of the whole file instead.
 *
 * @example
 * requirePeer("ffmpeg", "nginx-rtmp")("pushing to nginx", () => { test(...) });
 */
export function requirePeer(...peers: readonly Peer[]): typeof describe | typeof describe.skip {
  const missing = peers.filter((peer) => !hasPeer(peer));
  if (missing.length === 0) return describe;
  const message = missing.map((peer) => `${peer} is missing (${whyMissing(peer)})`).join("; ");
  if (process.env.CI) throw new Error(`${message}: under CI every peer has to be there`);
  console.warn(`SKIPPED, LOUDLY: ${message}`);
  return describe.skip;
}

/** Whether every part of the peer is on this machine. */
export function hasPeer(peer: Peer): boolean {
  return PEERS[peer].needs.every(isMet);
}

const searchPath = [...(process.env.PATH ?? "").split(":"), "/usr/local/sbin", "/usr/sbin", "/sbin"];

/** Finds a program by any of its names, also in the folders of system programs that a user's path leaves out. */
export function findProgram(...names: readonly string[]): string | undefined {
  return searchPath
    .flatMap((folder) => names.map((name) => join(folder, name)))
    .find((file) => existsSync(file));
}

function isMet(need: string): boolean {
  const [kind, name = ""] = need.split(/:(.*)/s);
  if (kind === "bin") return findProgram(...name.split("|")) !== undefined;
  if (kind === "file") return existsSync(name);
  const folders = ["/usr/lib", ...readdirSync("/usr/lib").map((one) => `/usr/lib/${one}`)];
  return folders.some((folder) => existsSync(join(folder, name)));
}

function whyMissing(peer: Peer): string {
  if (!existsSync(reportUrl)) return `apt-get install ${PEERS[peer].packages.join(" ")}`;
  const { reasons } = JSON.parse(readFileSync(reportUrl, "utf8")) as { reasons: Record<string, string> };
  return reasons[peer] ?? "it was removed after it was installed";
}
