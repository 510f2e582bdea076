/** Who has to act. Drives retries, log level and the RPC status, so every error states it. */
export type Fault = "caller" | "peer" | "device" | "bug";

/** Root of every error Tessera throws on purpose. Match on `code`, never on `message`. */
export abstract class TesseraError extends Error {
  /** Stable and documented; never renamed, never reused. */
  abstract readonly code: `ERR_${string}`;
  abstract readonly fault: Fault;
  /** True if the same call may succeed later without any change by the caller. */
  readonly retryable: boolean = false;
  /** RFC 6901 pointer to the offending value, relative to the caller's parameters or document. */
  readonly pointer?: string | undefined;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A value handed to a function or given in a request is not valid; nothing was changed. */
export class InvalidArgumentError extends TesseraError {
  readonly code = "ERR_INVALID_ARGUMENT";
  readonly fault = "caller";
  override readonly pointer: string;

  /** @param where a JSON pointer (`/views/0/width`) or an argument's name. */
  constructor(where: string, problem: string, options?: ErrorOptions) {
    super(`${where}: ${problem}`, options);
    this.pointer = where.startsWith("/") || where === "" ? where : `/${where}`;
  }
}

/** The layout document is not valid; nothing was applied. */
export class LayoutInvalidError extends TesseraError {
  readonly code = "ERR_LAYOUT_INVALID";
  readonly fault = "caller";
  override readonly pointer: string;

  constructor(pointer: string, problem: string, options?: ErrorOptions) {
    super(`layout ${pointer}: ${problem}`, options);
    this.pointer = pointer;
  }
}

/** The mix, source, view, output, asset or method named in the request does not exist. */
export class NotFoundError extends TesseraError {
  readonly code = "ERR_NOT_FOUND";
  readonly fault = "caller";
}

/** The id or name is taken by something with another body. */
export class ExistsError extends TesseraError {
  readonly code = "ERR_EXISTS";
  readonly fault = "caller";
}

/** The state moved on since the revision that the caller expected. */
export class RevisionError extends TesseraError {
  readonly code = "ERR_REVISION";
  readonly fault = "caller";
}

/** This build does not do that yet; `docs/not-supported.md` lists exactly those. */
export class NotSupportedError extends TesseraError {
  readonly code = "ERR_NOT_SUPPORTED";
  readonly fault = "caller";
}

/** No token, a wrong one, or one that does not allow this. */
export class UnauthorizedError extends TesseraError {
  readonly code = "ERR_UNAUTHORIZED";
  readonly fault = "caller";
}

/** A destination, file or address that this node's settings do not allow. */
export class ForbiddenError extends TesseraError {
  readonly code = "ERR_FORBIDDEN";
  readonly fault = "caller";
}

/** A configured limit on size, count, rate or time was passed. */
export class LimitError extends TesseraError {
  readonly code = "ERR_LIMIT";
  readonly fault: Fault = "peer";
}

/** The peer refused, could not be resolved, did not answer in time, or its certificate is not to be trusted. */
export class PeerUnreachableError extends TesseraError {
  readonly code = "ERR_PEER_UNREACHABLE";
  readonly fault = "peer";
  override readonly retryable = true;
}

/** The peer answered, and said no: wrong key, key in use, forbidden path. */
export class PeerRejectedError extends TesseraError {
  readonly code = "ERR_PEER_REJECTED";
  readonly fault = "peer";
  override readonly retryable = true;
}

/** The peer was connected and went away, or stopped reading or sending. */
export class PeerLostError extends TesseraError {
  readonly code = "ERR_PEER_LOST";
  readonly fault = "peer";
  override readonly retryable = true;
}

/** Bytes from outside break their protocol or format. */
export class ProtocolError extends TesseraError {
  readonly code = "ERR_PROTOCOL";
  readonly fault = "peer";
}

/** A file or stream holds no media that can be read. */
export class MediaInvalidError extends TesseraError {
  readonly code = "ERR_MEDIA_INVALID";
  readonly fault = "peer";
}

/** The file system refused: full, read-only, missing folder. */
export class StorageError extends TesseraError {
  readonly code = "ERR_STORAGE";
  readonly fault = "device";
}

/** A codec, scaler or device of this machine failed or is absent. */
export class DeviceError extends TesseraError {
  readonly code = "ERR_DEVICE";
  readonly fault = "device";
}

/** This node has no room for more; another node, or a later retry, can serve this. */
export class BusyError extends TesseraError {
  readonly code = "ERR_BUSY";
  readonly fault = "device";
  override readonly retryable = true;
}

/** A worker died, or an invariant broke; the cause is in the log. */
export class InternalError extends TesseraError {
  readonly code = "ERR_INTERNAL";
  readonly fault = "bug";
}

/** Throws {@link InternalError} if an invariant does not hold. */
export function assert(condition: unknown, invariant: string): asserts condition {
  if (!condition) throw new InternalError(`invariant broken: ${invariant}`);
}

/** An error as plain data, for events, IPC and RPC. */
export interface ErrorInfo {
  readonly code: string;
  readonly fault: Fault;
  readonly retryable: boolean;
  readonly message: string;
  readonly pointer?: string;
}

/** Turns anything thrown into plain data; what is not a {@link TesseraError} is a bug. */
export function errorInfo(error: unknown): ErrorInfo {
  if (error instanceof TesseraError) {
    const { code, fault, retryable, message, pointer } = error;
    return { code, fault, retryable, message, ...(pointer === undefined ? {} : { pointer }) };
  }
  return { code: "ERR_INTERNAL", fault: "bug", retryable: false, message: wordsOf(error) };
}

/** What went wrong, in one line; also where several addresses were tried. */
export function wordsOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(wordsOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}

/** An error that crossed a process border as {@link ErrorInfo}, with its code and fault kept. */
export class RemoteError extends TesseraError {
  readonly code: `ERR_${string}`;
  readonly fault: Fault;
  override readonly retryable: boolean;
  override readonly pointer: string | undefined;

  constructor(info: ErrorInfo) {
    super(info.message);
    this.code = info.code as `ERR_${string}`;
    this.fault = info.fault;
    this.retryable = info.retryable;
    this.pointer = info.pointer;
  }
}
