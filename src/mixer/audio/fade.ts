/**
 * A raised-cosine rise from 0 to 1 over `samples`, without its end points: `rise[i] + rise[samples - 1 - i]` is 1,
 * so that a fade-in and the mirrored fade-out add up to unity where they cross.
 */
export function raisedCosine(samples: number): Float32Array {
  return Float32Array.from(
    { length: samples },
    (_, i) => 0.5 - 0.5 * Math.cos((Math.PI * (i + 0.5)) / samples),
  );
}
