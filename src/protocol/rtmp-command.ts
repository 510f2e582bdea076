import { LimitError, ProtocolError } from "../core/error.ts";
import { type AmfObject, type AmfValue, decodeAmf0, encodeAmf0, isAmfObject } from "./amf0.ts";
import { RTMP, type RtmpMessage } from "./rtmp-message.ts";

/** A command message (RTMP 1.0 §7.2): call, answer or status. */
export interface RtmpCommand {
  readonly name: string;
  readonly transactionId: number;
  /** The command object; null for most NetStream commands. */
  readonly object: AmfObject | null;
  readonly args: readonly AmfValue[];
}

/** Four-character codes of Enhanced RTMP v2 that this side takes. */
const VIDEO_FOURCCS = ["avc1", "hvc1", "av01", "vp09", "vp08"];
const AUDIO_FOURCCS = ["mp4a", "Opus", "fLaC", "ac-3", "ec-3", ".mp3"];

/** Bits of the FourCC maps and of `capsEx` in Enhanced RTMP v2, `connect`. */
const CAN = { decode: 1, encode: 2 } as const;
const CAPS_EX = { modEx: 4, timestampNanoOffset: 8 } as const;

/** What an encoder says of itself in `connect` (§7.2.1.1). */
export interface ConnectInfo {
  /** Without query and trailing slashes. */
  readonly app: string;
  /** The query of app or tcUrl, without `?`; some encoders put tokens there. */
  readonly query: string;
  readonly tcUrl: string;
  readonly encoder: string;
  /** Announced Enhanced RTMP. */
  readonly enhanced: boolean;
}

/**
 * Reads a command message, AMF0 or AMF0 behind the AMF3 type's leading zero.
 *
 * @throws {ProtocolError} `ERR_PROTOCOL`, or {@link LimitError} `ERR_LIMIT` above `maxBytes`.
 */
export function parseCommand(message: RtmpMessage, maxBytes: number): RtmpCommand {
  if (message.body.length > maxBytes) throw new LimitError(`RTMP command of ${message.body.length} bytes`);
  const body = message.type === RTMP.commandAmf3 ? message.body.subarray(1) : message.body;
  const [name, transactionId, object, ...args] = decodeAmf0(body);
  if (typeof name !== "string") throw new ProtocolError("RTMP command without a name");
  return {
    name,
    transactionId: typeof transactionId === "number" ? transactionId : 0,
    object: object !== undefined && isAmfObject(object) ? object : null,
    args,
  };
}

/** A command message's body. */
export const commandBody = (
  name: string,
  transactionId: number,
  object: AmfObject | null,
  ...args: readonly AmfValue[]
): Buffer => encodeAmf0(name, transactionId, object, ...args);

/** The information object of `onStatus`, `_result` and `_error` (§7.2.2). */
export const statusInfo = (
  level: "status" | "error",
  code: string,
  description: string,
  more: AmfObject = {},
): AmfObject => ({ level, code, description, ...more });

/**
 * Reads what a client says in `connect`.
 *
 * @throws {ProtocolError} `ERR_PROTOCOL` if it names no app.
 */
export function parseConnect(command: RtmpCommand): ConnectInfo {
  const object = command.object;
  const app = object?.app;
  if (object === null || typeof app !== "string") throw new ProtocolError("RTMP connect without an app");
  const tcUrl = text(object.tcUrl);
  const [path = "", query = ""] = split(app);
  return {
    app: path.replace(/\/+$/, ""),
    query: query === "" ? (split(tcUrl)[1] ?? "") : query,
    tcUrl,
    encoder: text(object.flashVer),
    enhanced: Array.isArray(object.fourCcList) || isAmfObject(object.videoFourCcInfoMap),
  };
}

/**
 * What this side can do in Enhanced RTMP v2, for `connect` and its answer. Reconnect requests are not in it, nor
 * multitrack, of which only the first track is read.
 */
export function enhancedCapabilities(role: "client" | "server"): AmfObject {
  const bit = role === "server" ? CAN.decode : CAN.encode;
  const map = (fourccs: readonly string[]): AmfObject => Object.fromEntries(fourccs.map((one) => [one, bit]));
  return {
    fourCcList: [...VIDEO_FOURCCS, ...AUDIO_FOURCCS],
    videoFourCcInfoMap: map(VIDEO_FOURCCS),
    audioFourCcInfoMap: map(AUDIO_FOURCCS),
    capsEx: CAPS_EX.modEx | CAPS_EX.timestampNanoOffset,
  };
}

/** True if a server's answer to `connect` says that it takes media with this four-character code. */
export function acceptsFourcc(answer: RtmpCommand, fourcc: string): boolean {
  const objects = [answer.object, ...answer.args].filter((one): one is AmfObject => isAmfObject(one ?? null));
  return objects.some((object) => {
    const list = object.fourCcList;
    if (Array.isArray(list) && (list.includes(fourcc) || list.includes("*"))) return true;
    const maps = [object.videoFourCcInfoMap, object.audioFourCcInfoMap].filter(
      (map): map is AmfObject => map !== undefined && isAmfObject(map),
    );
    return maps.some((map) => fourcc in map || "*" in map);
  });
}

/** `name` and `query` of a published stream's name (`key?token=..`). */
export function splitStreamName(raw: string): { readonly name: string; readonly query: string } {
  const [name = "", query = ""] = split(raw);
  return { name, query };
}

const text = (value: AmfValue): string => (typeof value === "string" ? value : "");

function split(value: string): [string, string] {
  const at = value.indexOf("?");
  return at < 0 ? [value, ""] : [value.slice(0, at), value.slice(at + 1)];
}
