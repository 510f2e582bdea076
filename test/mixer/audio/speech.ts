import { generator } from "./signal.ts";

/**
 * Something that a voice detector takes for a voice: a buzz of changing pitch through two moving formants, in
 * syllables of 4 Hz with pauses after every few. A `level` of 0.1 is about -26 LUFS. Interleaved stereo; deterministic.
 */
export function speech(
  seconds: number,
  options: { readonly pitchHz?: number; readonly level?: number; readonly seed?: number } = {},
): Float32Array {
  const { pitchHz = 130, level = 0.2, seed = 1 } = options;
  const random = generator(seed);
  const out = new Float32Array(seconds * 48_000 * 2);
  let phase = 0;
  const bands = [resonator(), resonator()];
  for (let i = 0; i < seconds * 48_000; i++) {
    const t = i / 48_000;
    const syllable = Math.floor(t * 4);
    phase += (pitchHz * (1 + 0.15 * Math.sin(2 * Math.PI * 0.7 * t))) / 48_000;
    if (phase >= 1) phase -= 1;
    const open = 0.5 - 0.5 * Math.cos(2 * Math.PI * ((t * 4) % 1));
    const buzz = (phase < 0.06 ? 1 : -0.06) + 0.02 * (random() - 0.5);
    const one = bands[0]?.(buzz, 350 + 150 * (syllable % 4), 80) ?? 0;
    const two = bands[1]?.(buzz, 1100 + 250 * (syllable % 3), 120) ?? 0;
    const value = 0.1 * level * open ** 1.5 * (syllable % 9 === 8 ? 0 : 1) * (one + 0.5 * two);
    out[2 * i] = value;
    out[2 * i + 1] = value;
  }
  return out;
}

/** A two-pole filter around a frequency, in Hz, of a width in Hz. */
function resonator(): (x: number, hz: number, widthHz: number) => number {
  let [y1, y2] = [0, 0];
  return (x, hz, widthHz) => {
    const r = Math.exp((-Math.PI * widthHz) / 48_000);
    const y = (1 - r) * 12 * x + 2 * r * Math.cos((2 * Math.PI * hz) / 48_000) * y1 - r * r * y2;
    [y2, y1] = [y1, y];
    return y;
  };
}
