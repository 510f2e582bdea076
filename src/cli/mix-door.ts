import { timingSafeEqual } from "node:crypto";
import { errorInfo } from "../core/error.ts";
import type { Logger } from "../core/log.ts";
import { RtmpDoor } from "../door/rtmp.ts";
import type { PublishRequest, RtmpPublish } from "../door/rtmp-publish.ts";
import type { PublishDecision } from "../door/rtmp-session.ts";
import { LiveClock } from "../media/clock.ts";
import type { WorkerProcess } from "../service/worker.ts";
import { PacketPipeWriter } from "../transport/packet-pipe-writer.ts";
import { forwardPublish } from "./forward-publish.ts";
import type { MixArguments } from "./mix-arguments.ts";

/**
 * Opens the RTMP door of `tessera mix` if an input asks for one: `rtmp://host:port/live/KEY` feeds `rtmp-listen:KEY`.
 *
 * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if the address cannot be listened on.
 */
export async function openMixDoor(
  wanted: MixArguments,
  worker: WorkerProcess,
  log: Logger,
): Promise<AsyncDisposable> {
  const keys = new Set(wanted.spec.sources.filter(({ kind }) => kind === "rtmp").map(({ id }) => id ?? ""));
  if (keys.size === 0) return { [Symbol.asyncDispose]: () => Promise.resolve() };
  const clock = new LiveClock();
  const authorize = (request: PublishRequest): Promise<PublishDecision> =>
    Promise.resolve(decide(request, keys, wanted.token));
  const door = await RtmpDoor.listen({ ...wanted.rtmp, clock, authorize });
  const pipe = new PacketPipeWriter(worker.packetPipe, { clock });
  const { host, port } = door.address;
  log.info({ host, port }, "waiting for RTMP publishers");
  void takePublishers(door, pipe, wanted.spec.id ?? "mix", log);
  return door;
}

async function takePublishers(
  door: RtmpDoor,
  pipe: PacketPipeWriter,
  mix: string,
  log: Logger,
): Promise<void> {
  for await (const publish of door) void take(publish, pipe, mix, log);
}

async function take(publish: RtmpPublish, pipe: PacketPipeWriter, mix: string, log: Logger): Promise<void> {
  const error = await forwardPublish(publish, pipe.open(`${mix}/${publish.name}`));
  log.info(
    { key: publish.name, error: error === undefined ? undefined : errorInfo(error) },
    "publisher left",
  );
}

function decide(
  { name, query }: PublishRequest,
  keys: ReadonlySet<string>,
  token: string | undefined,
): PublishDecision {
  if (!keys.has(name)) return { allow: false, code: "BadName", description: `nobody listens for ${name}` };
  if (token === undefined || sameText(query.get("token") ?? "", token)) return { allow: true };
  return { allow: false, code: "Unauthorized", description: "wrong token" };
}

function sameText(given: string, wanted: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
}
