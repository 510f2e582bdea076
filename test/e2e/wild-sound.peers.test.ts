import { expect, test } from "vitest";
import { decodePcm } from "../kit/decode.ts";
import { type MediaOptions, tone } from "../kit/media.ts";
import { requirePeer } from "../kit/peers.ts";
import { channelOf, peakDb, toneLevelDb } from "../kit/spectrum.ts";
import { Folder, inputs, mixWell, outputs } from "./program.ts";

/** Left and right of the mix in its middle second. */
async function heard(
  ...urls: readonly string[]
): Promise<readonly [left: Float32Array, right: Float32Array]> {
  using folder = new Folder();
  const file = folder.file("out.mkv");
  const args = ["--size", "320x180", "--fps", "10", "--fast", "--duration", "3", "--audio-bitrate", "256k"];
  await mixWell([...inputs(...urls), ...args, ...outputs(file)]);
  const { samples } = await decodePcm(file, { channels: 2 });
  const middle = samples.subarray(2 * 48_000, 4 * 48_000);
  return [channelOf(middle, 0, 2), channelOf(middle, 1, 2)];
}

/** A sine whose peak is 1/4 has this level. */
const MONO_DB = -15.05;
/** The stereo media has it at -3 dB on each side. */
const LEVEL_DB = MONO_DB - 3.01;

requirePeer("ffmpeg")("440 Hz keeps its level, whatever carries it", () => {
  interface Case extends MediaOptions {
    readonly name: string;
    readonly sampleRate?: number;
    readonly channels?: string;
    /** What comes out, if that is not what went in. */
    readonly wantDb?: number;
  }
  const cases: Case[] = [
    { name: "mono, 8 kHz PCM", sampleRate: 8000, channels: "mono", wantDb: MONO_DB },
    {
      name: "mono mu-law at 8 kHz",
      sampleRate: 8000,
      channels: "mono",
      codec: ["-c:a", "pcm_mulaw"],
      wantDb: MONO_DB,
    },
    { name: "stereo FLAC at 96 kHz", sampleRate: 96_000, container: "flac" },
    { name: "stereo AAC at 44.1 kHz", sampleRate: 44_100, container: "mp4", codec: ["-c:a", "aac"] },
    { name: "stereo MP3 at 22.05 kHz", sampleRate: 22_050, container: "mp3", codec: ["-c:a", "libmp3lame"] },
    {
      name: "mono Opus in WebM",
      channels: "mono",
      container: "webm",
      codec: ["-c:a", "libopus"],
      wantDb: MONO_DB,
    },
    // The tone is in the centre alone: -3 dB of it on both sides, and all of it divided by 2.414 against clipping.
    { name: "5.1 AC-3", channels: "5.1", container: "mkv", codec: ["-c:a", "ac3"], wantDb: -25.7 },
    { name: "7.1 PCM", channels: "7.1", container: "mkv", codec: ["-c:a", "pcm_s16le"], wantDb: -27.95 },
  ];
  test.each(cases)("$name", async ({ sampleRate, channels, container, codec, wantDb = LEVEL_DB }) => {
    const options = {
      seconds: 4,
      ...(sampleRate === undefined ? {} : { sampleRate }),
      ...(channels === undefined ? {} : { channels }),
      ...(container === undefined ? {} : { container }),
      ...(codec === undefined ? {} : { codec }),
    };
    for (const side of await heard(await tone(440, options))) {
      expect(Math.abs(toneLevelDb(side, 440) - wantDb)).toBeLessThan(0.5);
      // Nothing but the tone: its peak is 3 dB above its level.
      expect(peakDb(side)).toBeLessThan(wantDb + 3.01 + 0.5);
    }
  });

  test("several together are their sum; gain and mute do what they say", async () => {
    const [low, high, third] = await Promise.all([tone(440), tone(1000), tone(2500)]);
    const [left] = await heard(low, `${high},gain=0.5`, `${third},muted`);
    expect(Math.abs(toneLevelDb(left, 440) - LEVEL_DB)).toBeLessThan(0.5);
    expect(Math.abs(toneLevelDb(left, 1000) - (LEVEL_DB - 6.02))).toBeLessThan(0.5);
    expect(toneLevelDb(left, 2500)).toBeLessThan(-70);
  });

  test("a sum beyond full scale is limited to -1 dB and not clipped", async () => {
    const loud = await tone(440);
    const [left, right] = await heard(...Array.from({ length: 8 }, () => loud));
    for (const side of [left, right]) {
      expect(peakDb(side)).toBeLessThan(-0.5); // Lossy coding may add a little to -1.
      expect(toneLevelDb(side, 440)).toBeGreaterThan(-5);
      expect(toneLevelDb(side, 1320)).toBeLessThan(-45); // Clipping would show as the third harmonic.
    }
  });
});
