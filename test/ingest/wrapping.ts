/** One turn of MPEG-TS stamps in seconds. */
const TURN_S = 2 ** 33 / 90_000;

/** ffmpeg's options for MPEG-TS whose stamps begin again at zero `afterS` seconds after they begin. */
export const wrapAfter = (afterS: number): string[] => [
  ...["-output_ts_offset", `${TURN_S - afterS}`, "-muxdelay", "0"],
];

/** Where each tag of an FLV file lies, and what it holds: Adobe's FLV 10.1 annex E.4.1. */
export function* flvTags(file: Buffer): Generator<{
  readonly at: number;
  readonly type: number;
  readonly stampMs: number;
  readonly body: Buffer;
}> {
  for (let at = 9 + 4; at + 11 <= file.length; ) {
    const length = file.readUIntBE(at + 1, 3);
    const stampMs = file.readUIntBE(at + 4, 3) + (file[at + 7] ?? 0) * 2 ** 24;
    yield { at, type: file[at] ?? 0, stampMs, body: file.subarray(at + 11, at + 11 + length) };
    at += 11 + length + 4;
  }
}

/** An FLV file with all its stamps later by `byMs`, modulo 2^32. */
export function shiftFlv(file: Buffer, byMs: number): Buffer {
  const shifted = Buffer.from(file);
  for (const { at, stampMs } of flvTags(file)) {
    const later = (stampMs + byMs) % 2 ** 32;
    shifted.writeUIntBE(later % 2 ** 24, at + 4, 3);
    shifted[at + 7] = Math.floor(later / 2 ** 24);
  }
  return shifted;
}
