import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { runLayout } from "../../src/cli/layout.ts";
import { METHODS } from "../../src/rpc/methods.ts";
import { NOT_SUPPORTED, notSupportedMarkdown, unsupportedFlag } from "../../src/rpc/not-supported.ts";
import { TestNode } from "../service/fixtures/node.ts";

let node: TestNode;
beforeAll(async () => {
  node = await TestNode.open();
  await node.call("mix.create", { id: "m" });
});
afterAll(() => node[Symbol.asyncDispose]());

/** The methods of the interface, word for word. */
const INTERFACE = `node.info node.probe node.drain mix.create mix.get mix.list mix.stats mix.close mix.apply
  source.add source.update source.remove source.list view.add view.update view.remove view.list layout.set layout.get
  template.put template.get template.list template.remove template.check asset.put asset.get asset.list asset.remove
  output.add output.update output.remove output.list output.split output.pause output.resume overlay.set overlay.clear
  snapshot.take token.issue events.subscribe`.split(/\s+/);

const SOURCES: Record<string, object> = {
  pull: { url: "rtsp://127.0.0.1/x" },
  rtmp: {},
  rtsp: {},
  webrtc: { offer: "v=0" },
  sip: { uri: "sip:a@b" },
  test: {},
  rtp: {},
};
const OUTPUTS: Record<string, object> = {
  file: { path: "a.mp4" },
  rtmp: { url: "rtmp://127.0.0.1/live/k" },
  srt: { url: "srt://127.0.0.1:9000" },
  rtsp: { url: "rtsp://127.0.0.1/x" },
  hls: {},
  webrtc: { offer: "v=0" },
  whip: { url: "http://127.0.0.1/whip" },
  rtp: { host: "127.0.0.1", audioPort: 5004 },
};

const code = async (method: string, params: unknown): Promise<string | undefined> =>
  (await node.send(method, params)).error?.data.code;
const isRefused = (kinds: "sourceKinds" | "outputKinds", kind: string): boolean =>
  NOT_SUPPORTED.some((row) => (row[kinds] as readonly string[] | undefined)?.includes(kind));

