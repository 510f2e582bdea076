/** Pixels per 1/30 s against kbit/s of H.264: between the points the rate is linear, beyond the last it stays. */
const POINTS: readonly (readonly [number, number])[] = [
  [0, 0],
  [76_800, 400],
  [307_200, 800],
  [921_600, 2000],
  [2_073_600, 4000],
  [8_294_400, 16_000],
  [33_177_600, 64_000],
];

const CODEC_FACTOR: Readonly<Record<string, number>> = { h264: 1, vp8: 1.2, vp9: 0.8, hevc: 0.9, av1: 0.7 };

/** The bitrate that a picture of this size and rate gets if nobody says, in bit/s: 2 Mbit/s for H.264 720p30. */
export function defaultBitrateBps(codec: string, widthPx: number, heightPx: number, fps: number): number {
  const size = (widthPx * heightPx * fps) / 30;
  let [lowSize, lowRate] = POINTS[0] ?? [0, 0];
  for (const [pointSize, pointRate] of POINTS) {
    if (size <= pointSize && pointSize > lowSize) {
      const share = (size - lowSize) / (pointSize - lowSize);
      return round((lowRate + share * (pointRate - lowRate)) * (CODEC_FACTOR[codec] ?? 1));
    }
    [lowSize, lowRate] = [pointSize, pointRate];
  }
  return round(lowRate * (CODEC_FACTOR[codec] ?? 1));
}

const round = (kbps: number): number => Math.max(50, Math.round(kbps)) * 1000;
