import { ProtocolError } from "../core/error.ts";
import { BitReader } from "./bit-reader.ts";

/** The part of an AudioSpecificConfig that is needed outside a decoder (ISO/IEC 14496-3 §1.6.2.1). */
export interface AudioSpecificConfig {
  /** 2 is AAC-LC. Of the core, where SBR or PS are signalled. */
  readonly objectType: number;
  /** In Hz, of the core: HE-AAC plays at twice that. */
  readonly sampleRate: number;
  /** 0 if only the program config element tells. */
  readonly channels: number;
  /** SBR is signalled explicitly. */
  readonly sbr: boolean;
}

const SAMPLE_RATES = [
  96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350,
] as const;
const CHANNELS = [0, 1, 2, 3, 4, 5, 6, 8] as const;
const SBR = 5;
const PS = 29;
const AAC_LC = 2;

/**
 * Reads an AudioSpecificConfig.
 *
 * @throws {ProtocolError} `ERR_PROTOCOL` if it is cut short or names a reserved rate.
 */
export function parseAudioSpecificConfig(bytes: Uint8Array): AudioSpecificConfig {
  const bits = new BitReader(bytes, "AudioSpecificConfig");
  let objectType = readObjectType(bits);
  const sampleRate = readSampleRate(bits);
  const channels = CHANNELS[bits.u(4)] ?? 0;
  const sbr = objectType === SBR || objectType === PS;
  if (sbr) {
    readSampleRate(bits);
    objectType = readObjectType(bits);
  }
  return { objectType, sampleRate, channels, sbr };
}

/**
 * Writes the two bytes of an AAC-LC AudioSpecificConfig, for encoders that give none.
 *
 * @throws {ProtocolError} `ERR_PROTOCOL` if AAC has no such rate or channel count.
 */
export function buildAudioSpecificConfig(sampleRate: number, channels: number): Buffer {
  const rate = SAMPLE_RATES.indexOf(sampleRate as (typeof SAMPLE_RATES)[number]);
  const layout = channels === 0 ? -1 : CHANNELS.indexOf(channels as (typeof CHANNELS)[number]);
  if (rate < 0 || layout < 0)
    throw new ProtocolError(`AAC cannot carry ${channels} channels at ${sampleRate} Hz`);
  const word = (AAC_LC << 11) | (rate << 7) | (layout << 3);
  return Buffer.from([word >> 8, word & 255]);
}

function readObjectType(bits: BitReader): number {
  const type = bits.u(5);
  return type === 31 ? 32 + bits.u(6) : type;
}

function readSampleRate(bits: BitReader): number {
  const index = bits.u(4);
  if (index === 15) return bits.u(24);
  const rate = SAMPLE_RATES[index];
  if (rate === undefined) throw new ProtocolError(`AudioSpecificConfig: reserved sample rate ${index}`);
  return rate;
}
