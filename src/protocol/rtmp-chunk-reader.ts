import { LimitError, ProtocolError } from "../core/error.ts";
import { RTMP, type RtmpMessage } from "./rtmp-message.ts";

/** What one peer may make the reader hold. */
export interface ChunkLimits {
  readonly maxMessageBytes: number;
  /** Of all messages that have begun and not ended. */
  readonly maxPendingBytes: number;
  readonly maxChunkStreams: number;
}

/** Bytes of the message header by chunk type (RTMP 1.0 §5.3.1.2). */
const HEADER_BYTES = [11, 7, 3, 0] as const;
/** A timestamp field of this value says that 32 more bits follow (§5.3.1.3). */
const EXTENDED = 0xffffff;
/** Basic header 3, message header 11, extended timestamp 4. */
const MAX_HEADER_BYTES = 18;
/** Bodies up to this are allocated at once; longer ones grow as their bytes arrive, so announcing costs nothing. */
const EAGER_BYTES = 65_536;

interface ChunkStream {
  timestampMs: number;
  /** The last timestamp field: absolute after type 0, else a delta. Type 3 uses it again. */
  fieldMs: number;
  extended: boolean;
  length: number;
  type: number;
  streamId: number;
  body: Buffer;
  /** Bytes of the message under way; 0 between messages. */
  got: number;
  arrivalUs: number;
}

/**
 * Turns the bytes behind the handshake into messages (RTMP 1.0 §5.3).
 *
 * Memory is bounded by {@link ChunkLimits} whatever the peer announces. Set Chunk Size and Abort are obeyed here
 * and not returned. After an error the reader is of no more use.
 */
export class RtmpChunkReader {
  #limits: ChunkLimits;
  readonly #streams = new Map<number, ChunkStream>();
  readonly #header = Buffer.alloc(MAX_HEADER_BYTES);
  #headerBytes = 0;
  #current: ChunkStream | undefined;
  /** Payload bytes of the current chunk still to come. */
  #payloadLeft = 0;
  #chunkSize = 128;
  #pendingBytes = 0;

  constructor(limits: ChunkLimits) {
    this.#limits = limits;
  }

  /** Changes how long a message may be from the next header on: peers that may publish may send more. */
  set maxMessageBytes(maxMessageBytes: number) {
    this.#limits = { ...this.#limits, maxMessageBytes };
  }

  /** Bytes of messages that have begun and not ended. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /**
   * Takes bytes in whatever pieces they come; returns the messages they complete. Copies what it keeps.
   *
   * @throws {ProtocolError} `ERR_PROTOCOL`, or {@link LimitError} `ERR_LIMIT`.
   */
  push(data: Uint8Array, atUs: number): RtmpMessage[] {
    const done: RtmpMessage[] = [];
    this.#consume(Buffer.from(data.buffer, data.byteOffset, data.byteLength), atUs, done);
    return done;
  }

  #consume(data: Buffer, atUs: number, done: RtmpMessage[]): void {
    let at = 0;
    while (at < data.length) {
      if (this.#current !== undefined) {
        at += this.#payload(this.#current, data, at, done);
        continue;
      }
      this.#header[this.#headerBytes++] = data[at++] ?? 0;
      const need = this.#headerNeeds();
      if (this.#headerBytes < need) continue;
      const unread = this.#begin(atUs, done);
      if (unread !== undefined) this.#consume(unread, atUs, done);
    }
  }

  /** Bytes that the header under way needs, as far as can be told from what is here. */
  #headerNeeds(): number {
    const header = this.#header;
    const first = header[0] ?? 0;
    const basic = (first & 63) === 0 ? 2 : (first & 63) === 1 ? 3 : 1;
    if (this.#headerBytes < basic) return basic;
    const format = first >> 6;
    const fixed = basic + (HEADER_BYTES[format] ?? 0);
    if (this.#headerBytes < fixed) return fixed;
    const extended =
      format === 3
        ? this.#streams.get(this.#chunkStreamId())?.extended
        : header.readUIntBE(basic, 3) === EXTENDED;
    return extended ? fixed + 4 : fixed;
  }

  /** §5.3.1.1: ids 64 to 319 in two bytes, up to 65599 in three, the third being the high one. */
  #chunkStreamId(): number {
    const header = this.#header;
    const id = (header[0] ?? 0) & 63;
    if (id === 0) return 64 + (header[1] ?? 0);
    if (id === 1) return 64 + (header[1] ?? 0) + (header[2] ?? 0) * 256;
    return id;
  }

