import { ProtocolError } from "../core/error.ts";
import { ByteReader } from "./byte-reader.ts";

/** Message type ids (RTMP 1.0 §5.4, §6.2, §7.1). */
export const RTMP = {
  setChunkSize: 1,
  abort: 2,
  acknowledgement: 3,
  userControl: 4,
  windowAckSize: 5,
  setPeerBandwidth: 6,
  audio: 8,
  video: 9,
  dataAmf3: 15,
  commandAmf3: 17,
  dataAmf0: 18,
  commandAmf0: 20,
  aggregate: 22,
} as const;

/** User control events (RTMP 1.0 §7.1.7). */
export const USER_CONTROL = { streamBegin: 0, pingRequest: 6, pingResponse: 7 } as const;

/** One RTMP message. `body` belongs to the message; nobody else keeps or mutates it. */
export interface RtmpMessage {
  readonly type: number;
  /** 32 bits, wraps. */
  readonly timestampMs: number;
  readonly streamId: number;
  readonly body: Uint8Array;
  /** When its first chunk came, on the reader's caller's clock; 0 for messages that are sent. */
  readonly arrivalUs: number;
}

/** The body of a protocol control message that carries one 32-bit number (RTMP 1.0 §5.4). */
export function u32Body(value: number): Buffer {
  const body = Buffer.alloc(4);
  body.writeUInt32BE(value >>> 0);
  return body;
}

/** The body of a user control message with one 32-bit argument (RTMP 1.0 §6.2). */
export function userControlBody(event: number, argument: number): Buffer {
  const body = Buffer.alloc(6);
  body.writeUInt16BE(event);
  body.writeUInt32BE(argument >>> 0, 2);
  return body;
}

/**
 * Takes an aggregate message apart (RTMP 1.0 §7.1.6): FLV tags with back pointers, stamped relative to the first.
 *
 * @throws {ProtocolError} `ERR_PROTOCOL` if a tag is cut short.
 */
export function splitAggregate(message: RtmpMessage): RtmpMessage[] {
  const reader = new ByteReader(message.body, "RTMP aggregate");
  const messages: RtmpMessage[] = [];
  let firstMs: number | undefined;
  while (reader.left > 0) {
    const type = reader.u8();
    const length = reader.u24();
    const stampMs = reader.u24() | (reader.u8() << 24);
    reader.u24(); // Stream id; the aggregate's own overrides it.
    const body = reader.bytes(length);
    reader.u32(); // Back pointer.
    firstMs ??= stampMs;
    if (type === RTMP.aggregate) throw new ProtocolError("RTMP aggregate inside an aggregate");
    messages.push({ ...message, type, body, timestampMs: (message.timestampMs + stampMs - firstMs) >>> 0 });
  }
  return messages;
}
