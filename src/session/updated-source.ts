import type { SourceSpec, SourceUpdate } from "../contract/source-spec.ts";
import type { Identified } from "../contract/worker.ts";

/** A source with `update` laid over it; `null` takes its avatar away. */
export function updatedSource(spec: Identified<SourceSpec>, update: SourceUpdate): Identified<SourceSpec> {
  const { avatar, audio, video, ...rest } = update;
  const next = {
    ...spec,
    ...defined(rest),
    audio: { ...spec.audio, ...defined(audio) },
    video: { ...spec.video, ...defined(video) },
  } as Identified<SourceSpec>;
  if (avatar === undefined) return next;
  if (avatar !== null) return { ...next, avatar };
  const { avatar: _, ...without } = next;
  return without;
}

function defined<T extends object>(partial: T | undefined): Partial<T> {
  return Object.fromEntries(
    Object.entries(partial ?? {}).filter(([, value]) => value !== undefined),
  ) as Partial<T>;
}
