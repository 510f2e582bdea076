import { readFileSync, writeFileSync } from "node:fs";
import { audioConfigTag, audioFrameTag } from "../../src/protocol/flv-audio.ts";
import { makeMedia } from "./media.ts";

/*
 * HE-AAC for tests. No encoder of it is free to install everywhere, so a real AAC-LC stream of 24 kHz gets the part
 * that makes it HE-AAC: an SBR payload in every access unit (ISO/IEC 14496-3 §4.4.2.8), with PS in it for version 2.
 * What SBR adds above 11.6 kHz is as quiet as it can say. Decoders play it at 48 kHz.
 */

/** Rate of the coded core; what is heard has twice that. */
const CORE_RATE = 24_000;
/** Samples of the core in an access unit. */
const CORE_SAMPLES = 1024;
/** ADTS and AudioSpecificConfig number rates; ISO/IEC 14496-3 table 1.18. */
const CORE_INDEX = 6;
const HEARD_INDEX = 3;
const AAC_LC = 2;
const SBR = 5;
const PS = 29;

/**
 * How a stream's header says that there is SBR (ISO/IEC 14496-3 §1.6.5): not at all; behind the old header, which old
 * decoders do not read on; in place of the old one, which they refuse.
 */
export type Signalling = "implicit" | "compatible" | "hierarchical";

/** One version of HE-AAC. */
export interface HeAacOptions {
  /** Version 1 has as many channels as its core; version 2 makes two of its one. */
  readonly version: 1 | 2;
  readonly signalling: Signalling;
}

/**
 * A file with a sine of `hz` in HE-AAC, mono coded.
 *
 * @param path without its ending: ADTS can only be implicit, FLV takes any header.
 * @returns the path.
 */
export async function heAacFile(
  path: string,
  hz: number,
  seconds: number,
  { version, signalling }: HeAacOptions,
  container: "aac" | "flv",
): Promise<string> {
  const sine = `sine=frequency=${hz}:sample_rate=${CORE_RATE}:duration=${seconds},volume=2`;
  const core = await makeMedia(["-f", "lavfi", "-i", sine, "-c:a", "aac", "-b:a", "64k"], "aac");
  const units = adtsUnits(readFileSync(core)).map((unit) => withSbr(unit, version));
  const file = `${path}.${container}`;
  writeFileSync(
    file,
    container === "aac" ? adts(units) : flv(units, audioSpecificConfig(version, signalling)),
  );
  return file;
}

/** What the header of such a stream is (ISO/IEC 14496-3 §1.6.2.1). */
function audioSpecificConfig(version: 1 | 2, signalling: Signalling): Buffer {
  const bits = new BitWriter();
  const core = (): BitWriter => bits.u(5, AAC_LC);
  const type = version === 2 ? PS : SBR;
  if (signalling === "hierarchical") {
    bits.u(5, type).u(4, CORE_INDEX).u(4, 1).u(4, HEARD_INDEX);
    core().u(3, 0);
    return bits.bytes();
  }
  core().u(4, CORE_INDEX).u(4, 1).u(3, 0);
  if (signalling === "implicit") return bits.bytes();
  bits.u(11, 0x2b7).u(5, SBR).u(1, 1).u(4, HEARD_INDEX);
  if (version === 2) bits.u(11, 0x548).u(1, 1);
  return bits.bytes();
}

