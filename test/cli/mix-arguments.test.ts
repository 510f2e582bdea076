import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { mixArguments } from "../../src/cli/mix-arguments.ts";

const OUT = ["--out", "rtmp://127.0.0.1/live/out"];
const sourcesOf = (...inputs: string[]) =>
  mixArguments([...inputs.flatMap((one) => ["--in", one]), ...OUT]).spec.sources;
const refusal = (...args: string[]): string => {
  try {
    mixArguments(args);
  } catch (error) {
    return (error as Error).message;
  }
  return "none";
};

describe("the name of an input, which is drawn for everybody to see", () => {
  const cases = [
    { input: "rtsp://admin:secret@camera", name: "camera" },
    { input: "rtsp://admin:secret@camera.lan:8554/main", name: "camera.lan" },
    { input: "srt://h:9000?passphrase=ab/cdsecret", name: "h" },
    { input: "rtmp://host/live/STREAMKEY", name: "host" },
    { input: "https://example.org/live.m3u8?token=secret", name: "example.org" },
    { input: "rtmp://[::1]/live/STREAMKEY", name: "[::1]" },
    { input: "rtsp://admin:sec/ret@camera", name: "Input 1" },
    { input: "rtmp-listen:KEY", name: "Guest 1" },
    { input: "rtmp-listen:KEY,name=Ada", name: "Ada" },
    { input: "/media/talk.mp4", name: "talk.mp4" },
    { input: "talk.mp4", name: "talk.mp4" },
    { input: "file:///media/my%20talk.mp4", name: "my talk.mp4" },
    { input: "test:moving", name: "test:moving" },
  ];
  test.each(cases)("$input is $name", ({ input, name }) => {
    expect(sourcesOf(input)[0]?.name).toBe(name);
  });

  test("counts the guests", () => {
    const sources = sourcesOf("rtmp-listen:a", "test:bars", "rtmp-listen:b");
    expect(sources.map(({ id, name }) => [id, name])).toEqual([
      ["a", "Guest 1"],
      ["in2", "test:bars"],
      ["b", "Guest 2"],
    ]);
  });
});

test("a file: URL is the file it names, escapes and all", () => {
  const [one, two] = sourcesOf("file:///media/my%20talk%231.mp4", "file://localhost/media/a.mp4,loop");
  expect(one).toMatchObject({ kind: "pull", url: "/media/my talk#1.mp4" });
  expect(two).toMatchObject({ kind: "pull", url: "/media/a.mp4", loop: true });
  expect(refusal("--in", "file://server/a.mp4", ...OUT)).toBe("--in: is not a file URL of this machine");
});

describe("a key that is on or off", () => {
  test.each(["loop", "muted"])("%s", (key) => {
    const isOn = (input: string): unknown => {
      const [source] = sourcesOf(input);
      return key === "loop" && source?.kind === "pull" ? source.loop : source?.audio.muted;
    };
    expect(isOn(`x.mp4,${key}`)).toBe(true);
    expect(isOn(`x.mp4,${key}=true`)).toBe(true);
    expect(isOn(`x.mp4,${key}=false`)).toBe(false);
    expect(isOn("x.mp4")).toBe(false);
    for (const text of ["1", "yes", "TRUE", ""])
      expect(refusal("--in", `x.mp4,${key}=${text}`, ...OUT)).toBe(
        `--in: ${key} is true or false, not ${text}`,
      );
  });
});

describe("the door for publishers", () => {
  const guest = ["--in", "rtmp-listen:a", ...OUT];
  const given = [
    { args: [], rtmp: { host: "127.0.0.1", port: 1935 } },
    { args: ["--rtmp", "1936"], rtmp: { host: "127.0.0.1", port: 1936 } },
    { args: ["--rtmp", "[::1]:1935"], rtmp: { host: "::1", port: 1935 } },
    { args: ["--rtmp", ":1935", "--token", "secret"], rtmp: { host: "::", port: 1935 } },
    { args: ["--rtmp", "0.0.0.0:1935", "--token", "secret"], rtmp: { host: "0.0.0.0", port: 1935 } },
  ];
  test.each(given)("$args", ({ args, rtmp }) => {
    expect(mixArguments([...guest, ...args]).rtmp).toEqual(rtmp);
  });

  test("may be off where nobody is waited for", () => {
    expect(mixArguments(["--in", "test:bars", ...OUT, "--rtmp", "off"]).rtmp).toBeUndefined();
    expect(refusal(...guest, "--rtmp", "off")).toMatch(/--rtmp.*waits for a publisher/);
  });

  test.each(["0.0.0.0:1935", ":1935", "[::]:1935", "192.0.2.1:1935", "camera.lan:1935"])(
    "at %s needs a token",
    (rtmp) => {
      expect(refusal(...guest, "--rtmp", rtmp)).toMatch(/--rtmp.*can be reached by others: set --token/);
      expect(refusal(...guest, "--rtmp", rtmp, "--token", "")).toMatch(/--token/);
    },
  );
});

test("a complaint about a URL tells no secret of it", () => {
  const complaints = [
    refusal("--in", "srt://h:9000?passphrase=secret", ...OUT, "--fast"),
    refusal("--in", "test:bars", "--fast", "--out", "rtmp://h/live/secret"),
    refusal("--in", "test:bars", "--out", "srt://user:secret@h"),
  ];
  for (const complaint of complaints) {
    expect(complaint).toMatch(/:\/\/h/);
    expect(complaint).not.toContain("secret");
  }
});

test("a recording whose manifest has no place is refused, unless --overwrite", () => {
  const folder = mkdtempSync(join(tmpdir(), "tessera-arguments-"));
  try {
    const args = ["--in", "test:bars", "--out", join(folder, "show.mp4")];
    writeFileSync(join(folder, "show.json"), "{}");
    expect(refusal(...args)).toBe("none");
    writeFileSync(join(folder, "show.mp4.json"), "{}");
    expect(refusal(...args)).toMatch(/show\.json and .*show\.mp4\.json exist.*--overwrite/);
    expect(refusal(...args, "--overwrite")).toBe("none");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