  /** Reads the complete header and begins its chunk. Returns bytes that turned out not to be header. */
  #begin(atUs: number, done: RtmpMessage[]): Buffer | undefined {
    const header = this.#header;
    const size = this.#headerBytes;
    this.#headerBytes = 0;
    const format = (header[0] ?? 0) >> 6;
    const id = this.#chunkStreamId();
    const stream = this.#streams.get(id) ?? this.#open(id, format);
    const starts = stream.got === 0;
    if (!starts && format !== 3) throw new ProtocolError("RTMP: a message was interrupted by another");
    const at = (header[0] ?? 0) % 64 === 0 ? 2 : (header[0] ?? 0) % 64 === 1 ? 3 : 1;
    if (format < 2) {
      stream.length = header.readUIntBE(at + 3, 3);
      stream.type = header[at + 6] ?? 0;
    }
    if (format === 0) stream.streamId = header.readUInt32LE(at + 7);
    const unread = this.#timestamp(stream, format, at, size, starts);
    if (starts) this.#start(stream, atUs);
    this.#current = stream;
    this.#payloadLeft = Math.min(this.#chunkSize, stream.length - stream.got);
    if (stream.length === 0) this.#complete(stream, done);
    return unread;
  }

  #open(id: number, format: number): ChunkStream {
    // Types 2 and 3 need a predecessor. Type 1 does too, but encoders begin streams with it.
    if (format > 1) throw new ProtocolError(`RTMP: chunk type ${format} on a new chunk stream`);
    if (this.#streams.size >= this.#limits.maxChunkStreams)
      throw new LimitError("RTMP: too many chunk streams");
    const body = Buffer.alloc(0);
    const fresh = { timestampMs: 0, fieldMs: 0, extended: false, length: 0, type: 0, streamId: 0 };
    const stream: ChunkStream = { ...fresh, body, got: 0, arrivalUs: 0 };
    this.#streams.set(id, stream);
    return stream;
  }

  #timestamp(
    stream: ChunkStream,
    format: number,
    at: number,
    size: number,
    starts: boolean,
  ): Buffer | undefined {
    const header = this.#header;
    if (format < 3) {
      const field = header.readUIntBE(at, 3);
      stream.extended = field === EXTENDED;
      stream.fieldMs = stream.extended ? header.readUInt32BE(size - 4) : field;
    } else if (stream.extended) {
      const field = header.readUInt32BE(size - 4);
      // §5.3.1.3 repeats the extended timestamp in type 3 chunks, but some encoders do not; then these bytes
      // are payload. That they equal the stamp by chance is one in four thousand million.
      if (!starts && field !== stream.fieldMs) return Buffer.from(header.subarray(size - 4, size));
      stream.fieldMs = field;
    }
    if (starts)
      stream.timestampMs = format === 0 ? stream.fieldMs : (stream.timestampMs + stream.fieldMs) >>> 0;
    return undefined;
  }

  #start(stream: ChunkStream, atUs: number): void {
    if (stream.length > this.#limits.maxMessageBytes)
      throw new LimitError(`RTMP: a message of ${stream.length} bytes was announced`);
    stream.arrivalUs = atUs;
    stream.body = Buffer.allocUnsafe(Math.min(stream.length, EAGER_BYTES));
  }

  #payload(stream: ChunkStream, data: Buffer, at: number, done: RtmpMessage[]): number {
    const taken = Math.min(this.#payloadLeft, data.length - at);
    const end = stream.got + taken;
    if (end > stream.body.length) {
      const grown = Buffer.allocUnsafe(Math.min(stream.length, Math.max(end, stream.body.length * 2)));
      stream.body.copy(grown, 0, 0, stream.got);
      stream.body = grown;
    }
    data.copy(stream.body, stream.got, at, at + taken);
    stream.got = end;
    this.#payloadLeft -= taken;
    this.#pendingBytes += taken;
    if (this.#pendingBytes > this.#limits.maxPendingBytes)
      throw new LimitError("RTMP: too many bytes in unfinished messages");
    if (stream.got === stream.length) this.#complete(stream, done);
    else if (this.#payloadLeft === 0) this.#current = undefined;
    return taken;
  }

  #complete(stream: ChunkStream, done: RtmpMessage[]): void {
    const { type, timestampMs, streamId, body, arrivalUs } = stream;
    this.#pendingBytes -= stream.got;
    stream.got = 0;
    stream.body = Buffer.alloc(0);
    this.#current = undefined;
    if (type === RTMP.setChunkSize) this.#setChunkSize(body);
    else if (type === RTMP.abort) this.#abort(body);
    else done.push({ type, timestampMs, streamId, body, arrivalUs });
  }

  #setChunkSize(body: Buffer): void {
    const size = body.length < 4 ? 0 : body.readUInt32BE(0) & 0x7fffffff;
    if (size < 1) throw new ProtocolError("RTMP: chunk size below 1"); // §5.4.1
    this.#chunkSize = size;
  }

  /** §5.4.2: what came of that chunk stream's message is thrown away. */
  #abort(body: Buffer): void {
    if (body.length < 4) throw new ProtocolError("RTMP: Abort without a chunk stream id");
    const stream = this.#streams.get(body.readUInt32BE(0));
    if (stream === undefined) return;
    this.#pendingBytes -= stream.got;
    stream.got = 0;
    stream.body = Buffer.alloc(0);
  }
}
