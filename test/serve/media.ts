import { readFileSync } from "node:fs";
import type { Manifest } from "../../src/egress/manifest.ts";
import type { Rect } from "../kit/counter.ts";
import { readCounters } from "../kit/decode.ts";
import { Program, runToEnd } from "../kit/process.ts";

/** Publishes a file in a loop, in real time, with ffmpeg. */
export const publish = (file: string, url: string, seconds = 90): Promise<Program> =>
  Program.start(
    "ffmpeg",
    [
      ...["-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", file, "-t", `${seconds}`],
      ...["-c", "copy", "-f", "flv", url],
    ],
    { maxMs: (seconds + 30) * 1000 },
  );

/** What lies beside a recording. */
export const manifestOf = (file: string): Manifest => JSON.parse(readFileSync(file, "utf8")) as Manifest;

/** The numbers of one counting source that a file shows at one place. */
export async function numbersAt(file: string, place: Rect, source: number): Promise<Set<number>> {
  const { readings } = await readCounters(file, [place]);
  const own = (readings[0] ?? []).filter((one) => one?.source === source);
  return new Set(own.flatMap((one) => (one ? [one.number] : [])));
}

/** Red, green and blue of one pixel of an image. */
export async function pixel(image: string, x: number, y: number): Promise<number[]> {
  const one = ["-vf", `crop=1:1:${x}:${y},format=rgb24`, "-f", "rawvideo", "pipe:1"];
  const script = 'ffmpeg "$@" | od -An -tu1';
  const { stdout } = await runToEnd("sh", ["-c", script, "sh", "-v", "error", "-i", image, ...one]);
  return stdout.trim().split(/\s+/).map(Number);
}

/** True if two colours differ by no more than coding makes them. */
export const near = (colour: readonly number[], wanted: readonly number[]): boolean =>
  colour.length === 3 && wanted.every((value, n) => Math.abs(value - (colour[n] ?? 999)) <= 8);