describe("the table and what the program does agree", () => {
  for (const name of INTERFACE) {
    const listed = NOT_SUPPORTED.some(({ methods }) => methods?.includes(name));
    test(`${name} ${listed ? "is listed" : "works"}`, async () => {
      expect(METHODS.has(name)).toBe(!listed);
      const answered = await code(name, name === "node.probe" ? {} : { mix: "nobody" });
      if (listed) expect(answered).toBe("ERR_NOT_SUPPORTED");
      else expect(answered).not.toBe("ERR_NOT_SUPPORTED");
    });
  }

  test("no method is there that the interface does not name", () => {
    expect([...METHODS.keys()].filter((name) => !INTERFACE.includes(name))).toEqual([]);
    expect(
      NOT_SUPPORTED.flatMap(({ methods }) => methods ?? []).filter((one) => !INTERFACE.includes(one)),
    ).toEqual([]);
  });

  for (const [kind, rest] of Object.entries(SOURCES)) {
    const listed = isRefused("sourceKinds", kind);
    test(`a source of kind ${kind} ${listed ? "is listed" : "works"}`, async () => {
      const params = { mix: "m", source: { kind, id: `s-${kind}`, ...rest } };
      const { error, result } = await node.send("source.add", params);
      if (listed) expect(error?.data).toMatchObject({ code: "ERR_NOT_SUPPORTED", pointer: "/source/kind" });
      else expect(result).toMatchObject({ id: `s-${kind}`, kind });
      if (!listed) return;
      const whole = await node.send("mix.create", { sources: [{ kind, ...rest }] });
      expect(whole.error?.data).toMatchObject({ code: "ERR_NOT_SUPPORTED", pointer: "/sources/0/kind" });
    });
  }

  for (const [kind, rest] of Object.entries(OUTPUTS)) {
    const listed = isRefused("outputKinds", kind);
    test(`an output of kind ${kind} ${listed ? "is listed" : "works"}`, async () => {
      const params = { mix: "m", output: { kind, id: `o-${kind}`, ...rest } };
      const { error, result } = await node.send("output.add", params);
      if (listed) expect(error?.data).toMatchObject({ code: "ERR_NOT_SUPPORTED", pointer: "/output/kind" });
      else expect(result).toMatchObject({ id: `o-${kind}`, kind });
    });
  }

  const options: [string, string, object, string][] = [
    [
      "AV1",
      "output.add",
      { output: { kind: "file", path: "b.mp4", video: { codec: "av1" } } },
      "/output/video/codec",
    ],
    [
      "G.711",
      "output.add",
      { output: { kind: "file", path: "b.mkv", audio: { codec: "pcmu" } } },
      "/output/audio/codec",
    ],
    [
      "RTP with picture",
      "output.add",
      { output: { kind: "rtp", host: "127.0.0.1", videoPort: 5006 } },
      "/output/videoPort",
    ],
    [
      "SRTP",
      "output.add",
      { output: { kind: "rtp", host: "127.0.0.1", srtp: { suite: "x", key: "y" } } },
      "/output/srtp",
    ],
    [
      "a GPU to encode",
      "output.add",
      { output: { kind: "file", path: "b.mp4", video: { accel: "nvenc" } } },
      "/output/video/accel",
    ],
    ["a GPU to compose", "view.add", { view: { id: "v", accel: "vaapi" } }, "/view/accel"],
    ["waiting for sources", "layout.set", { ready: "wait" }, "/ready"],
  ];
  for (const [name, method, params, pointer] of options) {
    test(`${name} is listed`, async () => {
      const { error } = await node.send(method, { mix: "m", ...params });
      expect(error?.data).toMatchObject({ code: "ERR_NOT_SUPPORTED", pointer });
    });
  }

  for (const command of NOT_SUPPORTED.flatMap(({ commands }) => commands ?? [])) {
    test(`\`${command}\` is listed`, async () => {
      const [name, ...argv] = command.split(" ");
      expect(name).toBe("layout");
      const said: string[] = [];
      const stderr = vi.spyOn(process.stderr, "write").mockImplementation((text) => said.push(`${text}`) > 0);
      try {
        expect(await runLayout(argv)).toBe(2);
      } finally {
        stderr.mockRestore();
      }
      expect(said.join("")).toMatch(/not built yet|writes \.svg only/);
    });
  }

  test("what was refused left nothing behind", async () => {
    const mix = await node.call("mix.get", { mix: "m" });
    const known = (ids: string[], kinds: "sourceKinds" | "outputKinds") =>
      ids.filter((id) => isRefused(kinds, id.slice(2)));
    expect(
      known(
        mix.sources.map((one: { id: string }) => one.id),
        "sourceKinds",
      ),
    ).toEqual([]);
    expect(
      known(
        mix.outputs.map((one: { id: string }) => one.id),
        "outputKinds",
      ),
    ).toEqual([]);
  });
});

describe("the documents say the same", () => {
  const section = (text: string): string | undefined =>
    /<!-- not-supported -->\n([\s\S]*?)\n<!-- \/not-supported -->/.exec(text)?.[1];

  test("docs/not-supported.md", () => {
    expect(section(readFileSync("docs/not-supported.md", "utf8"))).toBe(notSupportedMarkdown());
  });

  test.runIf(existsSync("README.md"))("README.md", () => {
    expect(section(readFileSync("README.md", "utf8"))).toBe(notSupportedMarkdown());
  });

  test("every flag that a row names is refused by a row", () => {
    const named = [...notSupportedMarkdown().matchAll(/`--([a-z-]+)`/g)].map((one) => one[1] ?? "");
    expect(named.length).toBeGreaterThan(4);
    for (const flag of named) expect(unsupportedFlag(flag), flag).toBeDefined();
  });
});
