import { createHash } from "node:crypto";

/** JSON with sorted keys and without undefined members: equal data gives equal text. Data must be plain. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => (isRecord(inner) ? sorted(inner) : inner)) ?? "null";
}

/** A short fingerprint of plain data, independent of the order of keys. */
export const digest = (value: unknown): string =>
  createHash("sha256").update(canonical(value)).digest("base64url");

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function sorted(record: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.entries(record).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
