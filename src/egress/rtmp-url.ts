import { InvalidArgumentError } from "../core/error.ts";
import { bareHost } from "../core/host.ts";

/** Where an RTMP publish goes. */
export interface RtmpTarget {
  readonly secure: boolean;
  /** Name or address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  readonly app: string;
  /** With the query: servers read tokens from it. A secret, never logged. */
  readonly key: string;
  readonly tcUrl: string;
}

/**
 * Reads `rtmp[s]://host[:port]/app[/instance]/key[?query]`. The last part of the path is the key.
 *
 * @param where names the parameter in errors.
 * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if it is no such URL.
 */
export function parseRtmpUrl(url: string, where = "url"): RtmpTarget {
  const match =
    /^(rtmps?):\/\/(?:[^/@]*@)?(\[[0-9a-f:.]+\]|[^/:?#@[\]]+)(?::(\d{1,5}))?\/([^?#]*)(\?[^#]*)?$/i.exec(url);
  if (match === null) throw new InvalidArgumentError(where, "is not rtmp[s]://host[:port]/app/key");
  const [, scheme = "", bracketed = "", portText, path = "", query = ""] = match;
  const secure = scheme.toLowerCase() === "rtmps";
  const port = portText === undefined ? (secure ? 443 : 1935) : Number(portText);
  const parts = path.split("/");
  const name = parts.pop() ?? "";
  const app = parts.join("/");
  if (app === "" || name === "")
    throw new InvalidArgumentError(where, "needs an app and a key: rtmp://host/app/key");
  if (port < 1 || port > 65_535) throw new InvalidArgumentError(where, `has no valid port: ${port}`);
  const host = bareHost(bracketed);
  const authority = portText === undefined ? bracketed : `${bracketed}:${port}`;
  const tcUrl = `${scheme.toLowerCase()}://${authority}/${app}`;
  return { secure, host, port, app, key: name + query, tcUrl };
}
