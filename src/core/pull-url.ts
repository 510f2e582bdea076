import { fileURLToPath } from "node:url";
import { InvalidArgumentError } from "./error.ts";

/** True if a pull's URL names a file of this machine: a path, or a `file:` URL. */
export const isLocal = (url: string): boolean => !/^[a-z][a-z0-9+.-]*:/i.test(url) || /^file:/i.test(url);

/**
 * The path that a pull's URL names, decoded (RFC 8089); undefined if it names a peer.
 *
 * @param pointer where the URL stands, for the error.
 * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` for a `file:` URL of another machine, or what no path holds.
 */
export function localPath(url: string, pointer: string): string | undefined {
  if (!isLocal(url)) return undefined;
  const path = /^file:/i.test(url) ? decoded(url, pointer) : url;
  if (path.includes("\0")) throw new InvalidArgumentError(pointer, "is not a path");
  return path;
}

function decoded(url: string, pointer: string): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw new InvalidArgumentError(pointer, "is not a file URL of this machine", { cause });
  }
}

/**
 * Why a URL's query asks for what pulls do not do; undefined if it does not.
 *
 * A pull calls its peer, and over one connection that was checked: a listener would open a port of this node on the
 * word of whoever names the URL, and RTSP over UDP takes packets from, and sends to, whom the server names.
 */
export function refusedPull(url: string): string | undefined {
  if (/^srt:/i.test(url) && asks(url, /^mode=(?!caller$)/))
    return "asks SRT to listen; a pull calls (mode=caller)";
  if (/^rtsps?:/i.test(url) && asks(url, /^(udp|multicast|http)$/))
    return "asks RTSP for something else than TCP";
  return undefined;
}

/** True if a part of the query, split wherever FFmpeg may split it, matches. */
const asks = (url: string, option: RegExp): boolean =>
  (/\?(.*)$/s.exec(url)?.[1] ?? "").split(/[?&]/).some((part) => option.test(part));
