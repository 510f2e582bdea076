import { DeviceError, InvalidArgumentError } from "../core/error.ts";
import type { Compose, Encoder } from "./profile.ts";

/** Where one input goes on the canvas, in pixels; all even. */
export interface GraphPlacement {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Size and colour of the picture that is composed. */
export interface GraphCanvas {
  readonly width: number;
  readonly height: number;
  /** `RRGGBB`. */
  readonly background: string;
}

/** What rate control and options of an encoder depend on. */
export interface EncodeTarget {
  readonly rateControl: "cbr" | "vbr" | "crf";
  readonly bitrateBps: number;
  /** In the scale of x264; profiles hand it on as it is. */
  readonly crf: number;
  /** In the words of x264; only encoders that know them ask for it. */
  readonly preset: string;
}

/**
 * Fills `{name}` in a template.
 *
 * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if the template names a value that is not there.
 */
export function fill(template: string, values: Readonly<Record<string, string | number>>): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new InvalidArgumentError("template", `knows no {${name}}`);
    return String(value);
  });
}

/**
 * The text of a graph that places N inputs on a canvas. Inputs are `[in0]` ... `[inN-1]` and, if the profile composes
 * in steps, the empty canvas as one input more, `[inN]`; the output is `[out]`.
 *
 * @throws {DeviceError} `ERR_DEVICE` if the device takes fewer inputs.
 */
export function composeGraph(
  compose: Extract<Compose, { method: "graph" }>,
  canvas: GraphCanvas,
  placements: readonly GraphPlacement[],
): string {
  const count = placements.length;
  if (count > compose.maxInputs)
    throw new DeviceError(`${count} inputs, the device takes ${compose.maxInputs}`);
  const parts: string[] = [];
  const { tile, step, join } = compose;
  const label = tile === undefined ? "in" : "tile";
  for (const [index, placement] of placements.entries()) {
    if (tile !== undefined) parts.push(fill(tile, { ...placement, index }));
    if (step === undefined) continue;
    const below = index === 0 ? `in${count}` : `step${index - 1}`;
    const above = index === count - 1 && join === undefined ? "out" : `step${index}`;
    parts.push(fill(step, { ...placement, index, below, above, tile: `${label}${index}` }));
  }
  if (join !== undefined)
    parts.push(fill(join, { ...canvas, count, ...lists(compose, placements), inputs: labels(label, count) }));
  return parts.join(";");
}

/** Whether {@link composeGraph} asks for the empty canvas as its last input. */
export const needsCanvas = (compose: Compose): boolean =>
  compose.method === "graph" && compose.step !== undefined;

/** The options an encoder is opened with, or undefined if it does not offer that rate control. */
export function encoderOptions(encoder: Encoder, target: EncodeTarget): Record<string, string> | undefined {
  const control = encoder.rateControl[target.rateControl];
  if (control === undefined) return undefined;
  const { bitrateBps, crf, preset } = target;
  const values = {
    bitrateBps,
    crf,
    preset,
    maxrateBps: Math.round(bitrateBps * 1.5),
    bufferBits: bitrateBps,
  };
  const merged = { ...encoder.options, ...control };
  return Object.fromEntries(Object.entries(merged).map(([name, value]) => [name, fill(value, values)]));
}

const labels = (label: string, count: number): string =>
  Array.from({ length: count }, (_, index) => `[${label}${index}]`).join("");

function lists(
  compose: Extract<Compose, { method: "graph" }>,
  placements: readonly GraphPlacement[],
): Record<string, string> {
  const entries = Object.entries(compose.lists).map(([name, { item, separator }]) => {
    const items = placements.map((placement, index) => fill(item, { ...placement, index }));
    return [name, items.join(separator)];
  });
  return Object.fromEntries(entries) as Record<string, string>;
}
