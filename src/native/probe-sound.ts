import { AV_SAMPLE_FMT_FLTP, avGetSampleFmtName, type Frame, type Packet } from "node-av";
import { MediaGraph } from "./media-graph.ts";
import type { Proof } from "./probe-bed.ts";
import { findEncoder, ProbeDecoder, ProbeEncoder, Stream } from "./probe-codec.ts";
import { AbsentError } from "./probe-reason.ts";
import type { AudioCodec, Profile, Sound } from "./profile.ts";

const TONE_HZ = 997;
const TONE_SECONDS = 2;
/** The loudness of the decoded tone may differ by this much, the centre of its spectrum by this share: A-law
 * and mu-law add noise of their own. */
const LEVEL_TOLERANCE_DB = 1;
const PITCH_TOLERANCE = 0.2;

/** Encodes a tone with the codec's `index`th encoder; the CPU's decoder must give the same tone back. */
export function tryEncodeSound(profile: Profile, codec: AudioCodec, index: number): Proof {
  const sound = soundOf(profile, codec);
  const name = sound.encoders[index] ?? "";
  const { stream, seconds } = encodeTone(name, sound);
  using owned = stream;
  judge(decodeTone(sound.decoders[0] ?? "", owned).frames, sound);
  return { name, timesRealtime: rate(seconds) };
}

/** Decodes the tone as the codec's first encoder wrote it with its `index`th decoder. */
export function tryDecodeSound(profile: Profile, codec: AudioCodec, index: number): Proof {
  const sound = soundOf(profile, codec);
  const name = sound.decoders[index] ?? "";
  using stream = encodeTone(sound.encoders[0] ?? "", sound).stream;
  const { frames, seconds } = decodeTone(name, stream);
  judge(frames, sound);
  return { name, timesRealtime: rate(seconds) };
}

function soundOf(profile: Profile, codec: AudioCodec): Sound {
  const sound = profile.audio[codec];
  if (sound === undefined) throw new AbsentError("not-tried", `the profile has no ${codec}`);
  return sound;
}

const rate = (seconds: number): number => Math.round(TONE_SECONDS / Math.max(1e-6, seconds));

function encodeTone(name: string, sound: Sound): { readonly stream: Stream; readonly seconds: number } {
  const formats = findEncoder(name).sampleFormats ?? [AV_SAMPLE_FMT_FLTP];
  const format = avGetSampleFmtName(formats[0] ?? AV_SAMPLE_FMT_FLTP) ?? "fltp";
  using sample = first(tone(format, sound, 0));
  using encoder = new ProbeEncoder(name, {}, sample);
  const frames = tone(format, sound, encoder.frameSize);
  const packets: Packet[] = [];
  const fromMs = performance.now();
  for (const frame of [...frames, null]) packets.push(...encoder.push(frame));
  const seconds = (performance.now() - fromMs) / 1000;
  for (const frame of frames) frame.free();
  return { stream: new Stream(packets, encoder.extraData, sound), seconds };
}

function decodeTone(name: string, stream: Stream): { readonly frames: Frame[]; readonly seconds: number } {
  using decoder = new ProbeDecoder({ decoder: name, options: {} }, stream);
  const frames: Frame[] = [];
  const fromMs = performance.now();
  for (const packet of [...stream.packets, null]) frames.push(...decoder.push(packet));
  return { frames, seconds: (performance.now() - fromMs) / 1000 };
}

/** A tone of {@link TONE_SECONDS} in frames of `frameSize` samples, or of any size if 0. The caller owns them. */
function tone(format: string, { sampleRate, channels }: Sound, frameSize: number): Frame[] {
  const sine = `sine=frequency=${TONE_HZ}:sample_rate=${sampleRate}:duration=${TONE_SECONDS}`;
  const text = `${sine},aformat=sample_fmts=${format}:channel_layouts=${channels}c,asetnsamples=n=${frameSize || 1024}[out]`;
  using graph = new MediaGraph(text, [], { sound: true });
  const frames: Frame[] = [];
  for (let frame = graph.pull(); frame !== undefined; frame = graph.pull()) frames.push(frame);
  return frames;
}

/** Compares the second half of what was decoded with the tone itself; the first may hold the codec's delay. Frees them. */
function judge(frames: Frame[], sound: Sound): void {
  const made = measure(frames);
  const wanted = measure(tone("fltp", sound, 1024));
  if (Math.abs(made.levelDb - wanted.levelDb) > LEVEL_TOLERANCE_DB)
    throw new AbsentError(
      "mismatch",
      `${made.levelDb.toFixed(1)} dB came of a tone at ${wanted.levelDb.toFixed(1)} dB`,
    );
  if (Math.abs(made.centreHz / wanted.centreHz - 1) > PITCH_TOLERANCE)
    throw new AbsentError(
      "mismatch",
      `${made.centreHz.toFixed(0)} Hz came of a tone at ${wanted.centreHz.toFixed(0)} Hz`,
    );
}

function measure(frames: Frame[]): { readonly levelDb: number; readonly centreHz: number } {
  const sample = first(frames);
  const input = {
    sampleRate: sample.sampleRate,
    channels: sample.channels === 1 ? (1 as const) : (2 as const),
    sampleFormat: avGetSampleFmtName(sample.format as Parameters<typeof avGetSampleFmtName>[0]) ?? "fltp",
  };
  const text = `[in0]atrim=start=${TONE_SECONDS / 2},aspectralstats=measure=centroid,astats=metadata=1:measure_perchannel=none:measure_overall=RMS_level[out]`;
  using graph = new MediaGraph(text, [input], { sound: true });
  let samples = 0;
  let last: Record<string, string> = {};
  const drain = (): void => {
    for (let frame = graph.pull(); frame !== undefined; frame = graph.pull()) {
      last = frame.getMetadata().getAll();
      frame.free();
    }
  };
  for (const frame of frames) {
    frame.pts = BigInt(samples);
    samples += frame.nbSamples;
    graph.push([frame]);
    frame.free();
    drain();
  }
  const levelDb = Number(last["lavfi.astats.Overall.RMS_level"] ?? Number.NEGATIVE_INFINITY);
  return { levelDb, centreHz: Number(last["lavfi.aspectralstats.1.centroid"] ?? 0) };
}

function first(frames: readonly Frame[]): Frame {
  const frame = frames[0];
  if (frame === undefined) throw new AbsentError("mismatch", "no sound came out");
  return frame;
}
