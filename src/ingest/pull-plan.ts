import { InvalidArgumentError, NotSupportedError } from "../core/error.ts";
import { refusedPull } from "../core/pull-url.ts";
import { CONTAINER_FORMATS } from "./formats.ts";

/** How one URL is opened by FFmpeg, as plain data. */
export interface PullPlan {
  /** FFmpeg protocols that may be opened. */
  readonly protocols: readonly string[];
  /** FFmpeg formats that may be read. */
  readonly formats: readonly string[];
  /** FFmpeg's options for protocol and format. */
  readonly extra: Readonly<Record<string, string | number>>;
  /**
   * How FFmpeg reaches the peer, so that it connects to checked addresses alone: through {@link CheckedProxy}, through
   * {@link RtspRelay}, or with the checked address in the host's place, where FFmpeg knows no redirects.
   */
  readonly via: "proxy" | "relay" | "address";
  /** Packets come when they come: who does not read them loses them. False: the peer waits for the reader. */
  readonly isLive: boolean;
  /** The description of the streams is complete before the first packet (RTSP's SDP). */
  readonly probeIfNeeded: boolean;
}

const LIVE = { isLive: true, via: "address", probeIfNeeded: false } as const;
/** Live streams are looked at no longer than this to find their parameters, and not at all for their frame rate. */
const SHORT_PROBE = { analyzeduration: 2_000_000, fpsprobesize: 0 };

/**
 * What it takes to open `url`.
 *
 * @param ioTimeoutUs how long one read or write of FFmpeg may take; the process that reads is killed anyway, later.
 * @throws {NotSupportedError} `ERR_NOT_SUPPORTED` for other schemes.
 * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` for what is no URL with a host, or asks to listen.
 */
export function planPull(url: string, ioTimeoutUs: number): PullPlan {
  const parsed = URL.parse(url);
  if (parsed === null || !/^[a-z]+:\/\/[^/]/i.test(url))
    throw new InvalidArgumentError("url", "is no URL with a host");
  const refused = refusedPull(url);
  if (refused !== undefined) throw new InvalidArgumentError("url", refused);
  const io = { rw_timeout: ioTimeoutUs };
  const flv = { formats: ["flv", "live_flv"], extra: { ...io, ...SHORT_PROBE, rtmp_live: "live" } };
  const rtsp = {
    formats: ["rtsp", "sdp", "rtp", "mpegts"],
    extra: { ...SHORT_PROBE, rtsp_transport: "tcp", timeout: ioTimeoutUs },
    probeIfNeeded: true,
    via: "relay",
  } as const;
  const http = {
    formats: [...CONTAINER_FORMATS, "hls"],
    extra: io,
    via: "proxy",
    isLive: false,
    probeIfNeeded: false,
  } as const;
  const tunnel = ["tls", "tcp", "httpproxy"];
  switch (parsed.protocol) {
    case "rtmp:":
      return { ...LIVE, ...flv, protocols: ["rtmp", "tcp"] };
    case "rtmps:":
      return { ...LIVE, ...flv, protocols: ["rtmps", ...tunnel], via: "proxy" };
    case "rtsp:":
    case "rtsps:":
      return { ...LIVE, ...rtsp, protocols: ["rtsp", "tcp"] };
    case "srt:":
      return {
        ...LIVE,
        protocols: ["srt"],
        formats: ["mpegts"],
        extra: { ...SHORT_PROBE, timeout: ioTimeoutUs },
      };
    case "http:":
    case "https:":
      return { ...http, protocols: ["http", "https", "crypto", ...tunnel] };
    default:
      throw new NotSupportedError(`${parsed.protocol} is not pulled`);
  }
}

/**
 * Puts the checked address in the host's place, and for RTMP says what the server was called (`tcUrl`), as servers
 * tell their tenants apart by it.
 */
export function pinAddress(url: string, address: string, plan: PullPlan): { url: string; plan: PullPlan } {
  const match = /^([a-z]+:\/\/)([^/?#]*@)?(\[[^\]]*\]|[^:/?#]*)(.*)$/is.exec(url);
  const [, scheme = "", user = "", host = "", rest = ""] = match ?? [];
  const literal = address.includes(":") ? `[${address}]` : address;
  if (host === literal) return { url, plan };
  const pinned = `${scheme}${user}${literal}${rest}`;
  if (!/^rtmp:/i.test(scheme)) return { url: pinned, plan };
  const [port = "", ...path] = rest.split(/[?#]/)[0]?.split("/") ?? [];
  // As FFmpeg splits it: the application has two parts where three are given.
  const application = path.slice(0, path.length > 2 ? 2 : 1).join("/");
  const extra = { ...plan.extra, rtmp_tcurl: `${scheme}${host}${port}/${application}` };
  return { url: pinned, plan: { ...plan, extra } };
}
