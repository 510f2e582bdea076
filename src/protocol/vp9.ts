/**
 * Writes vpcC (VP9 in ISO-BMFF §2.2), a full box's payload, of a key frame; undefined if it is no VP9 frame.
 *
 * Level 4.1 covers 1080p60; chroma is 4:2:0 with left-sited samples, colour BT.709 limited.
 */
export function buildVp9Config(frame: Uint8Array): Buffer | undefined {
  const [first = 0] = frame;
  if (first >> 6 !== 2) return undefined;
  const profile = ((first >> 5) & 1) | (((first >> 4) & 1) << 1);
  const depth = profile >= 2 ? 10 : 8;
  return Buffer.from([1, 0, 0, 0, profile, 41, (depth << 4) | (1 << 1), 1, 1, 1, 0, 0]);
}
