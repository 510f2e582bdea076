import type { AbsentReason, StageReport } from "../core/probe-report.ts";
import type { Profile } from "./profile.ts";

/** What the parent tells a probing child, once. */
export interface ProbeJob {
  readonly profile: Profile;
  /** The CPU's profile, which everything is held against. */
  readonly cpu: Profile;
  readonly device: string | undefined;
  /** Keys of stages that an earlier child did, or died of. */
  readonly skip: readonly string[];
  /** An earlier child found, by its death perhaps, that pictures do not come back from the device. */
  readonly isTransferLost: boolean;
}

/** What a probing child tells: `opened` or `absent`, then a `start` and a `stage` for each stage, then `done`. */
export type ProbeMessage =
  | {
      readonly type: "opened";
      readonly ffmpeg: string;
      readonly deviceName?: string | undefined;
      readonly software: boolean;
    }
  | { readonly type: "absent"; readonly reason: AbsentReason }
  | { readonly type: "start"; readonly key: string }
  | { readonly type: "stage"; readonly key: string; readonly report: StageReport }
  | { readonly type: "done" };

/** One thing to try on a device. */
export interface StagePlan {
  readonly key: string;
  readonly stage: StageReport["stage"];
  readonly media: StageReport["media"];
  readonly codec?: string;
  /** FFmpeg's names of what will be tried, best first; how many there are is how many ways there are. */
  readonly ways: readonly string[];
}

/** The key of the stage that all others on a device stand on. */
export const TRANSFER = "transfer:video";

/** Every stage of a profile, in the order in which they are tried: what others need comes first. */
export function planStages(profile: Profile): readonly StagePlan[] {
  const plans: StagePlan[] = [];
  const add = (
    stage: StagePlan["stage"],
    media: StagePlan["media"],
    ways: readonly string[],
    codec?: string,
  ): void => {
    if (ways.length === 0) return;
    const key = [stage, media, codec].filter((part) => part !== undefined).join(":");
    plans.push({ key, stage, media, ways, ...(codec === undefined ? {} : { codec }) });
  };
  if (profile.device !== undefined) add("transfer", "video", ["hwupload+hwdownload"]);
  for (const [codec, ways] of Object.entries(profile.encode))
    add(
      "encode",
      "video",
      ways.map(({ encoder }) => encoder),
      codec,
    );
  for (const [codec, ways] of Object.entries(profile.decode))
    add(
      "decode",
      "video",
      ways.map(({ decoder }) => decoder),
      codec,
    );
  add(
    "scale",
    "video",
    profile.scale.map(() => "scale"),
  );
  add(
    "compose",
    "video",
    profile.compose.map(({ method }) => method),
  );
  for (const [codec, { encoders, decoders }] of Object.entries(profile.audio)) {
    add("encode", "audio", encoders, codec);
    add("decode", "audio", decoders, codec);
  }
  return plans;
}
