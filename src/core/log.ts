import { type Logger, pino } from "pino";

export type { Logger } from "pino";

/** Hides what must not reach a log: user info, query and stream key of a URL. */
export function redactUrl(url: string): string {
  const match = /^([a-z][a-z0-9+.-]*:\/\/)(?:[^/?#]*@)?([^/?#]*)([^?#]*)/i.exec(url);
  if (match === null) return url;
  const [, scheme = "", host = "", path = ""] = match;
  const shown = /^rtmps?:/i.test(scheme) ? path.replace(/\/[^/]*$/, "/…") : path;
  return `${scheme}${host}${shown}`;
}

/**
 * The process's root logger: JSON lines on stderr, so that stdout stays free for results.
 *
 * @param level a pino level, or `silent`.
 */
export function createLogger(level: string, bindings: Record<string, unknown> = {}): Logger {
  const redact = { paths: ["token", "*.token", "key", "*.key"], censor: "[redacted]" };
  return pino({ level, base: bindings, redact }, pino.destination({ fd: 2, sync: true }));
}
