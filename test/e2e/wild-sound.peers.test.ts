import { expect, test } from "vitest";
import { decodePcm } from "../kit/decode.ts";
import { Folder } from "../kit/folder.ts";
import { heAacFile, type Signalling } from "../kit/he-aac.ts";
import { type MediaOptions, tone } from "../kit/media.ts";
import { requirePeer } from "../kit/peers.ts";
import { freePort, runToEnd } from "../kit/process.ts";
import { channelOf, peakDb, toneLevelDb } from "../kit/spectrum.ts";
import { inputs, MixRun, mixWell, outputs } from "./program.ts";

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

/** Of tone in the HE-AAC media. */
const HE_SECONDS = 4;
const SMALL = ["--size", "320x180", "--fps", "10", "--preset", "ultrafast", "--audio-bitrate", "256k"];

/** Samples that are judged at a time. */
const STRETCH = 9600;

/** Seconds from the first to the last sample that can be heard, and levels on the way, stretch by stretch. */
function toneIn(side: Float32Array): { seconds: number; levels: (hz: number) => number[] } {
  const loud = [...side.keys()].filter((index) => Math.abs(side[index] ?? 0) > 0.1);
  const [from = 0, to = 0] = [loud[0], loud.at(-1)];
  const stretches = Array.from({ length: Math.floor((to - from) / STRETCH) - 2 }, (_, n) => {
    const at = from + (n + 1) * STRETCH;
    return side.subarray(at, at + STRETCH);
  });
  return {
    seconds: (to - from) / 48_000,
    levels: (hz) => stretches.map((stretch) => toneLevelDb(stretch, hz)).sort((a, b) => a - b),
  };
}

async function sidesOf(file: string): Promise<readonly Float32Array[]> {
  const { samples } = await decodePcm(file, { channels: 2 });
  return [channelOf(samples, 0, 2), channelOf(samples, 1, 2)];
}

const median = (sorted: readonly number[]): number => sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;

requirePeer("ffmpeg")("HE-AAC, whose true rate is known when it is decoded", () => {
  const cases: { version: 1 | 2; signalling: Signalling; container: string }[] = [
    { version: 1, signalling: "implicit", container: "ts" },
    { version: 1, signalling: "implicit", container: "mp4" },
    { version: 1, signalling: "compatible", container: "mp4" },
    { version: 1, signalling: "hierarchical", container: "mkv" },
    { version: 2, signalling: "implicit", container: "ts" },
    { version: 2, signalling: "compatible", container: "mkv" },
    { version: 2, signalling: "hierarchical", container: "mp4" },
  ];
  test.each(cases)("version $version, $signalling, in $container", async (options) => {
    using folder = new Folder();
    const raw = options.container === "ts" ? "aac" : "flv";
    const coded = await heAacFile(folder.file("coded"), 440, HE_SECONDS, options, raw);
    const file = folder.file(`in.${options.container}`);
    await runToEnd("ffmpeg", ["-v", "error", "-i", coded, "-c", "copy", file]);
    const out = folder.file("out.mkv");
    await mixWell([...inputs(file), ...SMALL, "--fast", "--duration", "6", ...outputs(out)]);
    // Once, on both sides, for as long as it was made; not at half or twice the speed.
    for (const side of await sidesOf(out)) {
      const { seconds, levels } = toneIn(side);
      expect(Math.abs(seconds - HE_SECONDS)).toBeLessThan(0.1);
      expect(Math.abs((levels(440)[0] ?? 0) - MONO_DB)).toBeLessThan(0.5);
      expect(Math.abs((levels(440).at(-1) ?? 0) - MONO_DB)).toBeLessThan(0.5);
      for (const wrongHz of [220, 880]) expect(levels(wrongHz).at(-1)).toBeLessThan(-60);
    }
  });

  test.each([
    { version: 1, signalling: "implicit" },
    { version: 2, signalling: "hierarchical" },
  ] as const)("version $version, $signalling, over RTMP", async (options) => {
    using folder = new Folder();
    const coded = await heAacFile(folder.file("coded"), 440, HE_SECONDS, options, "flv");
    const [port, out] = [await freePort(), folder.file("out.mkv")];
    const listen = ["--rtmp", `127.0.0.1:${port}`];
    await using run = await MixRun.start([
      ...inputs("rtmp-listen:cam"),
      ...listen,
      ...SMALL,
      ...outputs(out),
    ]);
    await run.waitFor("output.live", "out1");
    const url = `rtmp://127.0.0.1:${port}/live/cam`;
    await runToEnd("ffmpeg", ["-v", "error", "-re", "-i", coded, "-c", "copy", "-f", "flv", url]);
    expect((await run.finish()).code).toBe(0);
    // Live sound is stretched and joined where the machine was busy: the middle value tells.
    for (const side of await sidesOf(out)) {
      const { seconds, levels } = toneIn(side);
      expect(Math.abs(seconds - HE_SECONDS)).toBeLessThan(0.5);
      expect(Math.abs(median(levels(440)) - MONO_DB)).toBeLessThan(2);
      for (const wrongHz of [220, 880]) expect(median(levels(wrongHz))).toBeLessThan(-40);
    }
  });
});
