import { ProtocolError } from "../core/error.ts";

/** Bounds of one message's lines and of its body, in bytes. */
const MAX_HEADER_BYTES = 16_384;
const MAX_BODY_BYTES = 1_048_576;
const DOLLAR = 0x24;
const LF = 0x0a;

/** The server's answer leads elsewhere; who asked decides whether to go there. */
export class RtspRedirect extends ProtocolError {
  /** As the server wrote it; undefined if it did not say where. */
  readonly location: string | undefined;

  constructor(location: string | undefined) {
    super("the RTSP server redirects");
    this.location = location;
  }
}

/**
 * Reads what an RTSP server sends (RFC 2326 §4, §10.12), up to its first redirect (3xx), which is an error here.
 *
 * Strict, so that no reader of the same bytes finds another message in them: lines begin and end where FFmpeg sees
 * them, a body has one length, and nothing else lies between messages and interleaved frames.
 */
export class RtspReader {
  #held: Buffer = Buffer.alloc(0);
  /** Bytes of a body or frame that are still to come. */
  #passing = 0;

  /**
   * Returns the next bytes of the stream that are known to be harmless, maybe none: those of a message only once its
   * lines are there.
   *
   * @throws {RtspRedirect} `ERR_PROTOCOL`; {@link ProtocolError} `ERR_PROTOCOL` if it is no RTSP, ambiguous or too long.
   */
  push(chunk: Buffer): Buffer {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const end = this.#read(bytes);
    this.#held = bytes.subarray(end);
    return bytes.subarray(0, end);
  }

  /** Returns how many of `bytes` may go on now. */
  #read(bytes: Buffer): number {
    let at = 0;
    while (at < bytes.length) {
      if (this.#passing === 0) {
        const length = bytes[at] === DOLLAR ? frameBytes(bytes, at) : messageBytes(bytes, at);
        if (length === undefined) break;
        this.#passing = length;
      }
      const step = Math.min(this.#passing, bytes.length - at);
      this.#passing -= step;
      at += step;
    }
    return at;
  }
}

/** Length of the interleaved frame at `at`, RFC 2326 §10.12; undefined while its header is not there. */
function frameBytes(bytes: Buffer, at: number): number | undefined {
  return bytes.length - at < 4 ? undefined : 4 + bytes.readUInt16BE(at + 2);
}

/** Length of the message at `at`, with its body; undefined while its lines are not there. */
function messageBytes(bytes: Buffer, at: number): number | undefined {
  const lines: string[] = [];
  for (let from = at; ; ) {
    const end = bytes.indexOf(LF, from);
    if ((end < 0 ? bytes.length : end) - at > MAX_HEADER_BYTES) throw new ProtocolError("RTSP: long message");
    if (end < 0) return undefined;
    const line = bytes.toString("latin1", from, end).replace(/\r$/, "");
    from = end + 1;
    if (line === "") return from - at + bodyBytes(lines);
    lines.push(line);
  }
}

/** Length of the body that a message's lines announce, once they are found to be harmless. */
function bodyBytes([first = "", ...fields]: readonly string[]): number {
  const status = /^RTSP\/\d\.\d (\d{3})(?: |$)/.exec(first)?.[1];
  // A request to us: OPTIONS, ANNOUNCE, SET_PARAMETER and their like.
  if (status === undefined && !/^[A-Z_]+ \S+ RTSP\/\d\.\d$/.test(first))
    throw new ProtocolError("RTSP: no message");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they would end a line for some readers and not for others
  if ([first, ...fields].some((line) => /^\$|[\0-\x08\x0a-\x1f]/.test(line)))
    throw new ProtocolError("RTSP: stray bytes in a message");
  if (status?.startsWith("3")) {
    const location = fields.map((field) => /^location:\s*(\S+)/i.exec(field)?.[1]);
    throw new RtspRedirect(location.find((found) => found !== undefined));
  }
  const lengths = fields.filter((field) => /^\s*content-length/i.test(field));
  if (lengths.length === 0) return 0;
  const digits = /^content-length:\s*(\d{1,7})\s*$/i.exec(lengths[0] ?? "")?.[1];
  if (lengths.length > 1 || digits === undefined || Number(digits) > MAX_BODY_BYTES)
    throw new ProtocolError("RTSP: a body without one plain length");
  return Number(digits);
}
