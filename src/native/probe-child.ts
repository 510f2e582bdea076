import { getFFmpegInfo } from "node-av";
import type { StageReport } from "../core/probe-report.ts";
import { LibavLog, type OpenDevice, openDevice } from "./device.ts";
import { ProbeBed, type Proof } from "./probe-bed.ts";
import { tryDecode, tryEncode } from "./probe-codecs.ts";
import { tryCompose, tryScale, tryTransfer } from "./probe-graphs.ts";
import { type ProbeJob, type ProbeMessage, planStages, type StagePlan } from "./probe-message.ts";
import { AbsentError, reasonOf } from "./probe-reason.ts";
import { tryDecodeSound, tryEncodeSound } from "./probe-sound.ts";
import type { AudioCodec, VideoCodec } from "./profile.ts";

/**
 * The main file of a probing child: one device, one job, then it waits to be ended. It may crash or hang in a driver;
 * whoever started it (`probe.ts`) watches, and knows from the messages what it was doing.
 */
process.once("message", (job: ProbeJob) => void run(job));
process.once("disconnect", () => process.kill(process.pid, "SIGKILL"));

const tell = (message: ProbeMessage): Promise<void> =>
  new Promise((resolve) => {
    process.send?.(message, () => resolve());
  });

async function run(job: ProbeJob): Promise<void> {
  const log = new LibavLog();
  let device: OpenDevice | undefined;
  try {
    device = job.profile.device === undefined ? undefined : await openDevice(job.profile, job.device, log);
  } catch (error) {
    const { firstError, lastLine } = await log.take();
    const { message } = reasonOf(error, firstError ?? lastLine);
    return tell({ type: "absent", reason: { kind: "no-device", message } });
  }
  const { version } = getFFmpegInfo();
  await tell({
    type: "opened",
    ffmpeg: version,
    deviceName: device?.name,
    software: device?.software ?? false,
  });
  await tryAll(job, device, log);
  await tell({ type: "done" });
}

async function tryAll(job: ProbeJob, device: OpenDevice | undefined, log: LibavLog): Promise<void> {
  const bed = new ProbeBed(job.profile, job.cpu, device);
  const plans = planStages(job.profile);
  let lost = job.isTransferLost;
  for (const plan of plans.filter(({ key }) => !job.skip.includes(key))) {
    // Sent before it is tried: the parent must know what killed us.
    await tell({ type: "start", key: plan.key });
    const report = lost
      ? absent(plan, new AbsentError("not-tried", "pictures do not survive the way there and back"))
      : await tryStage(plan, bed, log);
    if (plan.stage === "transfer" && !report.available) lost = true;
    await tell({ type: "stage", key: plan.key, report });
  }
}

/** The first way that proves itself; if none does, why the first did not. */
async function tryStage(plan: StagePlan, bed: ProbeBed, log: LibavLog): Promise<StageReport> {
  let failure: StageReport | undefined;
  for (const index of plan.ways.keys()) {
    await log.take();
    try {
      return { ...describe(plan), ...prove(plan, index, bed), available: true };
    } catch (error) {
      failure ??= absent(plan, error, (await log.take()).firstError);
    }
  }
  return failure ?? absent(plan, new AbsentError("not-tried", "the profile names no way"));
}

function prove(plan: StagePlan, index: number, bed: ProbeBed): Proof {
  const { stage, media, codec } = plan;
  if (stage === "transfer") return tryTransfer(bed);
  if (stage === "scale") return tryScale(bed, index);
  if (stage === "compose") return tryCompose(bed, index);
  if (media === "audio") {
    return (stage === "encode" ? tryEncodeSound : tryDecodeSound)(bed.profile, codec as AudioCodec, index);
  }
  return stage === "encode"
    ? tryEncode(bed, codec as VideoCodec, index)
    : tryDecode(bed, codec as VideoCodec, index);
}

const describe = ({ stage, media, codec, ways }: StagePlan): Omit<StageReport, "available"> => ({
  stage,
  media,
  name: ways[0] ?? "",
  ...(codec === undefined ? {} : { codec }),
});

const absent = (plan: StagePlan, error: unknown, said?: string): StageReport => ({
  ...describe(plan),
  available: false,
  reason: reasonOf(error, said),
});
