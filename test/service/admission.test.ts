import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { OutputSpec, type OutputSpecInput } from "../../src/contract/output-spec.ts";
import { SourceSpec } from "../../src/contract/source-spec.ts";
import { DestinationPolicy } from "../../src/core/destinations.ts";
import { TesseraError } from "../../src/core/error.ts";
import { Admission } from "../../src/service/admission.ts";
import { tempFolder } from "./fixtures/node.ts";

const strict = (recordingsDir = "/nowhere", fileDirs: string[] = []): Admission =>
  new Admission({
    destinations: new DestinationPolicy({ allow: ["10.1.0.0/16"], loopback: false }),
    recordingsDir,
    fileDirs,
  });

/** The code with which it was refused, or undefined. */
async function refusal(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (error instanceof TesseraError) return error.code;
    throw error;
  }
}

const pull = (url: string) => SourceSpec.parse({ kind: "pull", url });
const output = (spec: OutputSpecInput) => OutputSpec.parse(spec);

describe("pulls", () => {
  const cases: [string, string | undefined][] = [
    ["rtsp://10.1.2.3/stream", undefined],
    ["https://10.1.2.3/live.m3u8", undefined],
    ["srt://10.1.2.3:9000?mode=caller", undefined],
    ["rtmp://user:secret@10.1.2.3/live/key", undefined],
    ["rtsp://127.0.0.1/", "ERR_FORBIDDEN"],
    ["rtmp://127.1/live/x", "ERR_FORBIDDEN"],
    ["rtmp://0x7f.1/live/x", "ERR_FORBIDDEN"],
    ["http://2130706433/", "ERR_FORBIDDEN"],
    ["srt://0177.0.0.1:9000", "ERR_FORBIDDEN"],
    ["rtsp://[::ffff:127.0.0.1]/", "ERR_FORBIDDEN"],
    ["rtmp://[::1]/live/x", "ERR_FORBIDDEN"],
    ["http://169.254.169.254/latest/meta-data", "ERR_FORBIDDEN"],
    ["http://localhost/", "ERR_FORBIDDEN"],
    ["rtmp://local%68ost/live/x", "ERR_FORBIDDEN"],
    ["rtsp://public.example@127.0.0.1/", "ERR_FORBIDDEN"],
    ["gopher://10.1.2.3/", "ERR_INVALID_ARGUMENT"],
    ["concat:/etc/passwd|/etc/group", "ERR_INVALID_ARGUMENT"],
    ["data:text/plain,hello", "ERR_INVALID_ARGUMENT"],
    ["subfile:,,start,0,end,9,,:/etc/passwd", "ERR_INVALID_ARGUMENT"],
    ["rtsp://", "ERR_INVALID_ARGUMENT"],
    ["http:///path", undefined], // WHATWG reads `path` as the host: a name without an address.
    ["/etc/passwd", "ERR_FORBIDDEN"],
    ["file:///etc/passwd", "ERR_FORBIDDEN"],
    ["file://host/share", "ERR_INVALID_ARGUMENT"],
    ["../../etc/passwd", "ERR_FORBIDDEN"],
    ["a\0b", "ERR_INVALID_ARGUMENT"],
  ];
  for (const [url, want] of cases) {
    test(`${JSON.stringify(url)}: ${want ?? "allowed"}`, async () => {
      expect(await refusal(strict().source(pull(url), "/source"))).toBe(want);
    });
  }

  test("files are reached by their real path inside the allowed folders alone", async () => {
    await using folder = await tempFolder();
    const media = join(folder.path, "media");
    await mkdir(media);
    await writeFile(join(media, "a.mp4"), "x");
    await writeFile(join(folder.path, "secret"), "x");
    await symlink(join(folder.path, "secret"), join(media, "link.mp4"));
    await symlink(media, join(folder.path, "alias"));
    const admission = strict("/nowhere", [media]);
    const reached = async (url: string) => (await admission.source(pull(url), "/source")).kind === "pull";
    expect(await reached("a.mp4")).toBe(true);
    expect(await reached(join(media, "a.mp4"))).toBe(true);
    expect(await reached(join(folder.path, "alias", "a.mp4"))).toBe(true);
    expect(await refusal(admission.source(pull("link.mp4"), "/source"))).toBe("ERR_FORBIDDEN");
    expect(await refusal(admission.source(pull("../secret"), "/source"))).toBe("ERR_FORBIDDEN");
    expect(await refusal(admission.source(pull(media), "/source"))).toBe("ERR_FORBIDDEN");
  });
});

describe("outputs", () => {
  const cases: [string, OutputSpecInput, string | undefined][] = [
    ["rtmp to an allowed network", { kind: "rtmp", url: "rtmp://10.1.0.1/live/k" }, undefined],
    ["rtmp to loopback", { kind: "rtmp", url: "rtmp://127.0.0.1/live/k" }, "ERR_FORBIDDEN"],
    [
      "a backup on loopback",
      { kind: "rtmp", url: "rtmp://10.1.0.1/l/k", backupUrl: "rtmp://127.1/l/k" },
      "ERR_FORBIDDEN",
    ],
    ["rtp to loopback", { kind: "rtp", host: "127.0.0.1", audioPort: 5000 }, "ERR_FORBIDDEN"],
    ["rtp to a number", { kind: "rtp", host: "2130706433", audioPort: 5000 }, "ERR_FORBIDDEN"],
    ["rtp to no host", { kind: "rtp", host: "a b", audioPort: 5000 }, "ERR_INVALID_ARGUMENT"],
    ["rtp to an allowed network", { kind: "rtp", host: "10.1.0.1", audioPort: 5000 }, undefined],
  ];
  for (const [name, spec, want] of cases) {
    test(`${name}: ${want ?? "allowed"}`, async () => {
      expect(await refusal(strict().output(output(spec), "/output"))).toBe(want);
    });
  }

  test("recordings stay in their folder, by real path", async () => {
    await using folder = await tempFolder();
    const root = join(folder.path, "recordings");
    await mkdir(root);
    await symlink(folder.path, join(root, "out"));
    const admission = strict(root);
    const path = async (wanted: string): Promise<string> => {
      const found = await admission.output(output({ kind: "file", path: wanted }), "/output");
      return found.kind === "file" ? found.path : "";
    };
    expect(await path("a.mp4")).toBe("a.mp4");
    expect(await path("day/1/a.mkv")).toBe("day/1/a.mkv");
    expect(await path("./day/../a.mp4")).toBe("a.mp4");
    expect(await path(join(root, "b.mp4"))).toBe("b.mp4");
    for (const wanted of ["../a.mp4", "/tmp/a.mp4", "out/a.mp4", "day/../../a.mp4"]) {
      expect(await refusal(path(wanted)), wanted).toBe("ERR_FORBIDDEN");
    }
    expect(await refusal(path("a\0.mp4"))).toBe("ERR_INVALID_ARGUMENT");
  });
});
