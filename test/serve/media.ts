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

/** One tag of an FLV file: what an RTMP message carries. */
export interface FlvTag {
  readonly type: number;
  readonly timestampMs: number;
  readonly body: Uint8Array;
}

/** All audio and video tags of a well-formed FLV file. Video File Format 10.1, annex E.4.1. */
export function flvTags(file: Uint8Array): FlvTag[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const tags: FlvTag[] = [];
  for (let at = 13; at + 11 <= file.length; ) {
    const type = view.getUint8(at);
    const size = view.getUint32(at) & 0xffffff;
    const timestampMs = (view.getUint32(at + 4) >>> 8) + view.getUint8(at + 7) * 2 ** 24;
    const body = file.slice(at + 11, at + 11 + size);
    if (type === 8 || type === 9) tags.push({ type, timestampMs, body });
    at += 11 + size + 4;
  }
  return tags;
}

/** Numbers from 0 to 1 that are the same every time (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
