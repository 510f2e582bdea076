import { readFileSync } from "node:fs";

/** This build's version, as in `package.json`. */
export function version(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
