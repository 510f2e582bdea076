/**
 * The program of a pull child: one process per network input that FFmpeg opens. FFmpeg's opens and reads cannot be
 * cancelled and hold a thread each, so the parent bounds them in time by killing this process.
 */
import { Socket } from "node:net";
import { createInterface } from "node:readline";
import { DestinationPolicy } from "../core/destinations.ts";
import {
  errorInfo,
  ForbiddenError,
  PeerLostError,
  PeerRejectedError,
  PeerUnreachableError,
  type TesseraError,
} from "../core/error.ts";
import { bareHost } from "../core/host.ts";
import { LiveClock } from "../media/clock.ts";
import { DemuxError, Demuxer } from "../native/demuxer.ts";
import { logErrors } from "../native/libav.ts";
import { RtspRedirect } from "../protocol/rtsp.ts";
import { type PacketPipeStream, PacketPipeWriter } from "../transport/packet-pipe-writer.ts";
import { checkedAddresses } from "./checked-dial.ts";
import { CheckedProxy } from "./checked-proxy.ts";
import { type PullPlan, pinAddress, planPull } from "./pull-plan.ts";
import { PULL_STREAM, type PullOpened, type PullRequest } from "./pull-request.ts";
import { RtspRelay } from "./rtsp-relay.ts";

/** FFmpeg's codes for answers that say no: HTTP 401 and 403. */
const REJECTED: readonly number[] = [-825242872, -858797304];
/** FFmpeg's codes for bytes that are no media, or hold no stream. */
const NO_MEDIA: readonly number[] = [-1094995529, -1381258232];

/** RTSP redirects that are followed, each to a checked address. */
const MAX_REDIRECTS = 5;

const clock = new LiveClock();
const pipe = new PacketPipeWriter(new Socket({ fd: 3 }), { clock });
// The parent is gone, or has had enough. A blocked FFmpeg thread would hold a regular exit up.
const die = (): void => void process.kill(process.pid, "SIGKILL");
void pipe.closed.then(die);

const lines = createInterface({ input: process.stdin });
lines.once("line", (line) => void pull(JSON.parse(line) as PullRequest));
lines.once("close", die);

async function pull(wanted: PullRequest): Promise<void> {
  logErrors();
  const stream = pipe.open(PULL_STREAM);
  try {
    await deliver(wanted, stream);
    stream.end();
  } catch (error) {
    stream.end(errorInfo(error));
  }
  // The parent closes the pipe when it has read all of it, and that is the end.
}

async function deliver(wanted: PullRequest, stream: PacketPipeStream): Promise<void> {
  let url = wanted.url;
  for (let redirects = 0; ; redirects++) {
    try {
      await deliverFrom(url, wanted, stream);
      return;
    } catch (error) {
      if (!(error instanceof RtspRedirect) || error.location === undefined) throw error;
      if (redirects === MAX_REDIRECTS) throw error;
      url = error.location;
      if (!/^rtsps?:/i.test(url)) throw new ForbiddenError("a RTSP server leads to another protocol");
    }
  }
}

async function deliverFrom(url: string, wanted: PullRequest, stream: PacketPipeStream): Promise<void> {
  const policy = new DestinationPolicy(wanted.destinations);
  const plan = planPull(url, wanted.ioTimeoutUs);
  await using proxy = plan.via === "proxy" ? await CheckedProxy.open(policy) : undefined;
  await using relay = plan.via === "relay" ? await RtspRelay.open(url, policy) : undefined;
  if (proxy !== undefined) process.env.http_proxy = proxy.url;
  const checked = plan.via === "address" ? await pin(url, plan, policy) : { url: relay?.url ?? url, plan };
  await using demuxer = await open(checked.url, checked.plan).catch((error: unknown) => {
    const why = error instanceof DemuxError ? openError(error) : error;
    throw proxy?.failure ?? relay?.failure ?? why;
  });
  const hasLength = proxy?.sawLength === true && !demuxer.isPlaylist;
  const opened: PullOpened = {
    wrapUs: Number.isFinite(demuxer.wrapUs) ? demuxer.wrapUs : null,
    isFinite: !plan.isLive && (demuxer.hasDuration || hasLength),
  };
  pipe.control(JSON.stringify(opened));
  for (let packet = await demuxer.read(); packet !== undefined; packet = await demuxer.read()) {
    stream.push(packet);
    await stream.ready();
  }
  const failure = relay?.failure ?? demuxer.failure;
  if (failure !== undefined) throw new PeerLostError(failure.message, { cause: failure });
}

async function pin(
  url: string,
  plan: PullPlan,
  policy: DestinationPolicy,
): Promise<{ url: string; plan: PullPlan }> {
  const host = URL.parse(url.replace(/^[a-z]+:/i, "http:"))?.hostname ?? "";
  const [address] = await checkedAddresses(bareHost(host), policy);
  return pinAddress(url, address, plan);
}

function open(url: string, { protocols, formats, extra, probeIfNeeded }: PullPlan): Promise<Demuxer> {
  return Demuxer.open({ url, protocols, formats, extra, probeIfNeeded, clock });
}

function openError(error: DemuxError): TesseraError {
  if (NO_MEDIA.includes(error.avCode)) return error;
  if (REJECTED.includes(error.avCode)) return new PeerRejectedError(error.message, { cause: error });
  return new PeerUnreachableError(error.message, { cause: error });
}
