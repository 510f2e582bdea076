/** A generator of numbers in [0, 1) that the seed fixes (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Bytes that length fields, markers and signs break at. */
const EDGES = [0, 1, 2, 3, 9, 0x7f, 0x80, 0x81, 0xc0, 0xfe, 0xff];

/**
 * A copy of `seed`, damaged in one to eight places at or behind `from`: bits, bytes and 32-bit fields changed, runs
 * cut out, doubled, filled or taken from `donor`, the end cut off.
 */
export function mutate(seed: Uint8Array, donor: Uint8Array, random: () => number, from = 0): Buffer {
  let bytes = Buffer.from(seed);
  const upTo = (limit: number): number => Math.floor(random() * limit);
  for (let left = 1 + upTo(8); left > 0; left--) {
    const at = Math.min(bytes.length, from + upTo(Math.max(1, bytes.length - from)));
    const run = 1 + upTo(16);
    switch (upTo(8)) {
      case 0:
        if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << upTo(8));
        break;
      case 1:
        if (at < bytes.length) bytes[at] = EDGES[upTo(EDGES.length)] ?? 0;
        break;
      case 2:
        if (at + 4 <= bytes.length) bytes.writeUInt32BE(Math.floor(random() * 2 ** upTo(33)) >>> 0, at);
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + run)]);
        break;
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at + run), bytes.subarray(at)]);
        break;
      case 5: {
        const start = upTo(donor.length);
        const piece = donor.subarray(start, start + run);
        bytes = Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);
        break;
      }
      case 6:
        bytes.fill(EDGES[upTo(EDGES.length)] ?? 0, at, Math.min(bytes.length, at + run));
        break;
      default:
        if (upTo(4) === 0) bytes = bytes.subarray(0, at);
    }
  }
  return bytes;
}
