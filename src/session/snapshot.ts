import type { Snapshot } from "../contract/worker.ts";
import { NotFoundError } from "../core/error.ts";
import { encodeStill } from "../native/image.ts";
import type { Mix } from "./mix.ts";
import type { View } from "./view.ts";

/** Who asked for a still asks again: the view goes on being drawn for so long. */
const GLANCE_MS = 5000;

/**
 * What the view shows now. One that nobody watched is drawn for it, and its sources decoded up to now.
 *
 * @throws {NotFoundError} `ERR_NOT_FOUND` if the view goes before its next picture.
 */
export async function takeSnapshot(mix: Mix, view: View, format: "png" | "jpeg"): Promise<Snapshot> {
  const glance = view.glance();
  setTimeout(() => glance[Symbol.dispose](), GLANCE_MS).unref();
  await mix.updateVisibility();
  await view.prepareStills();
  const shown = await view.nextPicture();
  if (shown === undefined) throw new NotFoundError(`view ${view.id} is gone`);
  using still = shown.picture;
  const data = await encodeStill(still, format);
  return { data, width: still.widthPx, height: still.heightPx, ptsUs: shown.atUs };
}
