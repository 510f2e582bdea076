import { type ErrorInfo, errorInfo, type Fault, ProtocolError } from "../core/error.ts";
import { us } from "../core/time.ts";
import type { Packet } from "../media/packet.ts";
import type { StreamInfo } from "../media/stream-info.ts";
import { ByteReader } from "../protocol/byte-reader.ts";

/**
 * The frames of a packet pipe: a 32-bit length, then a type byte and its fields, all big-endian. A stream is one
 * attempt at one source; its number is chosen by the writer and never used again on the same pipe.
 */
export type PipeFrame =
  | { readonly type: "open"; readonly stream: number; readonly source: string }
  /** `packet.arrivalUs` is on the machine's monotonic clock, so that both ends can place it on their own. */
  | { readonly type: "packet"; readonly stream: number; readonly packet: Packet }
  | { readonly type: "end"; readonly stream: number; readonly error?: ErrorInfo }
  /** Reader to writer: so many more packets were consumed. */
  | { readonly type: "credit"; readonly stream: number; readonly packets: number }
  /** Reader to writer: no more of this stream is wanted. */
  | { readonly type: "close"; readonly stream: number }
  | { readonly type: "control"; readonly text: string };

const TYPE = { open: 1, packet: 2, end: 3, credit: 4, close: 5, control: 6 } as const;
/** Longer frames are refused: no access unit or block is larger. */
const MAX_FRAME_BYTES = 32 << 20;
const FLAG = { video: 1, key: 2, discontinuity: 4, info: 8, skip: 16, discard: 32, alpha: 64 } as const;

/** A frame as bytes, in parts that need not be joined: media is not copied. */
export function encodeFrame(frame: PipeFrame): Uint8Array[] {
  switch (frame.type) {
    case "open":
      return withLength([head(TYPE.open, frame.stream), Buffer.from(frame.source)]);
    case "packet":
      return withLength([packetHead(frame.stream, frame.packet), frame.packet.data]);
    case "end":
      return withLength([head(TYPE.end, frame.stream), json(frame.error)]);
    case "credit": {
      const body = Buffer.alloc(9);
      head(TYPE.credit, frame.stream).copy(body);
      body.writeUInt32BE(frame.packets, 5);
      return withLength([body]);
    }
    case "close":
      return withLength([head(TYPE.close, frame.stream)]);
    case "control":
      return withLength([Buffer.from([TYPE.control]), Buffer.from(frame.text)]);
  }
}

/** Cuts a byte stream into frames. Holds at most one unfinished frame. */
export class FrameParser {
  #parts: Buffer[] = [];
  #held = 0;
  #need = 4;
  #inBody = false;

  /**
   * Takes bytes in whatever pieces they come.
   *
   * @throws {ProtocolError} `ERR_PROTOCOL` for anything that no writer wrote; the parser is then of no more use.
   */
  push(data: Buffer): PipeFrame[] {
    const frames: PipeFrame[] = [];
    this.#parts.push(data);
    this.#held += data.length;
    while (this.#held >= this.#need) {
      const taken = this.#take(this.#need);
      if (this.#inBody) {
        frames.push(decodeFrame(taken));
        this.#need = 4;
      } else {
        this.#need = taken.readUInt32BE(0);
        if (this.#need < 1 || this.#need > MAX_FRAME_BYTES)
          throw new ProtocolError(`packet pipe: frame of ${this.#need} bytes`);
      }
      this.#inBody = !this.#inBody;
    }
    return frames;
  }

  #take(length: number): Buffer {
    const all = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts);
    const joined = all ?? Buffer.alloc(0);
    this.#parts = joined.length > length ? [joined.subarray(length)] : [];
    this.#held -= length;
    return joined.subarray(0, length);
  }
}

function decodeFrame(bytes: Buffer): PipeFrame {
  const reader = new ByteReader(bytes, "packet pipe");
  const type = reader.u8();
  if (type === TYPE.control) return { type: "control", text: reader.text(reader.left) };
  const stream = reader.u32();
  switch (type) {
    case TYPE.open:
      return { type: "open", stream, source: reader.text(reader.left) };
    case TYPE.packet:
      return { type: "packet", stream, packet: readPacket(reader) };
    case TYPE.end: {
      const error = reader.left === 0 ? undefined : readError(parseJson(reader.text(reader.left)));
      return { type: "end", stream, ...(error === undefined ? {} : { error }) };
    }
    case TYPE.credit:
      return { type: "credit", stream, packets: reader.u32() };
    case TYPE.close:
      return { type: "close", stream };
    default:
      throw new ProtocolError(`packet pipe: frame type ${type}`);
  }
}

