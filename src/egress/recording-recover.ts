import { type FileHandle, open } from "node:fs/promises";
import { type Micros, us } from "../core/time.ts";

/** No header, moof or cluster of ours comes near; beyond it the file is not one of ours. */
const MAX_READ_BYTES = 128 * 2 ** 20;
const MAX_HEADER_BYTES = 65_536;

/**
 * How far the part at `path`, whose writer died, can be played: the end of its last whole fragment. Undefined if that
 * cannot be told. Reads headers only, one seek per fragment.
 */
export async function playableEnd(path: string): Promise<Micros | undefined> {
  try {
    await using file = await open(path, "r");
    const end = await (path.toLowerCase().endsWith(".mp4") ? mp4End(file) : mkvEnd(file));
    return end === undefined || !Number.isFinite(end) ? undefined : us(end * 1e6);
  } catch {
    return undefined;
  }
}

interface Span {
  readonly type: string;
  readonly start: number;
  readonly end: number;
}

async function mp4End(file: FileHandle): Promise<number | undefined> {
  const { size } = await file.stat();
  let timescales: number[] = [];
  let moof: Buffer | undefined;
  let last: Buffer | undefined;
  for (let at = 0; at + 8 <= size; ) {
    const head = await read(file, at, 8);
    const [length, type] = [head.readUInt32BE(0), head.toString("latin1", 4, 8)];
    // The one around all of a whole file: its fragments are inside.
    if (length === 1 && type === "mdat") {
      at += 16;
      continue;
    }
    if (length < 8 || at + length > size) break;
    if (type === "moov") timescales = timescalesIn(await read(file, at, length));
    if (type === "moof") moof = await read(file, at, length);
    // The last moof with all of its media behind it counts.
    if (type === "mdat") last = moof;
    at += length;
  }
  if (last === undefined) return undefined;
  const moofEnd = last;
  const ends = boxesIn(moofEnd, 8).flatMap((traf) =>
    traf.type === "traf" ? [trafEnd(moofEnd, traf, timescales)] : [],
  );
  return Math.max(...ends);
}

function timescalesIn(moov: Buffer): number[] {
  const traks = boxesIn(moov, 8).filter(({ type }) => type === "trak");
  return traks.map((trak) => {
    const mdia = inside(moov, trak).find(({ type }) => type === "mdia");
    const mdhd = mdia && inside(moov, mdia).find(({ type }) => type === "mdhd");
    // Version 1 has 64-bit times in front of it.
    return mdhd === undefined ? 0 : moov.readUInt32BE(mdhd.start + (moov[mdhd.start] === 1 ? 20 : 12));
  });
}

/** Seconds; the layout is the one that `recording-mp4.ts` writes. */
function trafEnd(moof: Buffer, traf: Span, timescales: readonly number[]): number {
  const [tfhd, tfdt, trun] = inside(moof, traf);
  if (tfhd === undefined || tfdt === undefined || trun === undefined) return 0;
  const timescale = timescales[moof.readUInt32BE(tfhd.start + 4) - 1] ?? 0;
  let dts = Number(moof.readBigUInt64BE(tfdt.start + 4));
  let end = 0;
  const hasOffsets = (moof.readUInt32BE(trun.start) & 0x800) !== 0;
  for (let row = trun.start + 12; row < trun.end; row += hasOffsets ? 16 : 8) {
    const duration = moof.readUInt32BE(row);
    end = Math.max(end, dts + duration + (hasOffsets ? moof.readInt32BE(row + 12) : 0));
    dts += duration;
  }
  return timescale === 0 ? 0 : end / timescale;
}

const inside = (bytes: Buffer, { start, end }: Span): Span[] => boxesIn(bytes.subarray(0, end), start);

function boxesIn(bytes: Buffer, from: number): Span[] {
  const boxes: Span[] = [];
  for (let at = from; at + 8 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    if (length < 8) break;
    boxes.push({ type: bytes.toString("latin1", at + 4, at + 8), start: at + 8, end: at + length });
    at += length;
  }
  return boxes;
}

async function mkvEnd(file: FileHandle): Promise<number | undefined> {
  const { size } = await file.stat();
  const head = await read(file, 0, Math.min(size, MAX_HEADER_BYTES));
  const [ebml] = elementsIn(head, 0);
  if (ebml === undefined) return undefined;
  let scaleNs = 1_000_000;
  let last: Span | undefined;
  // The segment's own header has 4 bytes of id and 8 of size.
  for (let at = ebml.end + 12; at + 12 <= size; ) {
    const [next] = elementsIn(await read(file, at, 12), 0);
    if (next === undefined || at + next.end > size) break;
    if (next.type === "1549a966") scaleNs = scaleIn(await read(file, at + next.start, next.end - next.start));
    if (next.type === "1f43b675") last = { ...next, start: at + next.start, end: at + next.end };
    at += next.end;
  }
  if (last === undefined) return undefined;
  return (lastStamp(await read(file, last.start, last.end - last.start)) * scaleNs) / 1e9;
}

function scaleIn(info: Buffer): number {
  const scale = elementsIn(info, 0).find(({ type }) => type === "2ad7b1");
  return scale === undefined ? 1_000_000 : info.readUIntBE(scale.start, scale.end - scale.start);
}

/** In ticks: the last picture's or sound's start, plus the step to it from the one before. */
function lastStamp(cluster: Buffer): number {
  const elements = elementsIn(cluster, 0);
  const start = elements.find(({ type }) => type === "e7");
  const base = start === undefined ? 0 : Number(cluster.readBigUInt64BE(start.start));
  const ends = [1, 2].map((track) => {
    const blocks = elements.filter(({ type, start: at }) => type === "a3" && cluster[at] === (0x80 | track));
    const stamps = blocks.map(({ start: at }) => cluster.readInt16BE(at + 1)).sort((a, b) => a - b);
    const [before, latest] = [stamps.at(-2), stamps.at(-1) ?? 0];
    return latest + (before === undefined ? 0 : latest - before);
  });
  return base + Math.max(...ends);
}

/** EBML elements with ids of 1 to 4 bytes and sizes of 1 or 8, which is what `recording-mkv.ts` writes. */
function elementsIn(bytes: Buffer, from: number): Span[] {
  const elements: Span[] = [];
  for (let at = from; at + 2 <= bytes.length; ) {
    const idLength = Math.clz32((bytes[at] ?? 0) << 24) + 1;
    const sizeAt = at + idLength;
    const sizeLength = bytes[sizeAt] === 1 ? 8 : 1;
    if (idLength > 4 || sizeAt + sizeLength > bytes.length) break;
    const size = sizeLength === 8 ? bytes.readUIntBE(sizeAt + 2, 6) : (bytes[sizeAt] ?? 0) & 0x7f;
    const start = sizeAt + sizeLength;
    elements.push({ type: bytes.toString("hex", at, sizeAt), start, end: start + size });
    at = start + size;
  }
  return elements;
}

async function read(file: FileHandle, position: number, length: number): Promise<Buffer> {
  if (length > MAX_READ_BYTES) throw new RangeError(`${length} bytes are too many for a fragment`);
  const bytes = Buffer.alloc(length);
  const { bytesRead } = await file.read(bytes, 0, length, position);
  return bytes.subarray(0, bytesRead);
}
