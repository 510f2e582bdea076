import { type AmfObject, type AmfValue, decodeAmf0, encodeAmf0, isAmfObject } from "./amf0.ts";

/** What `onMetaData` says that anybody needs; absent where it says nothing sensible. */
export interface StreamMetadata {
  readonly widthPx?: number;
  readonly heightPx?: number;
  readonly frameRate?: number;
  readonly videoBitrateBps?: number;
  readonly audioBitrateBps?: number;
  readonly encoder?: string;
}

/**
 * Reads a script data message: `onMetaData`, or `@setDataFrame` with it. Undefined for any other.
 *
 * @throws {ProtocolError} `ERR_PROTOCOL` if it is not AMF0.
 */
export function parseScript(body: Uint8Array): StreamMetadata | undefined {
  const values = decodeAmf0(body);
  if (values[0] === "@setDataFrame") values.shift();
  const [name, object] = values;
  if (name !== "onMetaData" || object === undefined || !isAmfObject(object)) return undefined;
  return readMetadata(object);
}

function readMetadata(object: AmfObject): StreamMetadata {
  const number = (key: string, max: number, scale = 1): number | undefined => {
    const value = object[key];
    return typeof value === "number" && value > 0 && value <= max ? value * scale : undefined;
  };
  const encoder = object.encoder;
  return defined({
    widthPx: number("width", 32_768),
    heightPx: number("height", 32_768),
    frameRate: number("framerate", 1000) ?? number("videoframerate", 1000),
    videoBitrateBps: number("videodatarate", 1e6, 1000),
    audioBitrateBps: number("audiodatarate", 1e6, 1000),
    encoder: typeof encoder === "string" ? encoder.slice(0, 256) : undefined,
  });
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

const defined = <T extends object>(object: T): Defined<T> =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Defined<T>;

/** The body of `@setDataFrame onMetaData`, as an ECMA array in the order given, which is how encoders send it. */
export const metadataBody = (members: Readonly<Record<string, AmfValue>>): Buffer =>
  encodeAmf0("@setDataFrame", "onMetaData", new Map(Object.entries(members)));