function packetHead(stream: number, packet: Packet): Buffer {
  const info = packet.info === undefined ? Buffer.alloc(0) : encodeInfo(packet.info);
  const skips = packet.skipStart !== undefined || packet.skipEnd !== undefined;
  const bytes = Buffer.allocUnsafe(
    FIXED_BYTES + (skips ? 8 : 0) + sizeOf(packet.info && info) + sizeOf(packet.alpha),
  );
  let flags = packet.kind === "video" ? FLAG.video : 0;
  if (packet.keyFrame) flags |= FLAG.key;
  if (packet.discontinuity === true) flags |= FLAG.discontinuity;
  if (packet.info !== undefined) flags |= FLAG.info;
  if (skips) flags |= FLAG.skip;
  if (packet.discard === true) flags |= FLAG.discard;
  if (packet.alpha !== undefined) flags |= FLAG.alpha;
  let at = bytes.writeUInt8(TYPE.packet);
  at = bytes.writeUInt32BE(stream, at);
  at = bytes.writeUInt8(flags, at);
  for (const stamp of [packet.ptsUs, packet.dtsUs, packet.durationUs, packet.arrivalUs])
    at = bytes.writeDoubleBE(stamp, at);
  if (skips) {
    at = bytes.writeUInt32BE(packet.skipStart ?? 0, at);
    at = bytes.writeUInt32BE(packet.skipEnd ?? 0, at);
  }
  if (packet.info !== undefined) {
    at = bytes.writeUInt32BE(info.length, at);
    at += info.copy(bytes, at);
  }
  if (packet.alpha !== undefined) {
    at = bytes.writeUInt32BE(packet.alpha.byteLength, at);
    bytes.set(packet.alpha, at);
  }
  return bytes;
}

/** Of bytes with their length before them. */
const sizeOf = (bytes: Uint8Array | undefined): number => (bytes === undefined ? 0 : 4 + bytes.byteLength);

/** Type, stream, flags, four stamps as doubles: microseconds are integers below 2^53. */
const FIXED_BYTES = 1 + 4 + 1 + 4 * 8;

function readPacket(reader: ByteReader): Packet {
  const flags = reader.u8();
  const stamp = (): ReturnType<typeof us> => {
    const value = reader.f64();
    if (!Number.isSafeInteger(value)) throw new ProtocolError("packet pipe: a stamp is no integer");
    return us(value);
  };
  const [ptsUs, dtsUs, durationUs, arrivalUs] = [stamp(), stamp(), stamp(), stamp()];
  const skips = flags & FLAG.skip ? { skipStart: reader.u32(), skipEnd: reader.u32() } : {};
  const kind = flags & FLAG.video ? "video" : "audio";
  const info = flags & FLAG.info ? decodeInfo(reader.text(reader.u32()), kind) : undefined;
  const alpha = flags & FLAG.alpha ? reader.bytes(reader.u32()) : undefined;
  return {
    kind,
    data: reader.rest(),
    ptsUs,
    dtsUs,
    durationUs,
    keyFrame: (flags & FLAG.key) !== 0,
    arrivalUs,
    ...(info === undefined ? {} : { info }),
    ...(alpha === undefined ? {} : { alpha }),
    ...(flags & FLAG.discontinuity ? { discontinuity: true } : {}),
    ...(flags & FLAG.discard ? { discard: true } : {}),
    ...skips,
  };
}

/** JSON, with bytes in base64 and big integers in hex: what a broken child writes can then only fail to parse. */
function encodeInfo(info: StreamInfo): Buffer {
  const plain = JSON.stringify(info, (_key, value: unknown) => {
    if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString("base64") };
    if (typeof value === "bigint") return { bigint: value.toString(16) };
    // A Buffer's toJSON comes before the replacer sees it.
    const buffer = value as { readonly type?: unknown; readonly data?: unknown } | null;
    if (typeof buffer === "object" && buffer?.type === "Buffer" && Array.isArray(buffer.data))
      return { base64: Buffer.from(buffer.data as number[]).toString("base64") };
    return value;
  });
  return Buffer.from(plain);
}

function decodeInfo(text: string, kind: "video" | "audio"): StreamInfo {
  const value = parseJson(text, (_key, one: unknown) => {
    if (typeof one !== "object" || one === null) return one;
    if ("base64" in one && typeof one.base64 === "string")
      return new Uint8Array(Buffer.from(one.base64, "base64"));
    if ("bigint" in one && typeof one.bigint === "string" && /^[0-9a-f]{1,32}$/.test(one.bigint))
      return BigInt(`0x${one.bigint}`);
    return one;
  });
  const info = value as { readonly kind?: unknown; readonly codec?: unknown; readonly extradata?: unknown };
  const isInfo = info.kind === kind && typeof info.codec === "string";
  if (!isInfo || (info.extradata !== undefined && !(info.extradata instanceof Uint8Array)))
    throw new ProtocolError("packet pipe: no stream info");
  return value as unknown as StreamInfo;
}

function readError(value: object): ErrorInfo {
  const { code, fault, retryable, message } = value as Partial<Record<keyof ErrorInfo, unknown>>;
  const faults: readonly unknown[] = ["caller", "peer", "device", "bug"];
  if (
    typeof code !== "string" ||
    !code.startsWith("ERR_") ||
    !faults.includes(fault) ||
    typeof message !== "string"
  )
    return errorInfo(new ProtocolError("packet pipe: no error info"));
  return { code, fault: fault as Fault, retryable: retryable === true, message };
}

function parseJson(text: string, reviver?: (key: string, value: unknown) => unknown): object {
  try {
    const value: unknown = JSON.parse(text, reviver);
    if (typeof value === "object" && value !== null) return value;
  } catch (cause) {
    throw new ProtocolError("packet pipe: not JSON", { cause });
  }
  throw new ProtocolError("packet pipe: not an object");
}

function head(type: number, stream: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes[0] = type;
  bytes.writeUInt32BE(stream, 1);
  return bytes;
}

const json = (value: unknown): Buffer =>
  value === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(value));

function withLength(parts: readonly Uint8Array[]): Uint8Array[] {
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32BE(parts.reduce((sum, part) => sum + part.length, 0));
  return [length, ...parts];
}
