import type { DestinationRules } from "../core/destinations.ts";

/**
 * What the parent tells a pull child, once, as one line of JSON on its stdin. The end of stdin is the child's end.
 *
 * The child answers on file descriptor 3, a packet pipe: a control text with {@link PullOpened}, then one stream.
 */
export interface PullRequest {
  readonly url: string;
  readonly destinations: DestinationRules;
  /** How long one read or write of FFmpeg may take, in microseconds. */
  readonly ioTimeoutUs: number;
}

/** The name of the one stream in a pull child's pipe. */
export const PULL_STREAM = "pull";

/** What the child says of the input when it is open. */
export interface PullOpened {
  /** One turn of the stamps' counter in microseconds; null if they never wrap. */
  readonly wrapUs: number | null;
  /** It told its duration or its length in bytes, so that it has ended when it ends. */
  readonly isFinite: boolean;
}
