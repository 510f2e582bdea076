/** Sound to be written; `at` gives each sample of each channel in [-1, 1]. */
export interface WavOptions {
  readonly rateHz: number;
  readonly channels: number;
  readonly samples: number;
  readonly at: (index: number, channel: number) => number;
}

/** Channel masks of WAVEFORMATEXTENSIBLE: mono, stereo, 5.1 with back, 7.1. */
const MASKS: Readonly<Record<number, number>> = { 1: 0x4, 2: 0x3, 6: 0x3f, 8: 0x63f };

/** A WAV file of 16-bit samples, with its speakers named. */
export function wav({ rateHz, channels, samples, at }: WavOptions): Buffer {
  const bytes = samples * channels * 2;
  const file = Buffer.alloc(68 + bytes);
  file.write("RIFF", 0);
  file.writeUInt32LE(60 + bytes, 4);
  file.write("WAVEfmt ", 8);
  file.writeUInt32LE(40, 16);
  file.writeUInt16LE(0xfffe, 20); // Extensible.
  file.writeUInt16LE(channels, 22);
  file.writeUInt32LE(rateHz, 24);
  file.writeUInt32LE(rateHz * channels * 2, 28);
  file.writeUInt16LE(channels * 2, 32);
  file.writeUInt16LE(16, 34);
  file.writeUInt16LE(22, 36);
  file.writeUInt16LE(16, 38);
  file.writeUInt32LE(MASKS[channels] ?? 0, 40);
  file.write("0100000000001000800000aa00389b71", 44, "hex"); // KSDATAFORMAT_SUBTYPE_PCM.
  file.write("data", 60);
  file.writeUInt32LE(bytes, 64);
  for (let index = 0; index < samples; index++) {
    for (let channel = 0; channel < channels; channel++) {
      file.writeInt16LE(Math.round(32_767 * at(index, channel)), 68 + (index * channels + channel) * 2);
    }
  }
  return file;
}
