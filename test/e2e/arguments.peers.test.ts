import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Folder } from "../kit/folder.ts";
import { counterVideo } from "../kit/media.ts";
import { requirePeer } from "../kit/peers.ts";
import { freePort } from "../kit/process.ts";
import { readSources, upTo } from "./counting.ts";
import { inputs, type MixResult, MixRun, mix, mixWell, outputs } from "./program.ts";

const SIZE = { width: 640, height: 360 };
const SMALL = ["--size", "640x360"];

/** Runs with bad arguments: exit 2, a word on what is wrong, and nothing started. */
async function refused(args: readonly string[]): Promise<MixResult> {
  const result = await mix(args);
  expect(result).toMatchObject({ code: 2, summary: undefined, events: [] });
  expect(result.stderr).toMatch(/^tessera mix: .+\n/);
  return result;
}

requirePeer("ffmpeg")("arguments that are refused: exit 2, nothing started", () => {
  const cases: { name: string; args: string[]; says: RegExp }[] = [
    { name: "no input", args: ["--out", "a.mp4"], says: /--in/ },
    { name: "no output", args: ["--in", "test:moving"], says: /--out/ },
    { name: "an unknown flag", args: ["--in", "test:moving", "--oot", "a.mp4"], says: /--oot/ },
    { name: "a size without an x", args: ["--size", "1280"], says: /--size/ },
    { name: "an odd size", args: ["--size", "641x360"], says: /width.*multiple of 2/ },
    { name: "a size of nothing", args: ["--size", "0x0"], says: /width.*16/ },
    { name: "a size beyond all", args: ["--size", "99999x99999"], says: /width.*8192/ },
    { name: "a rate of zero", args: ["--fps", "0"], says: /--fps/ },
    { name: "a rate that is no number", args: ["--fps", "fast"], says: /--fps/ },
    { name: "an unknown layout", args: ["--layout", "grit"], says: /grit/ },
    { name: "a layout file that is not there", args: ["--layout", "missing.json"], says: /missing\.json/ },
    { name: "a duration that is no number", args: ["--duration", "soon"], says: /--duration/ },
    { name: "a bitrate that is no number", args: ["--bitrate", "much"], says: /--bitrate/ },
    { name: "an unknown accelerator", args: ["--accel", "magic"], says: /magic/ },
    { name: "an unknown test pattern", args: ["--in", "test:snow"], says: /pattern.*"moving"/ },
    { name: "an input key misspelt", args: ["--in", "test:moving,nmae=x"], says: /nmae.*name/ },
    {
      name: "two inputs of one id",
      args: ["--in", "test:bars,id=b", "--in", "test:bars,id=b"],
      says: /two.*id b/,
    },
    { name: "one file twice", args: ["--out", "a.mp4", "--out", "./a.mp4"], says: /two outputs.*a\.mp4/ },
    { name: "an output nobody knows", args: ["--out", "a.avi"], says: /\.mp4 or \.mkv/ },
    { name: "an output protocol nobody knows", args: ["--out", "ftp://h/a.mp4"], says: /ftp:/ },
    { name: "an unknown preset", args: ["--preset", "warp"], says: /warp/ },
    { name: "a place to listen that is none", args: ["--rtmp", "nowhere"], says: /--rtmp/ },
    { name: "SRT that listens", args: ["--in", "srt://127.0.0.1:9999?mode=listener"], says: /mode=caller/ },
    { name: "--fast with a pull", args: ["--in", "rtmp://127.0.0.1/live/a", "--fast"], says: /--fast/ },
    { name: "--fast with a publisher", args: ["--in", "rtmp-listen:a", "--fast"], says: /--fast/ },
    { name: "--fast with a push", args: ["--out", "rtmp://127.0.0.1/live/a", "--fast"], says: /--fast/ },
  ];
  test.concurrent.each(cases)("$name", async ({ name, args, says }) => {
    using folder = new Folder();
    const good = name.startsWith("no ") ? [] : ["--in", "test:moving", "--out", folder.file("good.mp4")];
    const { stderr } = await refused([...good, ...args]);
    expect(stderr).toMatch(says);
    expect(existsSync(folder.file("good.mp4"))).toBe(false);
  });

  test("a file that exists, unless --overwrite", async () => {
    using folder = new Folder();
    const file = folder.file("a.mp4");
    writeFileSync(file, "precious");
    const args = [...inputs("test:counter"), ...SMALL, "--fast", "--duration", "1", ...outputs(file)];
    const { stderr } = await refused(args);
    expect(stderr).toMatch(/exists.*--overwrite/);
    expect(statSync(file).size).toBe(8);
    await mixWell([...args, "--overwrite"]);
    expect((await readSources(file, [{ ...SIZE, count: 1 }]))[0]?.numbers).toEqual(upTo(30));
  });

  test("a layout document with a fault is refused with a pointer to it", async () => {
    using folder = new Folder();
    const layout = folder.file("bad.json");
    writeFileSync(layout, JSON.stringify({ tessera: 1, name: "bad", arrangements: [{ slots: [{ x: 0 }] }] }));
    const { stderr } = await refused([
      ...inputs("test:moving"),
      ...outputs(folder.file("a.mp4")),
      ...["--layout", layout],
    ]);
    expect(stderr).toContain("/arrangements/0/slots/0");
  });
});

