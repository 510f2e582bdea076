import { timingSafeEqual } from "node:crypto";
import type { Duplex } from "node:stream";
import { errorInfo } from "../core/error.ts";
import type { Logger } from "../core/log.ts";
import { LiveClock } from "../media/clock.ts";
import { PacketPipeWriter } from "../transport/packet-pipe-writer.ts";
import { forwardPublish } from "./forward-publish.ts";
import { RtmpDoor } from "./rtmp.ts";
import type { PublishRequest, RtmpPublish } from "./rtmp-publish.ts";
import type { PublishDecision } from "./rtmp-session.ts";

/** An RTMP door for one mix without a service behind it: `rtmp://host:port/live/KEY` feeds source `KEY`. */
export interface KeyedDoorOptions {
  readonly host: string;
  readonly port: number;
  /** Stream keys that are waited for; each is a source's id. */
  readonly keys: ReadonlySet<string>;
  /** What publishers must show as `?token=`; undefined: nothing. */
  readonly token: string | undefined;
  readonly mix: string;
  /** The worker's packet pipe. */
  readonly pipe: Duplex;
  readonly log: Logger;
}

/**
 * Opens the door, if any key is waited for.
 *
 * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if the address cannot be listened on.
 */
export async function openKeyedDoor(options: KeyedDoorOptions): Promise<AsyncDisposable> {
  const { host, port, keys, log } = options;
  if (keys.size === 0) return { [Symbol.asyncDispose]: () => Promise.resolve() };
  const clock = new LiveClock();
  const authorize = (request: PublishRequest): Promise<PublishDecision> =>
    Promise.resolve(decide(request, options));
  const door = await RtmpDoor.listen({ host, port, clock, log, authorize });
  const pipe = new PacketPipeWriter(options.pipe, { clock });
  log.info(door.address, "waiting for RTMP publishers");
  void takePublishers(door, pipe, options);
  return door;
}

async function takePublishers(
  door: RtmpDoor,
  pipe: PacketPipeWriter,
  options: KeyedDoorOptions,
): Promise<void> {
  for await (const publish of door) void take(publish, pipe, options);
}

async function take(
  publish: RtmpPublish,
  pipe: PacketPipeWriter,
  { mix, log }: KeyedDoorOptions,
): Promise<void> {
  const error = await forwardPublish(publish, pipe.open(`${mix}/${publish.name}`));
  if (!publish.isClosed) await publish.close();
  log.info(
    { key: publish.name, error: error === undefined ? undefined : errorInfo(error) },
    "publisher left",
  );
}

function decide({ name, query }: PublishRequest, { keys, token }: KeyedDoorOptions): PublishDecision {
  if (!keys.has(name)) return { allow: false, code: "BadName", description: `nobody listens for ${name}` };
  if (token === undefined || sameText(query.get("token") ?? "", token)) return { allow: true };
  return { allow: false, code: "Unauthorized", description: "wrong token" };
}

function sameText(given: string, wanted: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
}