/** The access unit with a fill element that holds SBR, in front of its end. */
function withSbr(unit: Buffer, version: 1 | 2): Buffer {
  const sbr = sbrPayload(version);
  const bits = new BitWriter();
  const end = endOf(unit);
  for (let bit = 0; bit < end; bit++) bits.u(1, ((unit[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1);
  bits.u(3, ID_FILL);
  // §4.4.2.7: 15 says that eight more bits follow, which count from 14 on.
  if (sbr.length < 15) bits.u(4, sbr.length);
  else bits.u(4, 15).u(8, sbr.length - 14);
  for (const byte of sbr) bits.u(8, byte);
  return bits.u(3, ID_END).bytes();
}
const ID_FILL = 6;
const ID_END = 7;

/** The bit at which ID_END stands: its three ones are the last, only zeros pad the byte. */
function endOf(unit: Buffer): number {
  let last = unit.length * 8 - 1;
  while (((unit[last >> 3] ?? 0) >> (7 - (last & 7))) % 2 === 0) last -= 1;
  return last - 2;
}

/** `extension_payload` with `sbr_extension_data` of one channel, §4.4.2.8: header, grid and all, in every unit. */
function sbrPayload(version: 1 | 2): Buffer {
  const bits = new BitWriter().u(4, 13); // EXT_SBR_DATA
  // The header: from QMF band 31 (bs_start_freq 15) to twice that (bs_stop_freq 14), in steps of one band.
  bits.u(1, 1).u(1, 0).u(4, 15).u(4, 14).u(3, 0).u(2, 0);
  // Of its two extensions the first: bs_freq_scale, bs_alter_scale and bs_noise_bands are 0.
  bits.u(1, 1).u(1, 0).u(2, 0).u(1, 0).u(2, 0);
  const lowBands = 15; // (30 steps from 31 to 61) / 2
  bits.u(1, 0); // bs_data_extra
  bits.u(2, 0).u(2, 0).u(1, 0); // The grid: FIXFIX, one envelope, of low resolution.
  bits.u(1, 0).u(1, 0); // Envelope and noise are coded along frequency.
  bits.u(2, 0); // bs_invf_mode
  bits.u(7, 0).u(2 * (lowBands - 1), 0); // The least energy, then "the same" as often as there are bands.
  bits.u(5, 30); // The least noise.
  bits.u(1, 0); // bs_add_harmonic_flag
  bits.u(1, version === 2 ? 1 : 0); // bs_extended_data
  // PS (§8.4.2, in two bytes): a header without IID, ICC and extension, one envelope: both sides sound the same.
  if (version === 2) bits.u(4, 2).u(2, 2).u(1, 1).u(1, 0).u(1, 0).u(1, 0).u(1, 0).u(2, 1).u(7, 0);
  return bits.bytes();
}

/** The access units of an ADTS stream, §1.A.2.2. */
function adtsUnits(stream: Buffer): Buffer[] {
  const units: Buffer[] = [];
  for (let at = 0; at + 7 <= stream.length; ) {
    const length = (stream.readUIntBE(at + 3, 3) >> 5) & 0x1fff;
    const hasCrc = ((stream[at + 1] ?? 0) & 1) === 0;
    units.push(stream.subarray(at + (hasCrc ? 9 : 7), at + length));
    at += length;
  }
  return units;
}

function adts(units: readonly Buffer[]): Buffer {
  const head = (length: number): Buffer => {
    const bits = new BitWriter()
      .u(12, 0xfff)
      .u(3, 0)
      .u(1, 1)
      .u(2, AAC_LC - 1)
      .u(4, CORE_INDEX);
    return bits
      .u(1, 0)
      .u(3, 1)
      .u(4, 0)
      .u(13, length + 7)
      .u(11, 0x7ff)
      .u(2, 0)
      .bytes();
  };
  return Buffer.concat(units.flatMap((unit) => [head(unit.length), unit]));
}

/** FLV of sound only; Video File Format 10.1, annex E. */
function flv(units: readonly Buffer[], config: Buffer): Buffer {
  const parts: Uint8Array[] = [Buffer.from("464c5601040000000900000000", "hex")];
  const tag = (timestampMs: number, body: Buffer): void => {
    const head = Buffer.alloc(11);
    head[0] = 8;
    head.writeUIntBE(body.length, 1, 3);
    head.writeUIntBE(timestampMs & 0xffffff, 4, 3);
    const size = Buffer.alloc(4);
    size.writeUInt32BE(body.length + 11);
    parts.push(head, body, size);
  };
  tag(0, audioConfigTag(undefined, config));
  for (const [index, unit] of units.entries())
    tag(Math.round((index * CORE_SAMPLES * 1000) / CORE_RATE), audioFrameTag(undefined, unit));
  return Buffer.concat(parts);
}

/** Bits, most significant first, padded with zeros to whole bytes. */
class BitWriter {
  readonly #bits: number[] = [];

  u(count: number, value: number): this {
    for (let bit = count - 1; bit >= 0; bit--) this.#bits.push(Math.floor(value / 2 ** bit) % 2);
    return this;
  }

  bytes(): Buffer {
    const bytes = Buffer.alloc(Math.ceil(this.#bits.length / 8));
    for (const [index, bit] of this.#bits.entries())
      bytes[index >> 3] = (bytes[index >> 3] ?? 0) | (bit << (7 - (index & 7)));
    return bytes;
  }
}
