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
