/** Root mean square of samples in dBFS; a full-scale sine reads -3.01. Silence is -Infinity. */
export function levelDb(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return 10 * Math.log10(sum / Math.max(1, samples.length));
}

/** The largest magnitude of a sample in dBFS. */
export function peakDb(samples: Float32Array): number {
  let peak = 0;
  for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
  return 20 * Math.log10(peak);
}

/** One channel of interleaved samples. */
export function channelOf(samples: Float32Array, channel: number, channels: number): Float32Array {
  return Float32Array.from(
    { length: Math.floor(samples.length / channels) },
    (_, n) => samples[n * channels + channel] ?? 0,
  );
}

/** The level of one frequency in dBFS RMS, by Goertzel's filter under a Hann window. */
export function toneLevelDb(samples: Float32Array, hz: number, sampleRate = 48_000): number {
  const step = (2 * Math.PI * hz) / sampleRate;
  let real = 0;
  let imaginary = 0;
  let weight = 0;
  for (let n = 0; n < samples.length; n++) {
    const window = 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / samples.length);
    const sample = (samples[n] ?? 0) * window;
    real += sample * Math.cos(step * n);
    imaginary += sample * Math.sin(step * n);
    weight += window;
  }
  const amplitude = (2 * Math.hypot(real, imaginary)) / weight;
  return 20 * Math.log10(amplitude / Math.SQRT2);
}

/** The strongest frequencies, loudest first, at least `apartHz` from each other. */
export function spectrumPeaks(
  samples: Float32Array,
  {
    count = 3,
    sampleRate = 48_000,
    apartHz = 30,
  }: { count?: number; sampleRate?: number; apartHz?: number } = {},
): { readonly hz: number; readonly levelDb: number }[] {
  const size = 2 ** Math.floor(Math.log2(samples.length));
  const real = Float64Array.from({ length: size }, (_, n) => {
    return (samples[n] ?? 0) * (0.5 - 0.5 * Math.cos((2 * Math.PI * n) / size));
  });
  const imaginary = new Float64Array(size);
  fft(real, imaginary);
  const bins = Array.from({ length: size / 2 }, (_, bin) => ({
    hz: (bin * sampleRate) / size,
    // A Hann window halves the amplitude of a sine, and half of it lies in the negative frequencies.
    levelDb: 20 * Math.log10((4 * Math.hypot(real[bin] ?? 0, imaginary[bin] ?? 0)) / size / Math.SQRT2),
  })).sort((a, b) => b.levelDb - a.levelDb);
  const peaks: { hz: number; levelDb: number }[] = [];
  for (const bin of bins) {
    if (peaks.length === count) break;
    if (peaks.every((peak) => Math.abs(peak.hz - bin.hz) > apartHz)) peaks.push(bin);
  }
  return peaks;
}

/** The discrete Fourier transform in place; the length is a power of two. */
export function fft(real: Float64Array, imaginary: Float64Array): void {
  const size = real.length;
  for (let i = 1, j = 0; i < size; i++) {
    let bit = size >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [real[i], real[j]] = [real[j] ?? 0, real[i] ?? 0];
      [imaginary[i], imaginary[j]] = [imaginary[j] ?? 0, imaginary[i] ?? 0];
    }
  }
  for (let length = 2; length <= size; length <<= 1) {
    for (let start = 0; start < size; start += length) butterflies(real, imaginary, start, length);
  }
}

function butterflies(real: Float64Array, imaginary: Float64Array, start: number, length: number): void {
  const half = length / 2;
  for (let k = 0; k < half; k++) {
    const angle = (-2 * Math.PI * k) / length;
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    const [even, odd] = [start + k, start + k + half];
    const [oddReal, oddImaginary] = [real[odd] ?? 0, imaginary[odd] ?? 0];
    const re = oddReal * cos - oddImaginary * sin;
    const im = oddReal * sin + oddImaginary * cos;
    real[odd] = (real[even] ?? 0) - re;
    imaginary[odd] = (imaginary[even] ?? 0) - im;
    real[even] = (real[even] ?? 0) + re;
    imaginary[even] = (imaginary[even] ?? 0) + im;
  }
}
