import type { Frame } from "node-av";
import { MediaGraph } from "./media-graph.ts";
import { accept, type ProbeBed, type Proof } from "./probe-bed.ts";
import {
  type Clip,
  emptyCanvas,
  inputOf,
  matchOf,
  PROBE_CANVAS,
  PROBE_PLACEMENTS,
  referenceComposition,
  referenceScale,
  worse,
} from "./probe-picture.ts";
import { AbsentError } from "./probe-reason.ts";
import { LEAST_FRAMES, Owned, SpeedRun } from "./probe-run.ts";
import { composeTiles } from "./probe-tiles.ts";
import { composeGraph, fill, needsCanvas } from "./profile-template.ts";

const SCALED = { width: 640, height: 360 };

/** Memory to device and back must give the same picture. */
export function tryTransfer(bed: ProbeBed): Proof {
  const run = new SpeedRun();
  let match = { lumaDb: Number.POSITIVE_INFINITY, chromaDb: Number.POSITIVE_INFINITY };
  while (run.goesOn()) {
    const picture = bed.clip().at(run.count);
    using there = bed.upload(picture);
    using back = bed.download(there);
    if (run.count < LEAST_FRAMES)
      match = worse(
        match,
        run.aside(() => matchOf(back, picture)),
      );
    run.step();
  }
  return { name: "hwupload+hwdownload", ...accept("transfer", match), fps: run.fps() };
}

/** The profile's `index`th scaler against the CPU's. */
export function tryScale(bed: ProbeBed, index: number): Proof {
  const text = fill(bed.profile.scale[index] ?? "", SCALED);
  using result = runGraph(bed, text, [bed.clip()]);
  const [source] = result.sources;
  if (source === undefined) throw new AbsentError("failed", "nothing was scaled");
  using reference = referenceScale(source, SCALED.width, SCALED.height);
  return { name: filterNames(text), ...accept("scale", matchOf(result.made, reference)), fps: result.fps };
}

/** Four pictures on a canvas in the profile's `index`th way, against the CPU's. */
export function tryCompose(bed: ProbeBed, index: number): Proof {
  const compose = bed.profile.compose[index];
  if (compose === undefined) throw new AbsentError("not-tried", `no way ${index} to compose`);
  const clips = PROBE_PLACEMENTS.map((_, at) => bed.clip(at));
  const isTiles = compose.method === "tiles";
  const text = isTiles ? "" : composeGraph(compose, PROBE_CANVAS, PROBE_PLACEMENTS);
  using canvas = needsCanvas(compose) ? emptyCanvas() : undefined;
  using result = isTiles ? runTiles(clips) : runGraph(bed, text, clips, canvas);
  using reference = referenceComposition(result.sources);
  const match = matchOf(result.made, reference);
  return { name: isTiles ? "tiles" : filterNames(text), ...accept("compose", match), fps: result.fps };
}

/** The last picture of a run, in memory, which it owns, and the pictures it was made of, which it does not. */
class RunResult implements Disposable {
  readonly made: Frame;
  readonly fps: number;
  readonly sources: readonly Frame[];

  constructor(made: Frame | undefined, run: SpeedRun, clips: readonly Clip[]) {
    if (made === undefined) throw new AbsentError("mismatch", "no picture came out");
    this.made = made;
    this.fps = run.fps();
    this.sources = clips.map((clip) => clip.at(run.count - 1));
  }

  [Symbol.dispose](): void {
    this.made.free();
  }
}

/** Uploads outside the measured time. The canvas, if there is one, is the last input. */
function runGraph(bed: ProbeBed, text: string, clips: readonly Clip[], canvas?: Frame): RunResult {
  using sample = uploadAll(bed, clips, canvas, 0);
  using graph = new MediaGraph(text, sample.items.map(inputOf), { device: bed.device?.context });
  const run = new SpeedRun();
  using newest = new Owned<Frame>();
  const drain = (): void => {
    for (let next = graph.pull(); next !== undefined; next = graph.pull()) {
      newest[Symbol.dispose]();
      newest.items.push(next);
    }
  };
  while (run.goesOn()) {
    using inputs = run.aside(() => uploadAll(bed, clips, canvas, run.count));
    graph.push(inputs.items);
    drain();
    run.step();
  }
  graph.end();
  drain();
  const [last] = newest.items;
  return new RunResult(last && bed.download(last), run, clips);
}

function uploadAll(
  bed: ProbeBed,
  clips: readonly Clip[],
  canvas: Frame | undefined,
  index: number,
): Owned<Frame> {
  const pictures = clips.map((clip) => clip.at(index));
  if (canvas !== undefined) {
    canvas.pts = BigInt(index);
    pictures.push(canvas);
  }
  return new Owned(pictures.map((picture) => bed.upload(picture)));
}

function runTiles(clips: readonly Clip[]): RunResult {
  const run = new SpeedRun();
  let made: Frame | undefined;
  while (run.goesOn()) {
    made?.free();
    made = composeTiles(
      clips.map((clip) => clip.at(run.count)),
      PROBE_PLACEMENTS,
    );
    run.step();
  }
  return new RunResult(made, run, clips);
}

/** `scale_cuda+overlay_cuda`, for people. */
const filterNames = (text: string): string =>
  [...new Set([...text.matchAll(/[\],;]([a-z][a-z0-9_]*)(?==|\[)/g)].map((match) => match[1] ?? ""))].join(
    "+",
  );
