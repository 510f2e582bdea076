import { writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { Packet } from "../../src/media/packet.ts";
import type { AudioStreamInfo } from "../../src/media/stream-info.ts";
import { makeMedia } from "../kit/media.ts";
import { requirePeer } from "../kit/peers.ts";
import { decodeAll, playFile, timeline } from "./playing.ts";
import { wav } from "./wav.ts";

const folder = await mkdtemp(join(tmpdir(), "tessera-sound-"));
afterAll(() => rm(folder, { recursive: true }));

/** A burst of 1 kHz every half second that begins at its crest; silent up to the first, at 0.5 s. */
const bursts =
  (rateHz: number) =>
  (index: number): number => {
    const within = index % (rateHz / 2);
    if (index < rateHz / 2 || within >= rateHz / 100) return 0;
    return 0.8 * Math.cos((2 * Math.PI * 1000 * within) / rateHz);
  };

function burstFile(rateHz: number, channels = 2): string {
  const path = join(folder, `bursts-${rateHz}-${channels}.wav`);
  writeFileSync(path, wav({ rateHz, channels, samples: rateHz * 3, at: bursts(rateHz) }));
  return path;
}

/** Where bursts begin in sound at 48 kHz. */
function onsets(line: Float32Array): number[] {
  const found: number[] = [];
  let last = Number.NEGATIVE_INFINITY;
  for (const [index, value] of line.entries()) {
    if (Math.abs(value) < 0.3) continue;
    if (index - last > 4800) found.push(index);
    last = index;
  }
  return found;
}

const near = (found: readonly number[], wanted: readonly number[], tolerance: number): void => {
  expect(found.length).toBe(wanted.length);
  for (const [index, at] of wanted.entries())
    expect(Math.abs((found[index] ?? 0) - at), `burst ${index}`).toBeLessThanOrEqual(tolerance);
};

const HALF_SECONDS = [24_000, 48_000, 72_000, 96_000, 120_000];

interface Case {
  readonly container: string;
  readonly codec: readonly string[];
  /** Samples at 48 kHz that the container's way of telling time may cost; 0 is to the sample. */
  readonly tolerance: number;
  /** Samples by which the file itself says that sound is later than it was. */
  readonly delay?: number;
}

requirePeer("ffmpeg")("where sound stands", () => {
  // Formats that tell of encoder delay, or have none, so that the file's sound is where the original's was.
  const exact: readonly Case[] = [
    { container: "wav", codec: ["pcm_s24le"], tolerance: 0 },
    { container: "flac", codec: ["flac"], tolerance: 0 },
    { container: "m4a", codec: ["aac"], tolerance: 1 },
    { container: "mov", codec: ["alac"], tolerance: 0 },
    { container: "mp3", codec: ["libmp3lame"], tolerance: 1 },
    { container: "webm", codec: ["libopus"], tolerance: 1 },
    { container: "ogg", codec: ["libopus"], tolerance: 1 },
    { container: "mkv", codec: ["libopus"], tolerance: 1 },
    { container: "mkv", codec: ["pcm_f32le"], tolerance: 0 },
    { container: "wav", codec: ["adpcm_ima_wav"], tolerance: 12 },
  ];
  for (const rateHz of [48_000, 44_100]) {
    for (const { container, codec, tolerance } of exact) {
      test(`${codec} in ${container} from ${rateHz} Hz: to the sample, and none too many`, async () => {
        const path = await makeMedia(["-i", burstFile(rateHz), "-c:a", ...codec], container);
        const { blocks, audio } = await playFile(path);
        const line = timeline(blocks);
        expect(audio).toMatchObject({ errors: 0, jumps: 0, reopened: 0 });
        expect(blocks[0]?.ptsUs).toBe(0);
        // Filters before a crest ring a sample early or late when the rate is converted.
        near(onsets(line), HALF_SECONDS, Math.max(tolerance, rateHz === 48_000 ? 0 : 1));
        if (tolerance <= 1) expect(line.length).toBe(144_000);
      });
    }
  }

  // Together with a picture the relation between both counts; containers with 1 ms stamps cannot do better than that.
  const withPicture: readonly Case[] = [
    { container: "mp4", codec: ["aac"], tolerance: 1 },
    // ffmpeg 5.1 moves the picture, and only that, by the sound's encoder delay and its rounding; the stamps say so.
    { container: "webm", codec: ["libopus"], tolerance: 24, delay: -360 },
    { container: "mkv", codec: ["aac"], tolerance: 24 },
    { container: "ts", codec: ["aac"], tolerance: 2 },
    { container: "flv", codec: ["aac"], tolerance: 24 },
    { container: "mkv", codec: ["libmp3lame"], tolerance: 24 },
    { container: "avi", codec: ["pcm_s16le", "-bf", "0"], tolerance: 1 },
  ];
  for (const { container, codec, tolerance, delay = 0 } of withPicture) {
    test(`${codec} beside a picture in ${container}: sound and picture together`, async () => {
      const pictures = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=3"];
      const videoCodec =
        container === "webm" ? ["-c:v", "libvpx"] : ["-c:v", "libx264", "-pix_fmt", "yuv420p"];
      const args = [...pictures, "-i", burstFile(48_000), ...videoCodec, "-c:a", ...codec];
      const played = await playFile(await makeMedia(args, container));
      const pictureAt = Math.round((played.pictures[0]?.ptsUs ?? 0) * 0.048);
      near(
        onsets(timeline(played.blocks)).map((at) => at - pictureAt - delay),
        HALF_SECONDS,
        tolerance,
      );
      expect(Math.min(played.pictures[0]?.ptsUs ?? 1, played.blocks[0]?.ptsUs ?? 1)).toBe(0);
    });
  }

  for (const container of ["m4a", "webm", "flac"]) {
    test(`${container} loops without a seam`, async () => {
      const codec = { m4a: "aac", webm: "libopus", flac: "flac" }[container] ?? "";
      const path = await makeMedia(["-i", burstFile(48_000), "-c:a", codec], container);
      const { blocks, packets } = await playFile(path, { loop: true, untilUs: 8_900_000 });
      const wanted = [0, 1, 2].flatMap((round) => HALF_SECONDS.map((at) => at + round * 144_000));
      near(onsets(timeline(blocks)).slice(0, wanted.length), wanted, 1);
      expect(blocks.filter(({ discontinuity }) => discontinuity)).toEqual([]);
      expect(packets.filter(({ discontinuity }) => discontinuity)).toEqual([]);
      const gaps = blocks.slice(1).map(({ ptsUs }, index) => {
        const before = blocks[index];
        return ptsUs - (before?.ptsUs ?? 0) - ((before?.samples.length ?? 0) / 2 / 48_000) * 1e6;
      });
      expect(Math.max(...gaps.map(Math.abs))).toBeLessThan(2);
    });
  }

  // No encoder of HE-AAC is to be had here, but AAC-LC of 24 kHz mono whose configuration announces SBR, or SBR and
  // parametric stereo, decodes by the same way: twice the rate, and two channels, which nothing before the decoder says.
  const announced = [
    { name: "HE-AAC", config: audioSpecificConfig(5), rateHz: 24_000 },
    { name: "HE-AAC v2", config: audioSpecificConfig(29), rateHz: 24_000 },
  ];
  for (const { name, config, rateHz } of announced) {
    test(`${name}: true rate and channels come from the decoder, sound stays in its place`, async () => {
      const path = await makeMedia(["-i", burstFile(rateHz, 1), "-c:a", "aac"], "m4a");
      const { packets } = await playFile(path);
      const { extradata: _, ...plain } = (packets[0]?.info ?? {
        kind: "audio",
        codec: "",
      }) as AudioStreamInfo;
      const info: AudioStreamInfo = {
        ...plain,
        extradata: config,
        sampleRate: rateHz,
        channels: 1,
        profile: -99,
      };
      // Samples to skip are counted at the decoded rate.
      const skipped = packets.map(({ skipStart = 0, skipEnd = 0, ...packet }) => ({
        ...packet,
        ...(skipStart + skipEnd === 0 ? {} : { skipStart: 2 * skipStart, skipEnd: 2 * skipEnd }),
      }));
      const { blocks, audio } = decodeAll([{ ...skipped[0], info } as Packet, ...skipped.slice(1)]);
      expect(audio).toMatchObject({ errors: 0, jumps: 0 });
      expect(Math.max(...blocks.map(({ samples }) => samples.length / 2))).toBe(2048);
      for (const side of [0, 1] as const) {
        const line = timeline(blocks, side);
        // The filter bank is 962 samples late, and neither file nor decoder makes up for it.
        near(
          onsets(line),
          HALF_SECONDS.map((at) => at + 962),
          30,
        );
        expect(Math.abs(line.length - 144_000)).toBeLessThan(2049);
      }
    });
  }
});

/** AudioSpecificConfig of AAC-LC, 24 kHz mono, that announces an extension to 48 kHz, ISO 14496-3 §1.6.2.1. */
function audioSpecificConfig(extension: 5 | 29): Uint8Array {
  const bits = [
    [extension, 5],
    [6, 4],
    [1, 4],
    [3, 4],
    [2, 5],
    [0, 3],
  ] as const;
  const text = bits.map(([value, count]) => value.toString(2).padStart(count, "0")).join("");
  return Uint8Array.from(text.padEnd(32, "0").match(/.{8}/g) ?? [], (byte) => Number.parseInt(byte, 2));
}

requirePeer("ffmpeg")("levels", () => {
  const SIDE = Math.SQRT1_2;
  const layouts = [
    { name: "mono", channels: 1, want: [[1, 1]] },
    {
      name: "stereo",
      channels: 2,
      want: [
        [1, 0],
        [0, 1],
      ],
    },
    {
      name: "5.1",
      channels: 6,
      want: [
        [1, 0],
        [0, 1],
        [SIDE, SIDE],
        [0, 0],
        [SIDE, 0],
        [0, SIDE],
      ].map((pair) => pair.map((one) => one / (1 + 2 * SIDE))),
    },
    {
      name: "7.1",
      channels: 8,
      want: [
        [1, 0],
        [0, 1],
        [SIDE, SIDE],
        [0, 0],
        [SIDE, 0],
        [0, SIDE],
        [SIDE, 0],
        [0, SIDE],
      ].map((pair) => pair.map((one) => one / (1 + 3 * SIDE))),
    },
  ];
  for (const { name, channels, want } of layouts) {
    for (const codec of ["pcm_s16le", "flac"]) {
      test(`${name} as ${codec} is mixed down channel by channel as documented`, async () => {
        // One channel after the other sounds for a quarter of a second.
        const tone = (index: number, channel: number): number =>
          Math.floor(index / 12_000) === channel ? 0.5 * Math.sin((2 * Math.PI * 480 * index) / 48_000) : 0;
        const path = join(folder, `${name}.wav`);
        writeFileSync(path, wav({ rateHz: 48_000, channels, samples: 12_000 * channels, at: tone }));
        const { blocks } = await playFile(
          await makeMedia(
            ["-i", path, "-c:a", codec, "-metadata", `comment=${channels}`],
            codec === "flac" ? "flac" : "wav",
          ),
        );
        for (const [channel, pair] of want.entries()) {
          for (const side of [0, 1] as const) {
            const part = timeline(blocks, side).slice(channel * 12_000 + 1000, channel * 12_000 + 11_000);
            const rms = Math.sqrt(part.reduce((sum, value) => sum + value * value, 0) / part.length);
            expect(rms, `channel ${channel}, side ${side}`).toBeCloseTo(
              ((pair[side] ?? 0) * 0.5) / Math.SQRT2,
              3,
            );
          }
        }
      });
    }
  }

  test("all channels at full scale do not clip", async () => {
    for (const channels of [1, 2, 6, 8]) {
      const path = join(folder, `full-${channels}.wav`);
      writeFileSync(path, wav({ rateHz: 48_000, channels, samples: 9600, at: () => 0.999 }));
      const { blocks } = await playFile(path);
      const peak = blocks
        .flatMap(({ samples }) => [...samples])
        .reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(peak).toBeLessThanOrEqual(1.0001);
      expect(peak).toBeGreaterThan(0.99);
    }
  });

  for (const rateHz of [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 88_200, 96_000]) {
    test(`${rateHz} Hz is converted at level, pitch and length`, async () => {
      const path = join(folder, `rate-${rateHz}.wav`);
      const at = (index: number): number => 0.5 * Math.sin((2 * Math.PI * 1000 * index) / rateHz);
      writeFileSync(path, wav({ rateHz, channels: 1, samples: rateHz * 2, at }));
      const line = timeline((await playFile(path)).blocks);
      expect(line.length).toBe(96_000);
      const wanted = line.map((_, index) => 0.5 * Math.sin((2 * Math.PI * 1000 * index) / 48_000));
      const errors = line.map((value, index) => Math.abs(value - (wanted[index] ?? 0))).slice(2000, -2000);
      expect(errors.reduce((most, one) => Math.max(most, one), 0)).toBeLessThan(0.005);
    });
  }
});

requirePeer("ffmpeg")("sound that changes", () => {
  const audioOf = async (
    codec: readonly string[],
    container: string,
    rateHz: number,
    channels: number,
  ): Promise<Packet[]> => {
    const path = await makeMedia(["-i", burstFile(rateHz, channels), "-c:a", ...codec], container);
    return [...(await playFile(path)).packets];
  };

  test("new parameters on a packet open the decoder anew", async () => {
    const first = await audioOf(["aac"], "m4a", 44_100, 2);
    const second = (await audioOf(["libopus"], "webm", 48_000, 1)).map((packet) => ({
      ...packet,
      ptsUs: (packet.ptsUs + 3_000_000) as Packet["ptsUs"],
      dtsUs: (packet.dtsUs + 3_000_000) as Packet["dtsUs"],
    }));
    const { blocks, audio } = decodeAll([...first, ...second]);
    expect(audio).toMatchObject({ reopened: 1, errors: 0 });
    near(onsets(timeline(blocks)), [...HALF_SECONDS, ...HALF_SECONDS.map((at) => at + 144_000)], 2);
  });

  test("another rate and other channels in the middle of a stream need nobody's word", async () => {
    const first = await audioOf(["aac", "-f", "adts"], "aac", 44_100, 2);
    const second = (await audioOf(["aac", "-f", "adts"], "aac", 48_000, 1)).map(({ info: _, ...packet }) => ({
      ...packet,
      ptsUs: (packet.ptsUs + 3_041_000) as Packet["ptsUs"],
      dtsUs: (packet.dtsUs + 3_041_000) as Packet["dtsUs"],
    }));
    const { blocks, audio } = decodeAll([...first, ...second]);
    expect(audio).toMatchObject({ reopened: 0, errors: 0 });
    expect(onsets(timeline(blocks)).length).toBe(10);
  });

  test("a gap in the stamps is a gap in the sound, marked, and what follows stands right", async () => {
    const packets = await audioOf(["libopus"], "ogg", 48_000, 2);
    const { blocks, audio } = decodeAll(
      packets.filter(({ ptsUs }) => ptsUs < 1_100_000 || ptsUs > 1_400_000),
    );
    expect(audio?.jumps).toBe(1);
    expect(blocks.filter(({ discontinuity }) => discontinuity).length).toBe(1);
    near(onsets(timeline(blocks)), HALF_SECONDS, 24);
  });
});
