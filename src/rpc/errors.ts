import type { ErrorInfo } from "../core/error.ts";

/** An error as JSON-RPC 2.0 §5.1 wants it; `data` is what callers should act on. */
export interface RpcError {
  readonly code: number;
  readonly message: string;
  readonly data: {
    readonly code: string;
    readonly fault: ErrorInfo["fault"];
    readonly retryable: boolean;
    readonly pointer?: string;
  };
}

/** JSON-RPC 2.0 §5.1. */
export const PARSE_ERROR = -32700;
export const INVALID_REQUEST = -32600;
export const METHOD_NOT_FOUND = -32601;
const INVALID_PARAMS = -32602;
const INTERNAL = -32603;
/** First of the numbers that §5.1 leaves to servers. */
const SERVER_ERROR = -32000;

/** JSON-RPC's number for each of our codes; every other code is -32000. */
export const RPC_CODES: Readonly<Record<string, number>> = {
  ERR_INVALID_ARGUMENT: INVALID_PARAMS,
  ERR_LAYOUT_INVALID: INVALID_PARAMS,
  ERR_NOT_FOUND: -32001,
  ERR_EXISTS: -32002,
  ERR_REVISION: -32003,
  ERR_NOT_SUPPORTED: -32004,
  ERR_UNAUTHORIZED: -32005,
  ERR_FORBIDDEN: -32006,
  ERR_LIMIT: -32007,
  ERR_BUSY: -32008,
  ERR_INTERNAL: INTERNAL,
};

/** @param code overrides the number, for errors of the envelope. */
export function rpcError(info: ErrorInfo, code?: number): RpcError {
  const { message, pointer, fault, retryable } = info;
  const data = { code: info.code, fault, retryable, ...(pointer === undefined ? {} : { pointer }) };
  return { code: code ?? RPC_CODES[info.code] ?? SERVER_ERROR, message, data };
}
