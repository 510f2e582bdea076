/** One turn of MPEG-TS stamps in seconds. */
const TURN_S = 2 ** 33 / 90_000;

/** ffmpeg's options for MPEG-TS whose stamps begin again at zero `afterS` seconds after they begin. */
export const wrapAfter = (afterS: number): string[] => [
  ...["-output_ts_offset", `${TURN_S - afterS}`, "-muxdelay", "0"],
];

/** An FLV file with all its stamps later by `byMs`, modulo 2^32: Adobe's FLV 10.1 annex E.4.1. */
export function shiftFlv(file: Buffer, byMs: number): Buffer {
  const shifted = Buffer.from(file);
  for (let at = 9 + 4; at + 11 <= shifted.length; at += 11 + shifted.readUIntBE(at + 1, 3) + 4) {
    const stamp = (shifted.readUIntBE(at + 4, 3) + (shifted[at + 7] ?? 0) * 2 ** 24 + byMs) % 2 ** 32;
    shifted.writeUIntBE(stamp % 2 ** 24, at + 4, 3);
    shifted[at + 7] = Math.floor(stamp / 2 ** 24);
  }
  return shifted;
}
