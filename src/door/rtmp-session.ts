import { LimitError, PeerLostError, ProtocolError, TesseraError, UnauthorizedError } from "../core/error.ts";
import {
  type ConnectInfo,
  commandBody,
  enhancedCapabilities,
  parseCommand,
  parseConnect,
  type RtmpCommand,
  splitStreamName,
  statusInfo,
} from "../protocol/rtmp-command.ts";
import { RTMP, type RtmpMessage, USER_CONTROL } from "../protocol/rtmp-message.ts";
import type { RtmpConnection } from "../transport/rtmp-connection.ts";
import { type PublishRequest, RtmpPublish } from "./rtmp-publish.ts";

/** What the owner of a door says to a publish. */
export type PublishDecision =
  | {
      readonly allow: true;
      /** Two publishes with the same key exclude each other. Default: app, name and `source` of the query. */
      readonly key?: string;
    }
  | {
      readonly allow: false;
      /** Reaches the encoder as `NetStream.Publish.` and this word. */
      readonly code: "Unauthorized" | "BadName";
      /** Reaches the encoder, which shows it to its user. */
      readonly description: string;
    };

/** What a session asks of its door. */
export interface SessionHost {
  authorize(request: PublishRequest): Promise<PublishDecision>;
  /** Hands over an accepted publish, or says why its key cannot be had now. */
  admit(publish: RtmpPublish): string | undefined;
  /** The publish is over. */
  leave(publish: RtmpPublish): void;
}

/** Chunk stream of commands (RTMP 1.0 leaves the number open; every implementation uses 3). */
const COMMANDS = 3;
const MAX_STREAMS = 8;

/**
 * What one RTMP client may say to the door, in order: connect, createStream, publish, media, deleteStream.
 * There is no playback here, and media is only ever taken for the client's own accepted publish.
 */
export class RtmpSession {
  readonly #connection: RtmpConnection;
  readonly #host: SessionHost;
  readonly #maxCommandBytes: number;
  #client: ConnectInfo | undefined;
  #streams = 0;
  #publish: { readonly publish: RtmpPublish; readonly streamId: number } | undefined;

  constructor(connection: RtmpConnection, host: SessionHost, maxCommandBytes: number) {
    this.#connection = connection;
    this.#host = host;
    this.#maxCommandBytes = maxCommandBytes;
  }

  /** Serves the client until its connection is closed. Never rejects. */
  async run(): Promise<TesseraError | undefined> {
    void this.#connection.closed.then(() => this.#publish?.publish.hangUp());
    try {
      for await (const message of this.#connection) await this.#handle(message);
    } catch (error) {
      const typed = error instanceof TesseraError;
      await this.#connection.close(typed ? error : new ProtocolError("RTMP: unreadable", { cause: error }));
    }
    const reason = await this.#connection.closed;
    this.#endPublish(reason ?? new PeerLostError("the encoder hung up without ending its publish"));
    return reason;
  }

  async #handle(message: RtmpMessage): Promise<void> {
    switch (message.type) {
      case RTMP.audio:
      case RTMP.video:
      case RTMP.dataAmf0:
      case RTMP.dataAmf3:
      case RTMP.aggregate:
        await this.#media(message);
        return;
      case RTMP.commandAmf0:
      case RTMP.commandAmf3:
        await this.#command(parseCommand(message, this.#maxCommandBytes), message.streamId);
    }
  }

