import { open, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { storageError } from "./recording-file.ts";

/** One file of a recording. */
export interface ManifestPart {
  /** Name in the manifest's folder. */
  readonly file: string;
  /** The mix time that the file calls 0. */
  readonly startPtsUs: number;
  /** As of the last sync; `closed` says whether it is final. */
  readonly durationUs: number;
  readonly bytes: number;
  /** False while it is written, and for ever if its writer died. */
  readonly closed: boolean;
  /** ISO 8601 wall time of mix time `startPtsUs`. */
  readonly startedAt: string;
}

/** Mix time that is in no part. */
export interface ManifestGap {
  readonly startPtsUs: number;
  readonly durationUs: number;
}

/** What lies beside a recording: when it began, and which files hold which stretch of the mix. */
export interface Manifest {
  readonly version: 1;
  readonly mix: string;
  readonly output: string;
  /** ISO 8601 wall time of the first part's first frame. */
  readonly startedAt: string;
  readonly parts: readonly ManifestPart[];
  readonly gaps: readonly ManifestGap[];
  /** After a takeover: the node that wrote the parts before. */
  readonly previousNode?: string;
  /** Recordings of other mixes or outputs under the same name, oldest first. */
  readonly earlier?: readonly Manifest[];
}

/**
 * Replaces the manifest at `path` in one step, and makes both its content and its name last through a power cut. On a
 * full disk it is written over in place instead.
 *
 * @throws {StorageError} `ERR_STORAGE`; the manifest before is then untouched.
 */
export async function writeManifest(path: string, manifest: Manifest): Promise<void> {
  const text = `${JSON.stringify(manifest, undefined, 2)}\n`;
  const temporary = `${path}.tmp`;
  try {
    await writeSynced(temporary, "w", text);
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    if (!(error instanceof Error && "code" in error && error.code === "ENOSPC"))
      throw storageError(path, error);
    await overwriteManifest(path, text);
  }
}

/** On a full disk there is no room for a second file, but there is for the one that exists. */
async function overwriteManifest(path: string, text: string): Promise<void> {
  try {
    await writeSynced(path, "r+", text);
  } catch (error) {
    throw storageError(path, error);
  }
}

async function writeSynced(path: string, flags: "w" | "r+", text: string): Promise<void> {
  await using file = await open(path, flags);
  const bytes = Buffer.from(text);
  const { bytesWritten } = await file.write(bytes, 0, bytes.length, 0);
  if (bytesWritten < bytes.length)
    await file.write(bytes, bytesWritten, bytes.length - bytesWritten, bytesWritten);
  await file.truncate(bytes.length);
  await file.sync();
}

/** The manifest at `path`; undefined if nothing is there, `foreign` if what is there is none and must stay as it is. */
export async function readManifest(path: string): Promise<Manifest | "foreign" | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(path, "utf8"));
    return isManifest(value) ? value : "foreign";
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ENOENT" ? undefined : "foreign";
  }
}

/** The parts of mix time between the first and the last part that no part holds. */
export function gapsBetween(parts: readonly ManifestPart[]): ManifestGap[] {
  // Rounding of single stamps is no gap.
  const smallestUs = 1000;
  return parts.slice(1).flatMap((part, index) => {
    const before = parts[index];
    if (before === undefined) return [];
    const startPtsUs = before.startPtsUs + before.durationUs;
    const durationUs = part.startPtsUs - startPtsUs;
    return durationUs > smallestUs ? [{ startPtsUs, durationUs }] : [];
  });
}

async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, "r");
  await folder.sync();
}

function isManifest(value: unknown): value is Manifest {
  if (typeof value !== "object" || value === null) return false;
  const { version, mix, output, startedAt, parts } = value as Record<string, unknown>;
  const strings = [mix, output, startedAt].every((one) => typeof one === "string");
  return version === 1 && strings && Array.isArray(parts) && parts.every(isPart);
}

function isPart(value: unknown): value is ManifestPart {
  if (typeof value !== "object" || value === null) return false;
  const { file, startPtsUs, durationUs, bytes } = value as Record<string, unknown>;
  const numbers = [startPtsUs, durationUs, bytes].every(
    (one) => typeof one === "number" && Number.isFinite(one),
  );
  return typeof file === "string" && file === basename(file) && numbers;
}
