import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { RtmpChunkReader } from "../../src/protocol/rtmp-chunk-reader.ts";
import { RtmpChunkWriter } from "../../src/protocol/rtmp-chunk-writer.ts";
import { commandBody, parseCommand, type RtmpCommand } from "../../src/protocol/rtmp-command.ts";
import { RtmpHandshake } from "../../src/protocol/rtmp-handshake.ts";
import { RTMP, type RtmpMessage } from "../../src/protocol/rtmp-message.ts";
import { RTMP_LIMITS } from "../../src/transport/rtmp-connection.ts";
import { until } from "../kit/process.ts";

/** A key frame that parses as a tag; no decoder sees it. */
export const KEY_FRAME: Buffer = Buffer.from("1701000000000000026588", "hex");
/** An avcC of 64x64, from a real encoder. */
export const AVC_HEADER: Buffer = Buffer.from(
  "1700000000014d400affe10017674d400aeca213602200000300020000030028 1e244b2c01000468ce3c80".replaceAll(
    " ",
    "",
  ),
  "hex",
);

/** A publisher that says exactly what a test wants, right or wrong. */
export class RawPublisher implements AsyncDisposable {
  readonly socket: Socket;
  readonly heard: RtmpCommand[] = [];
  readonly #handshake = new RtmpHandshake("client");
  readonly #reader = new RtmpChunkReader(RTMP_LIMITS);
  readonly #writer = new RtmpChunkWriter();
  #shaken = false;
  #isClosed = false;
  #acknowledged = 0;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => {});
    socket.on("close", () => (this.#isClosed = true));
    socket.on("data", (data: Buffer) => this.#hear(data));
  }

  static async open(port: number): Promise<RawPublisher> {
    const socket = connect({ port, host: "127.0.0.1" });
    await once(socket, "connect");
    return new RawPublisher(socket);
  }

  /** Bytes that the server said it had. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** The code of the newest `onStatus`. */
  get status(): string | undefined {
    const info = this.heard.findLast(({ name }) => name === "onStatus")?.args[0];
    const code = (info as { readonly code?: unknown } | undefined)?.code;
    return typeof code === "string" ? code : undefined;
  }

  /** What the newest `onStatus` says to the user. */
  get description(): string {
    const info = this.heard.findLast(({ name }) => name === "onStatus")?.args[0];
    return String((info as { readonly description?: unknown } | undefined)?.description);
  }

  async shake(): Promise<void> {
    this.socket.write(this.#handshake.start());
    await until("the handshake", () => this.#shaken || this.#isClosed);
  }

  send(type: number, body: Uint8Array, streamId = 1, timestampMs = 0, chunkStreamId = 4): void {
    this.socket.write(this.#writer.write({ type, streamId, body, timestampMs }, chunkStreamId));
  }

  command(streamId: number, ...command: Parameters<typeof commandBody>): void {
    this.send(RTMP.commandAmf0, commandBody(...command), streamId, 0, 3);
  }

  /** Up to the server's answer to `publish`, whatever it is; or the end of the connection. */
  async publish(name: string, app = "live"): Promise<string | undefined> {
    await this.shake();
    this.command(0, "connect", 1, { app, tcUrl: `rtmp://127.0.0.1/${app}`, flashVer: "raw" });
    this.command(0, "createStream", 2, null);
    this.command(1, "publish", 3, null, name, "live");
    await until("an answer to publish", () => this.status !== undefined || this.#isClosed);
    return this.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    if (!this.#isClosed) await once(this.socket, "close");
  }

  #hear(data: Buffer): void {
    let chunks: Buffer = data;
    if (!this.#shaken) {
      const { send, rest } = this.#handshake.push(data);
      for (const bytes of send) this.socket.write(bytes);
      if (rest === undefined) return;
      this.#shaken = true;
      chunks = rest;
    }
    for (const message of this.#reader.push(chunks, 0)) this.#take(message);
  }

  #take(message: RtmpMessage): void {
    if (message.type === RTMP.acknowledgement) this.#acknowledged = Buffer.from(message.body).readUInt32BE(0);
    if (message.type === RTMP.commandAmf0) this.heard.push(parseCommand(message, 65_536));
  }
}
