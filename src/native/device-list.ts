import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Profile } from "./profile.ts";

/** The devices of a profile that are worth opening, as FFmpeg names them; `undefined` is its own choice. At least one. */
export function listDevices(profile: Profile): readonly (string | undefined)[] {
  const list = profile.device?.list;
  if (list === undefined || list === "default") return [undefined];
  if ("numbered" in list) return Array.from({ length: list.numbered }, (_, index) => String(index));
  const found = entries(list.folder).filter((name) => new RegExp(list.match).test(name));
  return found.length === 0 ? [undefined] : found.sort().map((name) => join(list.folder, name));
}

/** The names in a folder, or none if it cannot be read. */
export function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
