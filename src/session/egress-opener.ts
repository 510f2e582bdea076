import { mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { OutputSpec } from "../contract/output-spec.ts";
import type { Identified, WorkerSettings } from "../contract/worker.ts";
import { DestinationPolicy } from "../core/destinations.ts";
import { NotSupportedError, StorageError } from "../core/error.ts";
import { us } from "../core/time.ts";
import type { Egress, EgressStreams } from "../egress/egress.ts";
import { openRecording } from "../egress/file.ts";
import { openRtmpPush } from "../egress/rtmp.ts";
import { openRtp } from "../egress/rtp.ts";
import type { Clock } from "../media/clock.ts";
import { checkedResolve } from "../transport/resolve-host.ts";
import type { AudioEncode, VideoEncode } from "./encodes.ts";

/** What an output of a mix is opened with. */
export interface EgressContext {
  readonly mix: string;
  readonly clock: Clock;
  readonly settings: WorkerSettings;
  /** Wall time of mix time 0, in milliseconds since the Unix epoch. */
  readonly startWallMs: number;
  /** It was there when the mix was opened, so that a worker before this one may have begun it. */
  readonly mayGoOn: boolean;
}

/**
 * Opens the way out of an output. Returns at once; what becomes of it is told by its events.
 *
 * @throws {NotSupportedError} `ERR_NOT_SUPPORTED` for kinds this build does not send.
 */
export function openEgress(
  spec: Identified<OutputSpec>,
  streams: EgressStreams,
  context: EgressContext,
): Egress {
  const { clock, settings, mix, startWallMs, mayGoOn } = context;
  switch (spec.kind) {
    case "file":
      return openRecording({
        path: recordingPath(settings.dataDir, spec.path),
        streams,
        clock,
        startWallMs,
        mix,
        output: spec.id,
        overwrite: settings.overwrite,
        wait: settings.clock === "virtual",
        ...(spec.segmentS === undefined ? {} : { segmentS: spec.segmentS }),
      });
    case "rtmp":
      return openRtmpPush({
        url: spec.url,
        ...(spec.backupUrl === undefined ? {} : { backupUrl: spec.backupUrl }),
        streams,
        clock,
        // The mix clock never goes back, so neither does a push that is stamped by it.
        ...(mayGoOn ? { originUs: us(0) } : {}),
        resolve: checkedResolve(new DestinationPolicy(settings.destinations)),
      });
    case "rtp":
      return openRtp({
        host: spec.host,
        audioPort: spec.audioPort ?? 0,
        payloadType: spec.payloadTypes?.audio ?? 111,
        streams,
        clock,
        resolve: checkedResolve(new DestinationPolicy(settings.destinations)),
      });
    default:
      throw new NotSupportedError(`outputs of kind ${spec.kind} are not supported yet`);
  }
}

/** What an output gets of its encoders, as its way out must know it. */
export function streamsOf(video: VideoEncode | undefined, audio: AudioEncode | undefined): EgressStreams {
  const { bitrateBps = 0, rate } = video?.encoder.settings ?? {};
  const heard = audio?.encoder;
  return {
    ...(video === undefined || rate === undefined
      ? {}
      : { video: { ...video.encoder.info, frameRate: rate, bitrateBps } }),
    ...(heard === undefined ? {} : { audio: { ...heard.info, bitrateBps: heard.settings.bitrateBps } }),
  };
}

/** @throws {StorageError} `ERR_STORAGE` if its folder cannot be made. */
function recordingPath(dataDir: string, path: string): string {
  const full = resolve(dataDir, path);
  try {
    mkdirSync(dirname(full), { recursive: true });
  } catch (cause) {
    throw new StorageError(`cannot make the folder of ${path}`, { cause });
  }
  return full;
}
