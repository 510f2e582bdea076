import { us } from "../../src/core/time.ts";
import { videoSettings } from "../../src/encode/video-settings.ts";
import type { Packet } from "../../src/media/packet.ts";
import { AudioEncoder } from "../../src/native/audio-encoder.ts";
import { Picture } from "../../src/native/picture.ts";
import { VideoEncoder } from "../../src/native/video-encoder.ts";

const RATE = { num: 25, den: 1 };

/** Coded H.264 pictures at 25 a second, the first a key frame and then one every `gop`. */
export async function codedPictures(count: number, gop = count): Promise<Packet[]> {
  const keyFrameIntervalMs = gop * 40;
  const wish = { codec: "h264", keyFrameIntervalMs, preset: "ultrafast", bframes: 0, accel: "cpu" } as const;
  const encoder = VideoEncoder.open(videoSettings(wish, { widthPx: 320, heightPx: 180, rate: RATE }));
  const packets: Packet[] = [];
  for (let i = 0; i < count; i++) {
    const picture = Picture.solid(320, 180, { y: 40 + i, u: 128, v: 128 });
    packets.push(...(await encoder.encode(picture, i, { forceKey: false, sync: true })));
  }
  packets.push(...(await encoder.flush()));
  await encoder.close();
  return packets;
}

/** Coded Opus of a tone, in packets of 20 ms, from this second of stream time on. */
export function codedSound(count: number, fromS = 0): Packet[] {
  const settings = {
    codec: "opus",
    encoder: "libopus",
    channels: 2,
    bitrateBps: 64_000,
    options: {},
  } as const;
  const encoder = AudioEncoder.open(settings, fromS * 48_000);
  const packets: Packet[] = [];
  for (let tick = 0; tick < count; tick++) {
    const samples = Float32Array.from(
      { length: 1920 },
      (_, i) => 0.2 * Math.sin((tick * 960 + (i >> 1)) * 0.05),
    );
    packets.push(...encoder.push(samples));
  }
  encoder.close();
  return packets;
}

/** A packet that says of itself only when it is and how large. */
export const bare = (
  atMs: number,
  options: { readonly key?: boolean; readonly bytes?: number } = {},
): Packet => ({
  kind: "video",
  data: new Uint8Array(options.bytes ?? 10),
  ptsUs: us(atMs * 1000),
  dtsUs: us(atMs * 1000),
  durationUs: us(40_000),
  keyFrame: options.key ?? false,
  arrivalUs: us(0),
});
