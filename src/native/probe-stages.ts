import type { Frame, Packet } from "node-av";
import type { StageReport } from "../core/probe-report.ts";
import type { OpenDevice } from "./device.ts";
import { DeviceGraph } from "./device-graph.ts";
import { ProbeDecoder, ProbeEncoder, Stream } from "./probe-codec.ts";
import {
  Clip,
  emptyCanvas,
  inputOf,
  PROBE_CANVAS,
  PROBE_PLACEMENTS,
  psnrDb,
  pullOne,
  referenceComposition,
  referenceScale,
  runOnce,
  TOLERANCE_DB,
} from "./probe-picture.ts";
import { AbsentError } from "./probe-reason.ts";
import { composeTiles } from "./probe-tiles.ts";
import type { Compose, Encoder, Profile, VideoCodec } from "./profile.ts";
import { composeGraph, type EncodeTarget, encoderOptions, fill, needsCanvas } from "./profile-template.ts";

/** What a proven stage says of itself. */
export type Proof = Pick<StageReport, "name" | "psnrDb" | "fps" | "timesRealtime" | "rateControl">;

/** Pictures of a speed run, and how long it may take, in milliseconds. */
const RUN_FRAMES = 48;
const RUN_MS = 400;
/** Even the slowest device makes this many. */
const MIN_FRAMES = 3;
/** Enough to see that a rate control works. */
const TRIAL_FRAMES = 4;
const TARGET: EncodeTarget = { rateControl: "cbr", bitrateBps: 6_000_000, crf: 20, preset: "veryfast" };
const SCALED = { width: 640, height: 360 };

/** Tries the stages of one profile on one device, each against the CPU. Everything in it blocks: for a child process. */
export class ProbeStages implements Disposable {
  readonly #profile: Profile;
  readonly #cpu: Profile;
  readonly #device: OpenDevice | undefined;
  readonly #clips: Clip[] = [];
  #uploader: DeviceGraph | undefined;
  readonly #streams = new Map<VideoCodec, Stream>();

  /** @param cpu the CPU's profile: it makes the streams to decode and the pictures to compare with. */
  constructor(profile: Profile, cpu: Profile, device: OpenDevice | undefined) {
    this.#profile = profile;
    this.#cpu = cpu;
    this.#device = device;
  }

