/**
 * The program of a pull child: one process per network input that FFmpeg opens. FFmpeg's opens and reads cannot be
 * cancelled and hold a thread each, so the parent bounds them in time by killing this process.
 */
import { Socket } from "node:net";
import { createInterface } from "node:readline";
import { DestinationPolicy } from "../core/destinations.ts";
import {
  errorInfo,
  PeerLostError,
  PeerRejectedError,
  PeerUnreachableError,
  type TesseraError,
} from "../core/error.ts";
import { us } from "../core/time.ts";
import { LiveClock } from "../media/clock.ts";
import { DemuxError, Demuxer } from "../native/demuxer.ts";
import { logErrors } from "../native/libav.ts";
import { CheckedProxy, checkedAddress } from "./checked-proxy.ts";
import { type PullRequest, writeMessage } from "./pull-frames.ts";
import { type PullPlan, pinAddress, planPull } from "./pull-plan.ts";

/** FFmpeg's codes for answers that say no: HTTP 401 and 403. */
const REJECTED: readonly number[] = [-825242872, -858797304];
/** FFmpeg's codes for bytes that are no media, or hold no stream. */
const NO_MEDIA: readonly number[] = [-1094995529, -1381258232];

const pipe = new Socket({ fd: 3, readable: false, writable: true });
// The parent is gone, or has had enough. A blocked FFmpeg thread would hold a regular exit up.
const die = (): void => void process.kill(process.pid, "SIGKILL");
pipe.on("error", die);

const lines = createInterface({ input: process.stdin });
lines.once("line", (line) => void pull(JSON.parse(line) as PullRequest));
lines.once("close", die);

async function pull(wanted: PullRequest): Promise<void> {
  logErrors();
  try {
    await deliver(wanted);
    await writeMessage(pipe, { type: "end" });
  } catch (error) {
    await writeMessage(pipe, { type: "error", error: errorInfo(error) });
  }
  pipe.end(die);
}

async function deliver(wanted: PullRequest): Promise<void> {
  const policy = new DestinationPolicy(wanted.destinations);
  const plan = planPull(wanted.url, wanted.ioTimeoutUs);
  await using proxy = plan.byProxy ? await CheckedProxy.open(policy) : undefined;
  if (proxy !== undefined) process.env.http_proxy = proxy.url;
  const pinned = plan.byProxy ? { url: wanted.url, plan } : await pin(wanted.url, plan, policy);
  await using demuxer = await open(pinned.url, pinned.plan, wanted).catch((error: unknown) => {
    throw proxy?.failure ?? (error instanceof DemuxError ? openError(error) : error);
  });
  await writeMessage(pipe, { type: "open", wrapUs: demuxer.wrapUs });
  for (let packet = await demuxer.read(); packet !== undefined; packet = await demuxer.read()) {
    await writeMessage(pipe, { type: "packet", packet });
  }
  const { failure } = demuxer;
  if (failure !== undefined) throw new PeerLostError(failure.message, { cause: failure });
}

async function pin(
  url: string,
  plan: PullPlan,
  policy: DestinationPolicy,
): Promise<{ url: string; plan: PullPlan }> {
  const host = URL.parse(url.replace(/^[a-z]+:/i, "http:"))?.hostname ?? "";
  return pinAddress(url, await checkedAddress(host.replace(/^\[|\]$/g, ""), policy), plan);
}

function open(url: string, plan: PullPlan, { nowUs }: PullRequest): Promise<Demuxer> {
  const { protocols, formats, extra, probeIfNeeded } = plan;
  return Demuxer.open({ url, protocols, formats, extra, probeIfNeeded, clock: new LiveClock(us(nowUs)) });
}

function openError(error: DemuxError): TesseraError {
  if (NO_MEDIA.includes(error.avCode)) return error;
  if (REJECTED.includes(error.avCode)) return new PeerRejectedError(error.message, { cause: error });
  return new PeerUnreachableError(error.message, { cause: error });
}
