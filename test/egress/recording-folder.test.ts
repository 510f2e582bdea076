import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Manifest } from "../../src/egress/manifest.ts";
import { RecordingFolder } from "../../src/egress/recording-folder.ts";

const OWNER = { mix: "m", output: "o" };
let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tessera-folder-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string): string => join(folder, name);
const textAt = (name: string): string => readFileSync(at(name), "utf8");
const filesIn = (name: string): string[] =>
  (JSON.parse(textAt(name)) as Manifest).parts.map(({ file }) => file);

/** One part, from its creation to its entry in the manifest. */
async function record(recording: RecordingFolder, text = "media"): Promise<string> {
  const part = await recording.create();
  if (part === undefined) throw new Error("no part");
  await part.append(Buffer.from(text));
  await part.close();
  const file = basename(part.path);
  const startedAt = "2026-11-20T12:00:00.000Z";
  await recording.note({ file, startPtsUs: 0, durationUs: 1, bytes: text.length, closed: true, startedAt });
  return file;
}

const opened = (name: string, overwrite = false): Promise<RecordingFolder> =>
  RecordingFolder.open(at(name), OWNER, { overwrite, firstPart: 1 });

describe("a file of the user's where the manifest would be", () => {
  const cases = [
    { what: "a layout", text: '{"tessera": 1, "name": "show"}' },
    { what: "a list", text: "[]" },
    { what: "no JSON", text: "notes" },
    { what: "an empty file", text: "" },
  ];
  for (const { what, text } of cases)
    for (const overwrite of [false, true])
      test(`${what} stays${overwrite ? ", also with overwrite" : ""}, and the manifest goes beside it`, async () => {
        writeFileSync(at("show.json"), text);
        await record(await opened("show.mp4", overwrite));
        expect(textAt("show.json")).toBe(text);
        expect(filesIn("show.mp4.json")).toEqual(["show.mp4"]);
        expect(readdirSync(folder).sort()).toEqual(["show.json", "show.mp4", "show.mp4.json"]);
      });

  test("a recording that goes on finds its manifest again, also when the file has gone meanwhile", async () => {
    writeFileSync(at("show.json"), "{}");
    await record(await opened("show.mp4"));
    await record(await opened("show.mp4"));
    rmSync(at("show.json"));
    await record(await opened("show.mp4"));
    expect(filesIn("show.mp4.json")).toEqual(["show.mp4", "show.2.mp4", "show.3.mp4"]);
    expect(readdirSync(folder)).not.toContain("show.json");
  });

  for (const overwrite of [false, true])
    test(`one at either place is a typed failure${overwrite ? ", also with overwrite" : ""}`, async () => {
      writeFileSync(at("show.mp4"), "precious");
      writeFileSync(at("show.json"), "{}");
      writeFileSync(at("show.mp4.json"), "[]");
      await expect(opened("show.mp4", overwrite)).rejects.toMatchObject({ code: "ERR_STORAGE" });
      expect(["show.mp4", "show.json", "show.mp4.json"].map(textAt)).toEqual(["precious", "{}", "[]"]);
    });
});

describe("name.mp4 and name.mkv", () => {
  test("at the same time have a manifest each", async () => {
    const [mp4, mkv] = await Promise.all([opened("a.mp4"), opened("a.mkv")]);
    await Promise.all([record(mp4), record(mkv)]);
    expect([filesIn("a.json"), filesIn("a.mkv.json")]).toEqual([["a.mp4"], ["a.mkv"]]);
  });

  test("one after the other, the first being gone, both have it under the short name", async () => {
    using mp4 = await opened("a.mp4");
    await record(mp4);
    mp4[Symbol.dispose]();
    for (const file of readdirSync(folder)) rmSync(at(file));
    using mkv = await opened("a.mkv");
    await record(mkv);
    expect(filesIn("a.json")).toEqual(["a.mkv"]);
    expect(readdirSync(folder).sort()).toEqual(["a.json", "a.mkv"]);
  });

  test("a folder that could not be opened holds no name", async () => {
    await expect(opened("later/a.mp4")).rejects.toMatchObject({ code: "ERR_STORAGE" });
    mkdirSync(at("later"));
    await record(await opened("later/a.mkv"), "media");
    expect(readdirSync(at("later")).sort()).toEqual(["a.json", "a.mkv"]);
  });
});
