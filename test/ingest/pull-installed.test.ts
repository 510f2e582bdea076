import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { freePort } from "../kit/process.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** What a pull needs. */
const PARTS = ["core", "media", "protocol", "transport", "native", "ingest"];

const PROGRAM = `
import { openPull } from "./src/ingest/pull.ts";
import { LiveClock } from "./src/media/clock.ts";
const options = { clock: new LiveClock(), destinations: { allow: [], loopback: true } };
try {
  for await (const _ of openPull({ url: process.argv[2], ...options }));
} catch (error) {
  console.log(error.code);
}
`;

test("a pull asks its peer also where Tessera lies under a path with a space and letters beyond ASCII", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tessera é 日 100% "));
  try {
    for (const part of PARTS) cpSync(join(ROOT, "src", part), join(folder, "src", part), { recursive: true });
    for (const name of ["package.json", "node_modules"]) symlinkSync(join(ROOT, name), join(folder, name));
    const program = join(folder, "pull.ts");
    writeFileSync(program, PROGRAM);
    const url = `rtmp://127.0.0.1:${await freePort()}/live/nobody`;
    const { stdout } = await promisify(execFile)(process.execPath, [program, url]);
    expect(stdout).toBe("ERR_PEER_UNREACHABLE\n");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
