import type { MixStats, SourceStatus } from "../contract/status.ts";
import type { MixSummary } from "../contract/worker.ts";
import type { Conductor } from "./conductor.ts";
import type { Mix } from "./mix.ts";
import type { Source } from "./source.ts";

/** What `mix.stats` answers. */
export function mixStats(mix: Mix): Omit<MixStats, "process"> {
  const now = mix.clock.now();
  const encoders = mix.pool.status(now);
  const sources = [...mix.sources.values()].map((source) => sourceStatus(mix, source));
  const listeners = [...mix.outputs.values()].filter((output) => !output.isOver).length;
  return {
    mix: mix.id,
    atUs: now,
    sources,
    views: [...mix.views.values()].map((view) => view.status()),
    encoders,
    outputs: [...mix.outputs.values()].map((output) => output.status()),
    histograms: {
      compose: mix.meters.compose.read(),
      encode: mix.meters.encode.read(),
      addedLatency: mix.meters.addedLatency.read(),
    },
    audio: {
      talkers: mix.talkers,
      encodes: mix.pool.audioEncodes,
      listeners,
      lufs: finite(mix.mixer.mixStats().lufs.momentary),
    },
  };
}

function sourceStatus(mix: Mix, source: Source): SourceStatus {
  const now = mix.clock.now();
  const { spec, picture, timeline } = source;
  const video = picture.rate.read(now);
  const audio = source.audioRate.read(now);
  const sound = mix.mixer.stats(source.id);
  return {
    id: source.id,
    name: spec.name ?? source.id,
    kind: spec.kind,
    role: spec.role,
    state: source.state,
    ...(source.error === undefined ? {} : { error: source.error }),
    codec: {
      ...(picture.info === undefined ? {} : { video: picture.info.codec }),
      ...(source.audioInfo === undefined ? {} : { audio: source.audioInfo.codec }),
    },
    ...(picture.info?.widthPx === undefined ? {} : { widthPx: picture.info.widthPx }),
    ...(picture.info?.heightPx === undefined ? {} : { heightPx: picture.info.heightPx }),
    fps: video.perSecond,
    bitrateBps: Math.round(video.bitsPerSecond + audio.bitsPerSecond),
    lost: source.lost,
    jitterMs: timeline.jitterMs,
    delayMs: timeline.delayMs,
    avOffsetMs: -sound.playout.errorMs,
    frozenMs: source.frozenMs(now),
    decoded: picture.decoded,
    shown: picture.shown,
    starved: picture.starved,
    ...(picture.info === undefined ? {} : { decoder: "cpu" }),
    lufs: finite(sound.lufs.momentary),
    truePeakDb: finite(sound.truePeakDb),
    warnings: { ...source.warnings, ...mix.tiles.origin(source.id).warnings },
  };
}

/** How a finished mix went. */
export function mixSummary(mix: Mix, conductor: Conductor): MixSummary {
  const views = [...mix.views.values()];
  const sources = [...mix.sources.values()];
  const failures = [...conductor.failures].map(([id, error]) => ({ id, complete: false, error }));
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return {
    frames: Math.max(0, ...views.map((view) => view.ticks)),
    repeated: sum(views.map((view) => view.repeated)),
    late: sum(views.map((view) => view.late)),
    dropped: sum([...mix.outputs.values()].map((output) => output.status().dropped)),
    durationS: conductor.positionUs / 1e6,
    avOffsetMs: mix.avOffsetMs,
    encoders: [...mix.pool.videos].map((encode) => {
      const { id, key, device } = encode.status(mix.clock.now());
      return { id, key, device, frames: encode.frames };
    }),
    decoders: sources.flatMap((source) => {
      const { info, decoded, shown, starved } = source.picture;
      return info === undefined
        ? []
        : [{ source: source.id, codec: info.codec, device: "cpu", frames: decoded, shown, starved }];
    }),
    cpuSeconds: cpuSeconds(),
    startS: (conductor.startedMs ?? 0) / 1000,
    outputs: [...[...mix.outputs.values()].map((output) => output.summary()), ...failures],
  };
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);