  /** Memory to device and back. */
  transfer(): Proof {
    const run = new SpeedRun();
    let worst = Number.POSITIVE_INFINITY;
    while (run.goesOn()) {
      const picture = this.#clip(0).at(run.count);
      using there = this.#upload(picture);
      using back = this.#download(there);
      if (run.count < MIN_FRAMES)
        worst = Math.min(
          worst,
          run.aside(() => psnrDb(back, picture)),
        );
      run.step();
    }
    return { name: "hwupload+hwdownload", ...this.#accept("transfer", worst), fps: run.fps() };
  }

  /** @throws {AbsentError} `mismatch` if its pictures are not the CPU decoder's, or never were on the device. */
  decode(codec: VideoCodec, index: number): Proof {
    const decoder = this.#profile.decode[codec]?.[index];
    const onCpu = this.#cpu.decode[codec]?.[0];
    if (decoder === undefined || onCpu === undefined)
      throw new AbsentError("not-tried", `no decoder ${index} for ${codec}`);
    const stream = this.#stream(codec);
    const on = { profile: this.#profile, device: this.#device?.context };
    using clock = new DisposableList<Frame>();
    using opened = new ProbeDecoder(decoder, stream, on);
    const run = new SpeedRun(stream.packets.length);
    for (const packet of [...stream.packets, null]) {
      for (const frame of opened.push(packet)) {
        run.step();
        if (run.count <= MIN_FRAMES) clock.add(frame);
        else frame.free();
      }
    }
    const fps = run.fps();
    if (run.count < stream.packets.length)
      throw new AbsentError("mismatch", `${run.count} of ${stream.packets.length} pictures`);
    const wanted = this.#device === undefined ? undefined : new ProbeDecoder(onCpu, stream);
    return { name: decoder.decoder, ...this.#compareDecoded(clock.items, stream, wanted), fps };
  }

  scale(index: number): Proof {
    const text = fill(this.#profile.scale[index] ?? "", SCALED);
    const pictures = [this.#clip(0)];
    const { made, fps, sources } = this.#runGraph(text, pictures, undefined);
    using result = made;
    using reference = referenceScale(first(sources), SCALED.width, SCALED.height);
    return { name: filterNames(text), ...this.#accept("scale", psnrDb(result, reference)), fps };
  }

  compose(index: number): Proof {
    const compose = this.#profile.compose[index];
    if (compose === undefined) throw new AbsentError("not-tried", `no way ${index} to compose`);
    const clips = PROBE_PLACEMENTS.map((_, at) => this.#clip(at));
    const { made, fps, sources } =
      compose.method === "tiles" ? this.#runTiles(clips) : this.#runCompose(compose, clips);
    using result = made;
    using reference = referenceComposition(sources);
    const name =
      compose.method === "tiles"
        ? "tiles"
        : filterNames(composeGraph(compose, PROBE_CANVAS, PROBE_PLACEMENTS));
    return { name, ...this.#accept("compose", psnrDb(result, reference)), fps };
  }

  /** @throws {AbsentError} `mismatch` if the CPU decodes another picture from it than went in. */
  encode(codec: VideoCodec, index: number): Proof {
    const encoder = this.#profile.encode[codec]?.[index];
    if (encoder === undefined) throw new AbsentError("not-tried", `no encoder ${index} for ${codec}`);
    const proven: { rateControl: EncodeTarget["rateControl"]; psnr: number; fps: number }[] = [];
    let failure: unknown;
    for (const rateControl of ["cbr", "vbr", "crf"] as const) {
      const options = encoderOptions(encoder, { ...TARGET, rateControl });
      if (options === undefined) continue;
      try {
        proven.push({ rateControl, ...this.#encodeRun(codec, encoder, options, proven.length === 0) });
      } catch (error) {
        failure ??= error;
      }
    }
    const best = proven[0];
    if (best === undefined) throw failure ?? new AbsentError("not-tried", "no rate control");
    const rateControl = proven.map((one) => one.rateControl);
    return { name: encoder.encoder, psnrDb: best.psnr, fps: best.fps, rateControl };
  }

  [Symbol.dispose](): void {
    for (const clip of this.#clips) clip?.[Symbol.dispose]();
    for (const stream of this.#streams.values()) stream[Symbol.dispose]();
  }

  #encodeRun(
    codec: VideoCodec,
    { encoder }: Encoder,
    options: Record<string, string>,
    isLong: boolean,
  ): { psnr: number; fps: number } {
    using sample = this.#upload(this.#clip(0).at(0));
    using opened = new ProbeEncoder(encoder, options, sample, this.#device?.context);
    const packets: Packet[] = [];
    const run = new SpeedRun(isLong ? RUN_FRAMES : TRIAL_FRAMES);
    while (run.goesOn()) {
      using frame = run.aside(() => this.#upload(this.#clip(0).at(run.count)));
      packets.push(...opened.push(frame));
      run.step();
    }
    packets.push(...opened.push(null));
    const fps = run.fps();
    const stream = new Stream(packets, opened.extraData);
    if (isLong && this.#device === undefined) this.#streams.set(codec, stream);
    const onCpu = this.#cpu.decode[codec]?.[0];
    if (onCpu === undefined) throw new AbsentError("not-tried", `the CPU has no decoder for ${codec}`);
    const psnr = this.#psnrOfStream(new ProbeDecoder(onCpu, stream), stream, run.count);
    return { psnr: this.#accept("encode", psnr).psnrDb, fps };
  }

  /** The worst of the first, a middle and the last picture of a stream against those that were encoded. Owns `decoder`. */
  #psnrOfStream(decoder: ProbeDecoder, stream: Stream, count: number): number {
    using opened = decoder;
    let [seen, worst] = [0, Number.POSITIVE_INFINITY];
    for (const packet of [...stream.packets, null]) {
      for (const picture of opened.push(packet)) {
        using owned = picture;
        if (seen === 0 || seen === count >> 1 || seen === count - 1)
          worst = Math.min(worst, psnrDb(owned, this.#clip(0).at(seen)));
        seen += 1;
      }
    }
    if (seen !== count) throw new AbsentError("mismatch", `${count} pictures in, ${seen} out`);
    return worst;
  }

  /** Against the CPU's decoder, or, for the CPU itself, against what was encoded. Owns `reference`. */
  #compareDecoded(
    frames: readonly Frame[],
    stream: Stream,
    reference: ProbeDecoder | undefined,
  ): { psnrDb: number } {
    using _ = reference ?? { [Symbol.dispose]: () => undefined };
    using wanted = new DisposableList<Frame>();
    for (const packet of reference === undefined ? [] : [...stream.packets, null])
      for (const frame of reference?.push(packet) ?? []) wanted.add(frame);
    let worst = Number.POSITIVE_INFINITY;
    for (const [index, frame] of frames.entries()) {
      if (this.#device !== undefined && !frame.isHwFrame())
        throw new AbsentError("mismatch", "the pictures came from the CPU, not from the device");
      using inMemory = this.#download(frame);
      worst = Math.min(worst, psnrDb(inMemory, wanted.items[index] ?? this.#clip(0).at(index)));
    }
    return this.#accept(reference === undefined ? "encode" : "decode", worst);
  }

  /** A stream that the CPU encoded; kept, since several decoders may want it. */
  #stream(codec: VideoCodec): Stream {
    const known = this.#streams.get(codec);
    if (known !== undefined) return known;
    const encoder = this.#cpu.encode[codec]?.[0];
    const options = encoder === undefined ? undefined : encoderOptions(encoder, TARGET);
    if (encoder === undefined || options === undefined)
      throw new AbsentError("not-tried", `the CPU encodes no ${codec} to try it with`);
    using opened = new ProbeEncoder(encoder.encoder, options, this.#clip(0).at(0));
    const packets: Packet[] = [];
    for (let index = 0; index < RUN_FRAMES / 2; index += 1)
      packets.push(...opened.push(this.#clip(0).at(index)));
    packets.push(...opened.push(null));
    const stream = new Stream(packets, opened.extraData);
    this.#streams.set(codec, stream);
    return stream;
  }

  #runCompose(compose: Extract<Compose, { method: "graph" }>, clips: readonly Clip[]): GraphRun {
    using canvas = needsCanvas(compose) ? emptyCanvas() : undefined;
    return this.#runGraph(composeGraph(compose, PROBE_CANVAS, PROBE_PLACEMENTS), clips, canvas);
  }

  /** Uploads outside the measured time, runs, and gives the last picture in memory with the pictures it was made of. */
  #runGraph(text: string, clips: readonly Clip[], canvas: Frame | undefined): GraphRun {
    const upload = (index: number): DisposableList<Frame> => {
      const pictures = [
        ...clips.map((clip) => clip.at(index)),
        ...(canvas === undefined ? [] : [stamped(canvas, index)]),
      ];
      return new DisposableList(pictures.map((picture) => this.#upload(picture)));
    };
    using sample = upload(0);
    using graph = new DeviceGraph(text, sample.items.map(inputOf), { device: this.#device?.context });
    const run = new SpeedRun();
    let made: Frame | undefined;
    const drain = (): void => {
      for (let next = graph.pull(); next !== undefined; next = graph.pull()) {
        made?.free();
        made = next;
      }
    };
    while (run.goesOn()) {
      using inputs = run.aside(() => upload(run.count));
      graph.push(inputs.items);
      drain();
      run.step();
    }
    graph.end();
    drain();
    if (made === undefined) throw new AbsentError("mismatch", "the graph gave no picture");
    using last = made;
    const inMemory = this.#download(last);
    return { made: inMemory, fps: run.fps(), sources: clips.map((clip) => clip.at(run.count - 1)) };
  }

  #runTiles(clips: readonly Clip[]): GraphRun {
    const run = new SpeedRun();
    let made: Frame | undefined;
    while (run.goesOn()) {
      made?.free();
      made = composeTiles(
        clips.map((clip) => clip.at(run.count)),
        PROBE_CANVAS,
        PROBE_PLACEMENTS,
      );
      run.step();
    }
    if (made === undefined) throw new AbsentError("mismatch", "no picture");
    return { made, fps: run.fps(), sources: clips.map((clip) => clip.at(run.count - 1)) };
  }

  #clip(variant: number): Clip {
    return (this.#clips[variant] ??= new Clip(variant));
  }

  /** The caller owns the result; for the CPU it is another reference. All come from one pool, as graphs want it. */
  #upload(frame: Frame): Frame {
    const { upload } = this.#profile;
    if (upload === undefined || this.#device === undefined) return cloned(frame);
    this.#uploader ??= new DeviceGraph(upload, [inputOf(frame)], { device: this.#device.context });
    this.#uploader.push([frame]);
    return pullOne(this.#uploader);
  }

  #download(frame: Frame): Frame {
    const { download } = this.#profile;
    if (download === undefined || this.#device === undefined) return cloned(frame);
    return runOnce(download, [frame], this.#device.context);
  }

  #accept(stage: keyof typeof TOLERANCE_DB, psnr: number): { psnrDb: number } {
    const psnrDb = Math.round(psnr * 10) / 10;
    if (psnr >= TOLERANCE_DB[stage]) return { psnrDb };
    throw new AbsentError("mismatch", `${psnrDb} dB from the CPU's picture, ${TOLERANCE_DB[stage]} wanted`);
  }
}

interface GraphRun {
  /** Owned by whoever takes it. */
  readonly made: Frame;
  readonly fps: number;
  readonly sources: readonly Frame[];
}

/** Counts pictures and time of a bounded run. */
class SpeedRun {
  readonly #most: number;
  #startMs = performance.now();
  count = 0;

  constructor(most = RUN_FRAMES) {
    this.#most = most;
  }

  goesOn(): boolean {
    const isLate = this.count >= MIN_FRAMES && performance.now() - this.#startMs > RUN_MS;
    return this.count < this.#most && !isLate;
  }

  step(): void {
    this.count += 1;
  }

  /** Does something whose time does not count. */
  aside<T>(work: () => T): T {
    const fromMs = performance.now();
    const result = work();
    this.#startMs += performance.now() - fromMs;
    return result;
  }

  fps(): number {
    return Math.round((this.count * 10_000) / Math.max(0.001, performance.now() - this.#startMs)) / 10;
  }
}

/** Frees what it holds at the end of the scope. */
class DisposableList<T extends Disposable> implements Disposable {
  readonly items: T[];

  constructor(items: T[] = []) {
    this.items = items;
  }

  add(item: T): void {
    this.items.push(item);
  }

  [Symbol.dispose](): void {
    for (const item of this.items) item[Symbol.dispose]();
  }
}

function cloned(frame: Frame): Frame {
  const clone = frame.clone();
  if (clone === null) throw new AbsentError("failed", "no memory for a picture");
  return clone;
}

function stamped(frame: Frame, index: number): Frame {
  frame.pts = BigInt(index);
  return frame;
}

function first<T>(items: readonly T[]): T {
  const item = items[0];
  if (item === undefined) throw new AbsentError("failed", "nothing was tried");
  return item;
}

/** `scale_cuda+overlay_cuda` for people. */
const filterNames = (text: string): string =>
  [...new Set([...text.matchAll(/[\],;]([a-z][a-z0-9_]*)=/g)].map((match) => match[1] ?? ""))].join("+");
