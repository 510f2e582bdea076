import type { Frame, Packet } from "node-av";
import type { StageReport } from "../core/probe-report.ts";
import type { OpenDevice } from "./device.ts";
import { MediaGraph } from "./media-graph.ts";
import { ProbeEncoder, Stream } from "./probe-codec.ts";
import { Clip, inputOf, type Match, pullOne, runOnce, TOLERANCE_DB } from "./probe-picture.ts";
import { AbsentError } from "./probe-reason.ts";
import { SpeedRun } from "./probe-run.ts";
import type { Profile, VideoCodec } from "./profile.ts";
import { type EncodeTarget, encoderOptions } from "./profile-template.ts";

/** What a proven stage says of itself. */
export type Proof = Pick<StageReport, "name" | "psnrDb" | "fps" | "timesRealtime" | "rateControl">;

/** What the test pictures are encoded with. */
export const TARGET: EncodeTarget = {
  rateControl: "cbr",
  bitrateBps: 6_000_000,
  crf: 20,
  preset: "veryfast",
};
const STREAM_FRAMES = 24;
/** Siting of chroma differs between scalers, which shows at hard edges; luma tells where a picture is. */
const CHROMA_LEEWAY_DB = 4;

/**
 * What all stages of one device share: the test pictures, the way to the device and back, streams that the CPU encoded.
 * Owns all of that; borrows the device. Everything blocks: for a child process.
 */
export class ProbeBed implements Disposable {
  readonly profile: Profile;
  /** The CPU's profile, which everything is held against. */
  readonly cpu: Profile;
  /** Absent: this is the CPU. */
  readonly device: OpenDevice | undefined;
  readonly #clips = new Map<number, Clip>();
  readonly #streams = new Map<VideoCodec, Stream>();
  #uploader: MediaGraph | undefined;

  constructor(profile: Profile, cpu: Profile, device: OpenDevice | undefined) {
    this.profile = profile;
    this.cpu = cpu;
    this.device = device;
  }

  /** One of the test clips; 0 is the plain one. */
  clip(variant = 0): Clip {
    const known = this.#clips.get(variant);
    if (known !== undefined) return known;
    const clip = new Clip(variant);
    this.#clips.set(variant, clip);
    return clip;
  }

  /** The picture on the device, from one pool for all; for the CPU another reference. The caller owns it. */
  upload(frame: Frame): Frame {
    const { upload } = this.profile;
    if (upload === undefined || this.device === undefined) return cloned(frame);
    this.#uploader ??= new MediaGraph(upload, [inputOf(frame)], { device: this.device.context });
    this.#uploader.push([frame]);
    return pullOne(this.#uploader);
  }

  /** The picture in memory. The caller owns it. */
  download(frame: Frame): Frame {
    const { download } = this.profile;
    if (download === undefined || this.device === undefined) return cloned(frame);
    return runOnce(download, [frame], this.device.context);
  }

  /** A stream that the CPU encoded, kept for all decoders that want it. Borrowed. */
  stream(codec: VideoCodec): Stream {
    const known = this.#streams.get(codec);
    if (known !== undefined) return known;
    const encoder = this.cpu.encode[codec]?.[0];
    const options = encoder && encoderOptions(encoder, { ...TARGET, preset: "ultrafast" });
    if (encoder === undefined || options === undefined)
      throw new AbsentError("not-tried", `the CPU encodes no ${codec} to try it with`);
    using opened = new ProbeEncoder(encoder.encoder, options, this.clip().at(0));
    const packets: Packet[] = [];
    for (const run = new SpeedRun(STREAM_FRAMES); run.goesOn(); run.step())
      packets.push(...opened.push(this.clip().at(run.count)));
    packets.push(...opened.push(null));
    const stream = new Stream(packets, opened.extraData);
    this.#streams.set(codec, stream);
    return stream;
  }

  [Symbol.dispose](): void {
    this.#uploader?.[Symbol.dispose]();
    for (const clip of this.#clips.values()) clip[Symbol.dispose]();
    for (const stream of this.#streams.values()) stream[Symbol.dispose]();
  }
}

/** @throws {AbsentError} `mismatch` if the picture is further from the CPU's than the stage's tolerance. */
export function accept(stage: keyof typeof TOLERANCE_DB, { lumaDb, chromaDb }: Match): { psnrDb: number } {
  const wanted = TOLERANCE_DB[stage];
  const psnrDb = Math.round(Math.min(lumaDb, chromaDb) * 10) / 10;
  if (lumaDb >= wanted && chromaDb >= wanted - CHROMA_LEEWAY_DB) return { psnrDb };
  const both = `luma ${lumaDb.toFixed(1)} and chroma ${chromaDb.toFixed(1)} dB`;
  throw new AbsentError(
    "mismatch",
    `${both} from the CPU's picture, ${wanted} and ${wanted - CHROMA_LEEWAY_DB} wanted`,
  );
}

function cloned(frame: Frame): Frame {
  const clone = frame.clone();
  if (clone === null) throw new AbsentError("failed", "no memory for a picture");
  return clone;
}