  async #media(message: RtmpMessage): Promise<void> {
    if (this.#publish === undefined) return;
    const { publish, streamId } = this.#publish;
    await publish.take(message);
    const { useless } = publish;
    if (useless === undefined || this.#connection.isClosed) return;
    await this.#dismiss(streamId, "Failed", useless);
  }

  async #command(command: RtmpCommand, streamId: number): Promise<void> {
    switch (command.name) {
      case "connect":
        this.#connect(command);
        return;
      case "createStream":
        this.#createStream(command);
        return;
      case "releaseStream":
      case "FCPublish":
      case "_checkbw":
        this.#send(0, "_result", command.transactionId, null, null);
        return;
      case "publish":
        await this.#startPublish(command, streamId);
        return;
      case "FCUnpublish":
        return;
      case "deleteStream":
      case "closeStream":
        if (this.#publish !== undefined) this.#connection.disallowMedia();
        this.#endPublish(undefined);
        return;
      case "play":
      case "play2": {
        const info = statusInfo("error", "NetStream.Play.Failed", "this server only takes publishers");
        this.#send(streamId, "onStatus", 0, null, info);
        return;
      }
      default: {
        if (command.transactionId === 0) return;
        const info = statusInfo("error", "NetConnection.Call.Failed", "unknown command");
        this.#send(0, "_error", command.transactionId, null, info);
      }
    }
  }

  #connect(command: RtmpCommand): void {
    if (this.#client !== undefined) throw new ProtocolError("RTMP: connected twice");
    this.#client = parseConnect(command);
    this.#connection.sendSettings();
    const info = statusInfo("status", "NetConnection.Connect.Success", "Connection succeeded.", {
      objectEncoding: 0,
      ...(this.#client.enhanced ? enhancedCapabilities("server") : {}),
    });
    const server = { fmsVer: "FMS/3,5,7,7009", capabilities: 31, mode: 1 };
    this.#send(0, "_result", command.transactionId, server, info);
  }

  #createStream(command: RtmpCommand): void {
    if (this.#client === undefined) throw new ProtocolError("RTMP: createStream before connect");
    if (this.#streams >= MAX_STREAMS) throw new LimitError("RTMP: too many streams on one connection");
    this.#streams += 1;
    this.#send(0, "_result", command.transactionId, null, this.#streams);
  }

  async #startPublish(command: RtmpCommand, streamId: number): Promise<void> {
    const raw = command.args[0];
    if (this.#client === undefined || this.#publish !== undefined || typeof raw !== "string")
      throw new ProtocolError("RTMP: publish out of place");
    const { name, query } = splitStreamName(raw);
    const { app, tcUrl, encoder } = this.#client;
    const remote = this.#connection.remote;
    const parameters = new URLSearchParams(query === "" ? this.#client.query : query);
    const request = { app, name, query: parameters, remote, encoder, tcUrl };
    const decision = await this.#host.authorize(request);
    if (this.#connection.isClosed) return;
    if (!decision.allow) {
      await this.#refuse(streamId, decision);
      return;
    }
    const key = decision.key ?? `${app}/${name}/${parameters.get("source") ?? ""}`;
    const publish = new RtmpPublish(request, key, this.#connection);
    const taken = this.#host.admit(publish);
    if (taken !== undefined) {
      await this.#refuse(streamId, { code: "BadName", description: taken });
      return;
    }
    this.#publish = { publish, streamId };
    this.#connection.allowMedia();
    this.#connection.userControl(USER_CONTROL.streamBegin, streamId);
    const info = statusInfo("status", "NetStream.Publish.Start", "Start publishing.");
    this.#send(streamId, "onStatus", 0, null, info);
  }

  /** Tells the encoder why, lets it read that, and closes. */
  async #refuse(
    streamId: number,
    { code, description }: { readonly code: string; readonly description: string },
  ): Promise<void> {
    await this.#dismiss(streamId, code, new UnauthorizedError(description));
  }

  async #dismiss(streamId: number, code: string, reason: TesseraError): Promise<void> {
    const info = statusInfo("error", `NetStream.Publish.${code}`, reason.message);
    this.#send(streamId, "onStatus", 0, null, info);
    await this.#connection.end(reason);
  }

  #endPublish(reason: TesseraError | undefined): void {
    const publish = this.#publish?.publish;
    this.#publish = undefined;
    if (publish === undefined) return;
    this.#host.leave(publish);
    publish.finish(reason);
  }

  #send(streamId: number, ...command: Parameters<typeof commandBody>): void {
    void this.#connection.send(RTMP.commandAmf0, streamId, commandBody(...command), COMMANDS);
  }
}
