import { createReadStream } from "node:fs";
import { decodePcm } from "../test/kit/decode.ts";
import { distinctPictures, probePackets, ssim } from "../test/kit/judge.ts";
import { levelDb } from "../test/kit/spectrum.ts";

/** What an output is worth, whatever it cost. */
export interface Quality {
  readonly file: string;
  /** Of the video packets over the time they cover. */
  readonly bitrateBps: number;
  readonly pictures: number;
  /** Pictures that differ from the one before. */
  readonly distinct: number;
  /** Mean SSIM of all planes to the lossless mix. */
  readonly ssim: number;
  readonly soundDb: number;
  /** How x264 describes its settings inside the stream. */
  readonly settings: string;
}

/** One condition under which a ratio counts. */
export interface Check {
  readonly what: string;
  readonly ok: boolean;
  readonly found: string;
}

/** Looks at an output; takes a minute of CPU for a minute of 720p. */
export async function qualityOf(file: string, lossless: string): Promise<Quality> {
  const packets = await probePackets(file);
  const bits = packets.reduce((sum, { bytes }) => sum + bytes * 8, 0);
  const { pictures, distinct } = await distinctPictures(file);
  const { samples } = await decodePcm(file);
  return {
    file,
    bitrateBps: Math.round(bits / (packets.length / 30)),
    pictures,
    distinct,
    ssim: await ssim(file, lossless, 1_800_000),
    soundDb: samples.length === 0 ? Number.NEGATIVE_INFINITY : levelDb(samples),
    settings: await x264Settings(file),
  };
}

/** A ratio against a reference is valid only if every one of these holds. */
export function compare(ours: Quality, reference: Quality): Check[] {
  const bitrate = ours.bitrateBps / reference.bitrateBps;
  const percent = (ratio: number): string => `${((ratio - 1) * 100).toFixed(2)} %`;
  return [
    {
      what: "bitrate within 3 % of the reference's",
      ok: Math.abs(bitrate - 1) <= 0.03,
      found: `${ours.bitrateBps} against ${reference.bitrateBps} bit/s (${percent(bitrate)})`,
    },
    {
      what: "SSIM to the lossless mix no worse by 0.002",
      ok: ours.ssim >= reference.ssim - 0.002,
      found: `${ours.ssim.toFixed(4)} against ${reference.ssim.toFixed(4)}`,
    },
    {
      what: "distinct pictures no fewer by 1 %",
      ok: ours.distinct >= reference.distinct * 0.99,
      found: `${ours.distinct} of ${ours.pictures} against ${reference.distinct} of ${reference.pictures}`,
    },
    {
      what: "sound is present in both",
      ok: ours.soundDb > -50 && reference.soundDb > -50,
      found: `${ours.soundDb.toFixed(1)} against ${reference.soundDb.toFixed(1)} dBFS`,
    },
    {
      what: "the encoder's settings are known of both",
      ok: ours.settings !== "" && reference.settings !== "",
      found: settingsDifference(ours.settings, reference.settings),
    },
  ];
}

/** Where the two settings strings differ, `key=ours/reference`. */
export function settingsDifference(ours: string, reference: string): string {
  // What stands before the colon is the version of the library.
  const parse = (text: string): Map<string, string> =>
    new Map(
      (text.split(": ")[1] ?? "")
        .split(" ")
        .map((word) => [word.split("=")[0] ?? "", word.split("=").slice(1).join("=")]),
    );
  const [a, b] = [parse(ours), parse(reference)];
  const keys = [...new Set([...a.keys(), ...b.keys()])].filter((key) => a.get(key) !== b.get(key));
  if (keys.length === 0) return "the same (printed below)";
  return `differ in ${keys.map((key) => `${key}=${a.get(key) ?? "-"}/${b.get(key) ?? "-"}`).join(" ")}`;
}

/** x264 writes its version and settings as text into an SEI message of the first picture. */
async function x264Settings(file: string): Promise<string> {
  let tail = "";
  for await (const bytes of createReadStream(file, { highWaterMark: 1 << 20 })) {
    const text = tail + (bytes as Buffer).toString("latin1");
    const found = /x264 - (core [^\0]*?options: [\x20-\x7e]+)/.exec(text)?.[1];
    // A match that touches the end of what was read may go on in the next part.
    if (found && !text.endsWith(found)) return found.replace(/ - H\.264.*? - options:/, ":");
    tail = text.slice(-4096);
  }
  return "";
}
