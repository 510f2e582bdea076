import { RTMP, u32Body } from "./rtmp-message.ts";

/** A message to send: what of {@link RtmpMessage} the sender chooses. */
export interface OutgoingMessage {
  readonly type: number;
  /** 32 bits; larger values wrap. */
  readonly timestampMs: number;
  readonly streamId: number;
  readonly body: Uint8Array;
}

/** Stamps from here on go into the extended timestamp (RTMP 1.0 §5.3.1.3). */
const EXTENDED = 0xffffff;

/** Cuts messages into chunks, always with full headers: 12 bytes per message buy statelessness. */
export class RtmpChunkWriter {
  #chunkSize = 128;

  /** The bytes that announce a new chunk size; messages written from now on use it. */
  setChunkSize(bytes: number): Buffer {
    const body = u32Body(bytes);
    const announced = this.write({ type: RTMP.setChunkSize, timestampMs: 0, streamId: 0, body }, 2);
    this.#chunkSize = bytes;
    return announced;
  }

  /**
   * The message as bytes for the socket, in one piece.
   *
   * @param chunkStreamId 2 to 65599; 2 is for protocol control messages.
   */
  write(message: OutgoingMessage, chunkStreamId: number): Buffer {
    const stampMs = message.timestampMs >>> 0;
    const extended = stampMs >= EXTENDED;
    const first = this.#firstHeader(message, chunkStreamId, stampMs, extended);
    const body = message.body;
    if (body.length <= this.#chunkSize) return Buffer.concat([first, body]);
    const next = continuation(chunkStreamId, extended ? stampMs : undefined);
    const parts: Uint8Array[] = [first];
    for (let at = 0; at < body.length; at += this.#chunkSize) {
      if (at > 0) parts.push(next);
      parts.push(body.subarray(at, at + this.#chunkSize));
    }
    return Buffer.concat(parts);
  }

  #firstHeader(message: OutgoingMessage, id: number, stampMs: number, extended: boolean): Buffer {
    const basic = basicHeader(0, id);
    const header = Buffer.alloc(basic.length + 11 + (extended ? 4 : 0));
    basic.copy(header);
    header.writeUIntBE(extended ? EXTENDED : stampMs, basic.length, 3);
    header.writeUIntBE(message.body.length, basic.length + 3, 3);
    header[basic.length + 6] = message.type;
    header.writeUInt32LE(message.streamId, basic.length + 7);
    if (extended) header.writeUInt32BE(stampMs, basic.length + 11);
    return header;
  }
}

function continuation(id: number, extendedMs: number | undefined): Buffer {
  const basic = basicHeader(3, id);
  return extendedMs === undefined ? basic : Buffer.concat([basic, u32Body(extendedMs)]);
}

/** §5.3.1.1: one byte up to id 63, two up to 319, three beyond, low byte first. */
function basicHeader(format: number, id: number): Buffer {
  if (id < 64) return Buffer.from([(format << 6) | id]);
  if (id < 320) return Buffer.from([format << 6, id - 64]);
  return Buffer.from([(format << 6) | 1, (id - 64) & 255, (id - 64) >> 8]);
}
