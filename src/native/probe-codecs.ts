import type { Frame } from "node-av";
import { accept, type ProbeBed, type Proof, TARGET } from "./probe-bed.ts";
import { ProbeDecoder, ProbeEncoder, Stream } from "./probe-codec.ts";
import { type Match, matchOf, worse } from "./probe-picture.ts";
import { AbsentError } from "./probe-reason.ts";
import { LEAST_FRAMES, Owned, SpeedRun } from "./probe-run.ts";
import type { Decoder, VideoCodec } from "./profile.ts";
import { type EncodeTarget, encoderOptions } from "./profile-template.ts";

/** Enough to see that a kind of rate control works. */
const TRIAL_FRAMES = 4;
const PERFECT: Match = { lumaDb: Number.POSITIVE_INFINITY, chromaDb: Number.POSITIVE_INFINITY };

/**
 * Decodes with the profile's `index`th decoder for this codec, against the CPU's decoder; the CPU's own is held against
 * the pictures that were encoded.
 */
export function tryDecode(bed: ProbeBed, codec: VideoCodec, index: number): Proof {
  const decoder = bed.profile.decode[codec]?.[index];
  if (decoder === undefined) throw new AbsentError("not-tried", `no decoder ${index} for ${codec}`);
  const stream = bed.stream(codec);
  const { device, profile } = bed;
  using opened = new ProbeDecoder(decoder, stream, { profile, device: device?.context });
  const run = new SpeedRun(stream.packets.length);
  using kept = new Owned<Frame>();
  for (const packet of [...stream.packets, null]) {
    for (const frame of opened.push(packet)) {
      run.step();
      if (run.count <= LEAST_FRAMES) kept.items.push(frame);
      else frame.free();
    }
  }
  const fps = run.fps();
  if (run.count !== stream.packets.length)
    throw new AbsentError("mismatch", `${stream.packets.length} pictures in, ${run.count} out`);
  if (device !== undefined && kept.items.some((frame) => !frame.isHwFrame()))
    throw new AbsentError("mismatch", "the pictures came from the CPU, not from the device");
  return { name: decoder.decoder, ...compareDecoded(bed, codec, stream, kept.items), fps };
}

/** Encodes with the profile's `index`th encoder in every rate control it offers; the CPU decodes and compares. */
export function tryEncode(bed: ProbeBed, codec: VideoCodec, index: number): Proof {
  const encoder = bed.profile.encode[codec]?.[index];
  if (encoder === undefined) throw new AbsentError("not-tried", `no encoder ${index} for ${codec}`);
  const rateControl: EncodeTarget["rateControl"][] = [];
  let [best, failure]: [{ psnrDb: number; fps: number } | undefined, unknown] = [undefined, undefined];
  for (const kind of ["cbr", "vbr", "crf"] as const) {
    const options = encoderOptions(encoder, { ...TARGET, rateControl: kind });
    if (options === undefined) continue;
    try {
      const result = encodeRun(
        bed,
        codec,
        encoder.encoder,
        options,
        best === undefined ? undefined : TRIAL_FRAMES,
      );
      best ??= result;
      rateControl.push(kind);
    } catch (error) {
      failure ??= error;
    }
  }
  if (best === undefined) throw failure ?? new AbsentError("not-tried", "the profile names no rate control");
  return { name: encoder.encoder, ...best, rateControl };
}

/** Uploads outside the measured time; flushing is inside. */
function encodeRun(
  bed: ProbeBed,
  codec: VideoCodec,
  name: string,
  options: Record<string, string>,
  most: number | undefined,
): { psnrDb: number; fps: number } {
  using sample = bed.upload(bed.clip().at(0));
  using opened = new ProbeEncoder(name, options, sample, bed.device?.context);
  using stream = new Stream([], opened.extraData);
  const run = new SpeedRun(most);
  while (run.goesOn()) {
    using frame = run.aside(() => bed.upload(bed.clip().at(run.count)));
    stream.packets.push(...opened.push(frame));
    run.step();
  }
  stream.packets.push(...opened.push(null));
  const fps = run.fps();
  return { ...accept("encode", compareWithClip(bed, codec, stream, run.count)), fps };
}

function compareDecoded(
  bed: ProbeBed,
  codec: VideoCodec,
  stream: Stream,
  frames: readonly Frame[],
): { psnrDb: number } {
  const isCpu = bed.device === undefined;
  using wanted = new Owned<Frame>();
  if (!isCpu) {
    using reference = new ProbeDecoder(cpuDecoder(bed, codec), stream);
    for (const packet of [...stream.packets, null]) wanted.items.push(...reference.push(packet));
  }
  let match = PERFECT;
  for (const [index, frame] of frames.entries()) {
    using inMemory = bed.download(frame);
    match = worse(match, matchOf(inMemory, wanted.items[index] ?? bed.clip().at(index)));
  }
  return accept(isCpu ? "encode" : "decode", match);
}

/** The worst of the first, a middle and the last picture of a stream against those that were encoded. */
function compareWithClip(bed: ProbeBed, codec: VideoCodec, stream: Stream, count: number): Match {
  using decoder = new ProbeDecoder(cpuDecoder(bed, codec), stream);
  let [seen, match] = [0, PERFECT];
  for (const packet of [...stream.packets, null]) {
    for (const picture of decoder.push(packet)) {
      using owned = picture;
      if (seen === 0 || seen === count >> 1 || seen === count - 1)
        match = worse(match, matchOf(owned, bed.clip().at(seen)));
      seen += 1;
    }
  }
  if (seen !== count) throw new AbsentError("mismatch", `${count} pictures in, ${seen} out`);
  return match;
}

function cpuDecoder(bed: ProbeBed, codec: VideoCodec): Decoder {
  const decoder = bed.cpu.decode[codec]?.[0];
  if (decoder === undefined)
    throw new AbsentError("not-tried", `the CPU decodes no ${codec} to compare with`);
  return decoder;
}