requirePeer("ffmpeg")("outputs that fail: exit 1, and the others are complete", () => {
  test("a folder that cannot be made", async () => {
    using folder = new Folder();
    writeFileSync(folder.file("occupied"), "");
    const [bad, good] = [folder.file("occupied/a.mp4"), folder.file("good.mp4")];
    const input = await counterVideo({ seconds: 3 });
    const { code, events, summary } = await mix([
      ...inputs(input),
      ...SMALL,
      "--fast",
      ...outputs(bad, good),
    ]);
    expect(code).toBe(1);
    expect(summary?.outputs).toMatchObject([
      { id: "out2", complete: true },
      { id: "out1", complete: false, error: { code: "ERR_STORAGE" } },
    ]);
    expect(events).toContainEqual(
      expect.objectContaining({
        type: "output.failed",
        output: "out1",
        error: expect.objectContaining({ code: "ERR_STORAGE", fault: "device" }),
      }),
    );
    expect((await readSources(good, [{ ...SIZE, count: 1 }]))[0]?.numbers).toEqual(upTo(90));
  });

  test("a push to a port that refuses, to the end", async () => {
    using folder = new Folder();
    const good = folder.file("good.mkv");
    const push = `rtmp://127.0.0.1:${await freePort()}/live/key`;
    const { code, events, summary } = await mix([
      ...inputs("test:counter"),
      ...SMALL,
      ...["--duration", "3"],
      ...outputs(push, good),
    ]);
    expect(code).toBe(1);
    expect(summary?.outputs).toMatchObject([
      { id: "out1", complete: false, error: { code: "ERR_PEER_UNREACHABLE", retryable: true } },
      { id: "out2", complete: true },
    ]);
    const retries = events.filter(({ type }) => type === "output.retrying");
    expect(retries.length).toBeGreaterThanOrEqual(2);
    expect(retries[0]).toMatchObject({ output: "out1", error: { code: "ERR_PEER_UNREACHABLE" } });
  });

  test("no input that can be read: nothing to record is not complete", async () => {
    using folder = new Folder();
    mkdirSync(folder.file("d"));
    const { code, summary, events } = await mix([
      ...inputs(folder.file("missing.mp4"), folder.file("d")),
      ...SMALL,
      "--fast",
      ...outputs(folder.file("a.mp4")),
    ]);
    expect(code).toBe(1);
    expect(summary?.outputs).toMatchObject([{ complete: false }]);
    const offline = events.filter(({ type }) => type === "source.offline");
    expect(offline).toMatchObject([
      { source: "in1", error: { code: "ERR_PEER_UNREACHABLE" } },
      { source: "in2", error: { code: "ERR_MEDIA_INVALID" } },
    ]);
  });

  test("Ctrl-C finishes the outputs and exits 0", async () => {
    using folder = new Folder();
    const file = folder.file("a.mp4");
    await using run = await MixRun.start([...inputs("test:counter"), ...SMALL, ...outputs(file)]);
    await run.waitFor("output.live");
    const { code, summary } = await run.stop();
    expect(code).toBe(0);
    expect(summary?.outputs).toMatchObject([{ complete: true }]);
    const [source] = await readSources(file, [{ ...SIZE, count: 1 }]);
    expect(source?.readings).toHaveLength(summary?.frames ?? -1);
  });
});
