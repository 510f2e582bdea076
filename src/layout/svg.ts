import type { PlacedLabel } from "./look.ts";
import type { PlacedOverlay, Placement, Resolved } from "./resolve.ts";

/**
 * A resolved layout as an SVG picture with stand-ins for the sources, to be looked at.
 *
 * Holds no references to anything outside; whatever sources and documents say is escaped.
 */
export function toSvg(resolved: Resolved): string {
  const { canvas, background, placements, overlays } = resolved;
  const size = `width="${canvas.width}" height="${canvas.height}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} viewBox="0 0 ${canvas.width} ${canvas.height}">`,
    `<rect ${size} ${fill(background.color)}/>`,
    ...[
      ...placements.map((one, index) => ({ z: one.z, text: tile(one, index) })),
      ...overlays.map((one) => ({ z: one.z, text: overlaid(one) })),
    ]
      .sort((a, b) => a.z - b.z)
      .map(({ text }) => text),
    "</svg>",
    "",
  ].join("\n");
}

/** The golden angle, so that neighbouring tiles differ. */
const HUE_STEP = 137.5;

function tile(placement: Placement, index: number): string {
  const { slot, source, x, y, width, height, radius, opacity } = placement;
  const box = `x="${x}" y="${y}" width="${width}" height="${height}" rx="${radius}"`;
  if (source === null) return `<rect ${box} fill="none" stroke="#808080" stroke-dasharray="8 8"/>`;
  const hue = Math.round(hash(source) * HUE_STEP) % 360;
  const clip = `<clipPath id="clip-${index}"><rect ${box}/></clipPath>`;
  const picture = `<rect ${box} fill="hsl(${hue},35%,38%)"/>${person(placement, hue)}`;
  const words = placement.label === null ? name(placement, `${source} · ${slot}`) : "";
  return (
    `<g opacity="${opacity}">${clip}<g clip-path="url(#clip-${index})">${picture}</g>` +
    `${words}${frame(placement)}${placement.label === null ? "" : labelled(placement, placement.label)}</g>`
  );
}

/** Head and shoulders of a 16:9 camera picture, cropped, whole or stretched as the tile asks. */
function person({ x, y, width, height, fit, rotate, mirror }: Placement, hue: number): string {
  const sideways = rotate === 90 || rotate === 270;
  const [across, down] = sideways ? [height / 16, width / 9] : [width / 16, height / 9];
  const even = fit === "cover" ? Math.max(across, down) : Math.min(across, down);
  const [scaleX, scaleY] = fit === "fill" ? [across, down] : [even, even];
  const place = `translate(${x + width / 2} ${y + height / 2}) rotate(${rotate}) scale(${mirror ? -scaleX : scaleX} ${scaleY})`;
  return (
    `<g transform="${place}"><rect x="-8" y="-4.5" width="16" height="9" fill="hsl(${hue},45%,48%)"/>` +
    `<g fill="hsl(${hue},50%,72%)"><circle cx="0" cy="-1" r="1.6"/><path d="M-3.4 4.5a3.4 3.6 0 0 1 6.8 0z"/></g></g>`
  );
}

function frame({ x, y, width, height, radius, border }: Placement): string {
  if (border === null) return "";
  const half = border.width / 2;
  const box = `x="${x + half}" y="${y + half}" width="${width - border.width}" height="${height - border.width}"`;
  return `<rect ${box} rx="${Math.max(0, radius - half)}" fill="none" stroke-width="${border.width}" ${stroke(border.color)}/>`;
}

function name({ x, y, width, height }: Placement, text: string): string {
  const size = Math.max(6, Math.min(20, width / 12, height / 6));
  return `<text x="${x + size / 2}" y="${y + height - size / 2}" font-family="sans-serif" font-size="${size}" fill="#fff">${escapeXml(text)}</text>`;
}

function labelled({ x, y, width, height }: Placement, label: PlacedLabel): string {
  const { at, size, text } = label;
  const long = Math.min(width - size, size * (0.58 * [...text].length + 0.8)); // a stand-in: nobody measures fonts here
  const high = size * 1.5;
  const left = at.endsWith("left")
    ? x + size / 2
    : at.endsWith("right")
      ? x + width - size / 2 - long
      : x + (width - long) / 2;
  const top = at.startsWith("top")
    ? y + size / 2
    : at.startsWith("bottom")
      ? y + height - size / 2 - high
      : y + (height - high) / 2;
  return (
    `<rect x="${left}" y="${top}" width="${long}" height="${high}" rx="${size / 5}" ${fill(label.background)}/>` +
    `<text x="${left + long / 2}" y="${top + size * 1.1}" text-anchor="middle" font-family="sans-serif" font-size="${size}" ${fill(label.color)}>${escapeXml(text)}</text>`
  );
}

function overlaid({ overlay, x, y, width, height }: PlacedOverlay): string {
  const text = overlay.text ?? overlay.clock ?? `[${overlay.image ?? overlay.id}]`;
  const box = `x="${x}" y="${y}" width="${width ?? 120}" height="${height ?? 40}"`;
  return (
    `<g opacity="${overlay.opacity ?? 1}"><rect ${box} fill="#ffffff30" stroke="#ffffff"/>` +
    `<text x="${x + 6}" y="${y + 24}" font-family="sans-serif" font-size="18" fill="#fff">${escapeXml(text)}</text></g>`
  );
}

const fill = (color: string): string => paint("fill", color);
const stroke = (color: string): string => paint("stroke", color);

/** Colour and opacity apart, because not every SVG reader knows `#rrggbbaa`. */
function paint(what: "fill" | "stroke", color: string): string {
  const hex = color.length < 6 ? color.replace(/[0-9a-f]/gi, "$&$&") : color;
  const opacity = hex.length === 9 ? Number.parseInt(hex.slice(7), 16) / 255 : 1;
  return `${what}="${hex.slice(0, 7)}" ${what}-opacity="${Number(opacity.toFixed(3))}"`;
}

const ENTITIES: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&apos;",
};

/** Also drops what XML cannot hold: control characters and halves of surrogate pairs. */
const escapeXml = (text: string): string =>
  text
    .toWellFormed()
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd")
    .replace(/[&<>"']/g, (sign) => ENTITIES[sign] ?? "");

function hash(text: string): number {
  let value = 7;
  for (const sign of text) value = (value * 31 + (sign.codePointAt(0) ?? 0)) % 1_000_003;
  return value;
}
