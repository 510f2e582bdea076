import type { OutputSpec, OutputUpdate } from "../contract/output-spec.ts";
import type { Identified } from "../contract/worker.ts";
import { InvalidArgumentError } from "../core/error.ts";

/**
 * An output with `update` laid over it; `null` takes a field away.
 *
 * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` for what only other kinds have.
 */
export function updatedOutput(spec: Identified<OutputSpec>, update: OutputUpdate): Identified<OutputSpec> {
  const { without, matrix } = update.audio ?? {};
  const audio = {
    ...spec.audio,
    ...(without === undefined ? {} : { without: without ?? undefined }),
    ...(matrix === undefined ? {} : { matrix }),
  };
  const next = { ...spec, audio, video: { ...spec.video, ...update.video } };
  if (update.segmentS === undefined) return next;
  if (next.kind !== "file") throw new InvalidArgumentError("/segmentS", "is for recordings only");
  return { ...next, segmentS: update.segmentS ?? undefined };
}
