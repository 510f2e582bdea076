import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as errors from "../../src/core/error.ts";
import { TestNode } from "../service/fixtures/node.ts";

let node: TestNode;
beforeAll(async () => {
  node = await TestNode.open({ maxWorkers: 2 });
  await node.call("mix.create", {
    id: "m",
    sources: [{ kind: "test", id: "a" }],
    outputs: [
      { kind: "file", id: "f", path: "f.mp4" },
      { kind: "rtp", id: "r", host: "127.0.0.1", audioPort: 5004 },
      { kind: "rtp", id: "own", host: "127.0.0.1", audioPort: 5006, audio: { matrix: { a: 1 } } },
    ],
  });
  await node.call("mix.create", { id: "other" });
});
afterAll(() => node[Symbol.asyncDispose]());

const source = { kind: "test", id: "a" };
const document = {
  tessera: 1,
  name: "x",
  arrangements: [{ sources: [0, null], slots: [{ id: "s", x: 2, y: 0, width: 1, height: 1 }] }],
};

const pictured = {
  tessera: 1,
  name: "x",
  background: { image: "nope" },
  arrangements: [{ grid: {} }],
};
const stamped = {
  ...pictured,
  background: {},
  overlays: [{ id: "o", image: "nope", x: 0, y: 0, width: 0.1 }],
};

const whole = { x: 0, y: 0, width: 1, height: 1 };
const silent = (audio: object) => ({ mix: "m", output: { kind: "file", path: "x.mp4", view: null, audio } });
const movieOf = (video: object) => ({ mix: "m", output: { kind: "file", path: "x.mp4", video } });
const pictureOf = (video: object) => ({ mix: "m", output: { kind: "file", path: "x.mkv", video } });

/** Method, parameters, JSON-RPC number, our code, pointer, and a word of the message. */
const CASES: [string, unknown, number, string, string | undefined, RegExp][] = [
  ["mix.get", {}, -32602, "ERR_INVALID_ARGUMENT", "/mix", /./],
  ["mix.get", { mix: "no such" }, -32602, "ERR_INVALID_ARGUMENT", "/mix", /1 to 64/],
  ["mix.get", { mix: "nobody" }, -32001, "ERR_NOT_FOUND", undefined, /nobody/],
  ["mix.get", { mix: "m", extra: 1 }, -32602, "ERR_INVALID_ARGUMENT", "/extra", /not a known key/],
  ["mix.get", [], -32602, "ERR_INVALID_ARGUMENT", "", /./],
  ["mix.gte", { mix: "m" }, -32601, "ERR_NOT_FOUND", undefined, /did you mean mix.get/],
  ["mix.create", { id: "m" }, -32002, "ERR_EXISTS", undefined, /m exists/],
  ["mix.create", { id: "third" }, -32008, "ERR_BUSY", undefined, /2 workers/],
  ["mix.create", { sorces: [] }, -32602, "ERR_INVALID_ARGUMENT", "/sorces", /did you mean "sources"/],
  ["mix.create", { views: [{ width: 641 }] }, -32602, "ERR_INVALID_ARGUMENT", "/views/0/width", /./],
  ["mix.create", { views: [{}, {}] }, -32602, "ERR_INVALID_ARGUMENT", "/views/1/id", /twice/],
  ["mix.create", { views: [{ layout: "nope" }] }, -32602, "ERR_INVALID_ARGUMENT", "/views/0/layout", /nope/],
  ["mix.create", { views: [{ fps: "0/1" }] }, -32602, "ERR_INVALID_ARGUMENT", "/views/0/fps", /./],
  ["mix.create", { sources: [source, source] }, -32602, "ERR_INVALID_ARGUMENT", "/sources/1/id", /twice/],
  ["mix.create", { sources: [{ kind: "tset" }] }, -32602, "ERR_INVALID_ARGUMENT", "/sources/0/kind", /./],
  [
    "mix.create",
    { outputs: [{ kind: "file", path: "x.avi" }] },
    -32602,
    "ERR_INVALID_ARGUMENT",
    "/outputs/0/path",
    /mp4/,
  ],
  [
    "mix.create",
    { views: [], outputs: [{ kind: "file", path: "x.mp4" }] },
    -32602,
    "ERR_INVALID_ARGUMENT",
    "/outputs/0/view",
    /null is sound only/,
  ],
  [
    "mix.create",
    { outputs: [{ kind: "file", path: "x.mp4", source: "b" }] },
    -32602,
    "ERR_INVALID_ARGUMENT",
    "/outputs/0/source",
    /no source b/,
  ],
  [
    "mix.create",
    { outputs: [{ kind: "file", path: "f.mp4" }] },
    -32602,
    "ERR_INVALID_ARGUMENT",
    "/outputs/0",
    /mix m has/,
  ],
  [
    "mix.create",
    { outputs: [{ kind: "file", path: "../f.mp4" }] },
    -32006,
    "ERR_FORBIDDEN",
    "/outputs/0/path",
    /outputs\/0\/path.*leaves/,
  ],
  [
    "mix.create",
    { sources: [{ kind: "pull", url: "/etc/passwd" }] },
    -32006,
    "ERR_FORBIDDEN",
    "/sources/0/url",
    /sources\/0\/url/,
  ],
  [
    "mix.create",
    { sources: [{ kind: "pull", url: "gopher://x" }] },
    -32602,
    "ERR_INVALID_ARGUMENT",
    "/sources/0/url",
    /gopher/,
  ],
  ["mix.apply", { mix: "m", spec: {}, expect: 99 }, -32003, "ERR_REVISION", undefined, /not 99/],
  [
    "mix.apply",
    { mix: "m", spec: { views: [{}, {}] } },
    -32602,
    "ERR_INVALID_ARGUMENT",
    "/spec/views/1/id",
    /twice/,
  ],
  [
    "mix.apply",
    { mix: "m", spec: { views: [{ layout: "nope" }] } },
    -32602,
    "ERR_INVALID_ARGUMENT",
    "/spec/views/0/layout",
    /nope/,
  ],
  [
    "mix.apply",
    { mix: "m", spec: { outputs: [{ kind: "file", path: "../x.mp4" }] } },
    -32006,
    "ERR_FORBIDDEN",
    "/spec/outputs/0/path",
    /spec\/outputs\/0\/path/,
  ],
  [
    "mix.apply",
    { mix: "m", spec: { sources: [{ kind: "pull", url: "x:y" }] } },
    -32602,
    "ERR_INVALID_ARGUMENT",
    "/spec/sources/0/url",
    /./,
  ],
  [
    "source.add",
    { mix: "m", source: { kind: "rtmp", id: "a" } },
    -32002,
    "ERR_EXISTS",
    undefined,
    /a exists/,
  ],
  [
    "source.add",
    { mix: "m", source: { kind: "test", name: "fault:refuse" } },
    -32000,
    "ERR_DEVICE",
    undefined,
    /refused as asked/,
  ],
  [
    "source.add",
    { mix: "m", source: { kind: "test", staleAfterMs: 1 } },
    -32602,
    "ERR_INVALID_ARGUMENT",
    "/source/staleAfterMs",
    /./,
  ],
  ["source.update", { mix: "m", source: "b" }, -32001, "ERR_NOT_FOUND", undefined, /no source b/],
  [
    "source.update",
    { mix: "m", source: "a", audio: { gain: 99 } },
    -32602,
    "ERR_INVALID_ARGUMENT",
    "/audio/gain",
    /./,
  ],
  ["source.update", { mix: "m", source: "a", url: "x" }, -32602, "ERR_INVALID_ARGUMENT", "/url", /./],
  ["source.remove", { mix: "m", source: "b" }, -32001, "ERR_NOT_FOUND", undefined, /b/],
  ["view.add", { mix: "m", view: { width: 640 } }, -32002, "ERR_EXISTS", undefined, /main exists/],
  [
    "view.add",
    { mix: "m", view: { id: "v", layout: "nope" } },
    -32602,
    "ERR_INVALID_ARGUMENT",
    "/view/layout",
    /nope/,
  ],
  ["view.update", { mix: "m", view: "main", width: 2 }, -32602, "ERR_INVALID_ARGUMENT", "/width", /./],
  ["view.remove", { mix: "m", view: "main" }, -32602, "ERR_INVALID_ARGUMENT", "/view", /output f/],
  ["view.remove", { mix: "m", view: "v" }, -32001, "ERR_NOT_FOUND", undefined, /v/],
  ["layout.set", { mix: "m", layout: "nope" }, -32602, "ERR_INVALID_ARGUMENT", "/layout", /nope/],
  [
    "layout.set",
    { mix: "m", layout: "../../package" },
    -32602,
    "ERR_INVALID_ARGUMENT",
    "/layout",
    /no layout/,
  ],
  [
    "layout.set",
    { mix: "m", layout: document },
    -32602,
    "ERR_LAYOUT_INVALID",
    "/layout/arrangements/0/slots/0/x",
    /./,
  ],
  ["layout.set", { mix: "m", view: "v" }, -32001, "ERR_NOT_FOUND", undefined, /v/],
  ["layout.set", { mix: "m", expect: 7 }, -32003, "ERR_REVISION", undefined, /revision 1/],
  [
    "layout.set",
    { mix: "m", assign: { s1: "ghost" } },
    -32602,
    "ERR_INVALID_ARGUMENT",
    "/assign/s1",
    /ghost/,
  ],
  ["layout.set", { mix: "m", waitMs: 501 }, -32602, "ERR_INVALID_ARGUMENT", "/waitMs", /./],
  ["layout.get", { mix: "m", view: "v" }, -32001, "ERR_NOT_FOUND", undefined, /v/],
  [
    "output.add",
    { mix: "m", output: { kind: "file", path: "f.mp4" } },
    -32602,
    "ERR_INVALID_ARGUMENT",
    "/output",
    /another output/,
  ],
  [
    "output.add",
    { mix: "other", output: { kind: "file", path: "./f.mp4" } },
    -32602,
    "ERR_INVALID_ARGUMENT",
    "/output",
    /mix m/,
  ],
  [
    "output.add",
    { mix: "m", output: { kind: "file", path: "g.mp4", view: "v" } },
    -32602,
    "ERR_INVALID_ARGUMENT",
    "/output/view",
    /no view v/,
  ],
  [
    "output.add",
    { mix: "m", output: { kind: "rtmp", url: "rtmp://10.0.0.1/l/k" } },
    -32006,
    "ERR_FORBIDDEN",
    "/output/url",
    /10\.0\.0\.1/,
  ],
  [
    "output.add",
    { mix: "m", output: { kind: "rtmp", url: "http://x" } },
    -32602,
    "ERR_INVALID_ARGUMENT",
    "/output/url",
    /rtmp/,
  ],
  [
    "output.add",
    { mix: "m", output: { kind: "file", id: "f", path: "g.mp4" } },
    -32002,
    "ERR_EXISTS",
    undefined,
    /f exists/,
  ],
  ["output.update", { mix: "m", output: "x" }, -32001, "ERR_NOT_FOUND", undefined, /x/],
  [
    "output.update",
    { mix: "m", output: "r", segmentS: 5 },
    -32602,
    "ERR_INVALID_ARGUMENT",
    "/segmentS",
    /no segments/,
  ],
  ["output.split", { mix: "m", output: "r" }, -32602, "ERR_INVALID_ARGUMENT", "/output", /not a recording/],
  ["output.pause", { mix: "m", output: "r" }, -32602, "ERR_INVALID_ARGUMENT", "/output", /not a recording/],
  ["asset.put", { name: "x", data: "@@" }, -32602, "ERR_INVALID_ARGUMENT", "/data", /base64/],
  ["asset.put", { name: "x", data: "aGVsbG8=" }, -32602, "ERR_INVALID_ARGUMENT", "/data", /neither PNG/],
  ...(
    [
      ["mix.create", { sources: [{ kind: "test", avatar: "nope" }] }, "/sources/0/avatar"],
      ["mix.create", { views: [{ slate: "nope" }] }, "/views/0/slate"],
      ["mix.create", { views: [{ layout: pictured }] }, "/views/0/layout/background/image"],
      ["mix.apply", { mix: "m", spec: { views: [{ slate: "nope" }] } }, "/spec/views/0/slate"],
      [
        "mix.apply",
        { mix: "m", spec: { views: [{ layout: stamped }] } },
        "/spec/views/0/layout/overlays/0/image",
      ],
      ["source.add", { mix: "m", source: { kind: "test", avatar: "nope" } }, "/source/avatar"],
      ["source.update", { mix: "m", source: "a", avatar: "nope" }, "/avatar"],
      ["view.add", { mix: "m", view: { id: "v", slate: "nope" } }, "/view/slate"],
      ["view.add", { mix: "m", view: { id: "v", layout: pictured } }, "/view/layout/background/image"],
      ["view.update", { mix: "m", view: "main", slate: "nope" }, "/slate"],
      ["layout.set", { mix: "m", layout: pictured }, "/layout/background/image"],
      ["layout.set", { mix: "m", layout: stamped, dryRun: true }, "/layout/overlays/0/image"],
    ] as const
  ).map(([name, params, at]): (typeof CASES)[number] => [
    name,
    params,
    -32602,
    "ERR_INVALID_ARGUMENT",
    at,
    /no asset nope/,
  ]),
  ...(
    [
      ["mix.apply", { mix: "m", spec: { id: "n" } }, "/spec/id", /keeps its id/],
      ["layout.set", { mix: "m", layout: "grid", at: 60_000_000 }, "/at", /10 s ahead/],
      [
        "source.update",
        { mix: "m", source: "a", video: { crop: { ...whole, width: 0 } } },
        "/video/crop/width",
        /./,
      ],
      [
        "source.update",
        { mix: "m", source: "a", video: { crop: { ...whole, y: 0.5 } } },
        "/video/crop/height",
        /beyond/,
      ],
      ["output.update", { mix: "m", output: "r", video: { bitrateBps: 1e6 } }, "/video", /no picture/],
      ["output.add", silent({ codec: "none" }), "/output/audio/codec", /neither/],
      ["output.add", { mix: "m", output: { kind: "rtp", host: "127.0.0.1" } }, "/output/audioPort", /needed/],
      ["output.add", silent({ bitrateBps: 300_000, channels: 1 }), "/output/audio/bitrateBps", /one channel/],
      ["output.add", silent({ without: "a", matrix: { a: 1 } }), "/output/audio/without", /matrix/],
      [
        "output.update",
        { mix: "m", output: "r", audio: { without: "a", matrix: { a: 1 } } },
        "/audio/without",
        /matrix/,
      ],
      ["output.update", { mix: "m", output: "own", audio: { without: "a" } }, "/audio/without", /matrix/],
      ["output.add", pictureOf({ profile: "nonsense" }), "/output/video/profile", /baseline, main, high/],
      ["output.add", pictureOf({ codec: "vp9", profile: "main" }), "/output/video/profile", /leave it out/],
      ["output.add", pictureOf({ codec: "vp8", bframes: 1 }), "/output/video/bframes", /vp8 has no/],
      [
        "output.add",
        pictureOf({ profile: "baseline", bframes: 1 }),
        "/output/video/bframes",
        /baseline has no/,
      ],
      ["output.add", movieOf({ codec: "vp8" }), "/output/video/codec", /\.mp4 .*h264.*not vp8/],
      [
        "output.add",
        { mix: "m", output: { kind: "rtmp", url: "rtmp://127.0.0.1/l/k", video: { codec: "vp8" } } },
        "/output/video/codec",
        /RTMP .*not vp8/,
      ],
      [
        "output.add",
        { mix: "m", output: { kind: "rtp", host: "127.0.0.1", audioPort: 5004, audio: { codec: "aac" } } },
        "/output/audio/codec",
        /opus only, not aac/,
      ],
      ["mix.create", { outputs: [movieOf({ codec: "vp8" }).output] }, "/outputs/0/video/codec", /not vp8/],
      [
        "mix.apply",
        { mix: "m", spec: { outputs: [movieOf({ codec: "vp8" }).output] } },
        "/spec/outputs/0/video/codec",
        /not vp8/,
      ],
      ["output.add", pictureOf({ crf: 20 }), "/output/video/crf", /rateControl/],
      ["output.add", pictureOf({ rateControl: "crf", bitrateBps: 1e6 }), "/output/video/bitrateBps", /crf/],
    ] as const
  ).map(([name, params, at, says]): (typeof CASES)[number] => [
    name,
    params,
    -32602,
    "ERR_INVALID_ARGUMENT",
    at,
    says,
  ]),
  ["asset.get", { name: "x" }, -32001, "ERR_NOT_FOUND", undefined, /x/],
  ["snapshot.take", { mix: "m", view: "v" }, -32001, "ERR_NOT_FOUND", undefined, /v/],
  ["snapshot.take", { mix: "m", format: "gif" }, -32602, "ERR_INVALID_ARGUMENT", "/format", /./],
  ["token.issue", { actions: [], ttlS: 1 }, -32602, "ERR_INVALID_ARGUMENT", "/actions", /./],
  ["token.issue", { actions: ["rule"], ttlS: 1 }, -32602, "ERR_INVALID_ARGUMENT", "/actions/0", /./],
  ["events.subscribe", {}, -32602, "ERR_INVALID_ARGUMENT", "", /WebSocket/],
  [
    "events.subscribe",
    { types: ["source.onlin"] },
    -32602,
    "ERR_INVALID_ARGUMENT",
    "/types/0",
    /source.online/,
  ],
  ["overlay.set", {}, -32004, "ERR_NOT_SUPPORTED", undefined, /overlay.set/],
];

describe("a request that cannot be met says exactly why", () => {
  for (const [method, params, number, code, pointer, message] of CASES) {
    test(`${method} ${JSON.stringify(params)}`, async () => {
      const { error } = await node.send(method, params);
      expect(error).toMatchObject({ code: number, data: { code } });
      expect(error?.data.pointer).toBe(pointer);
      expect(error?.message).toMatch(message);
    });
  }

  test("and changes nothing", async () => {
    const mix = await node.call("mix.get", { mix: "m" });
    expect(mix).toMatchObject({ revision: 1, state: "running", restarts: 0 });
    expect(mix.sources.map((one: { id: string }) => one.id)).toEqual(["a"]);
    expect((await node.call("mix.list")).map((one: { id: string }) => one.id)).toEqual(["m", "other"]);
  });
});

describe("the envelope", () => {
  const send = async (text: string): Promise<unknown> => {
    const answer = await node.sendText(text);
    return answer === undefined ? undefined : JSON.parse(answer);
  };
  const refused = (code: number, ours = "ERR_INVALID_ARGUMENT") => ({
    jsonrpc: "2.0",
    id: null,
    error: { code, data: { code: ours, fault: "caller", retryable: false } },
  });
  const cases: [string, string, unknown][] = [
    ["no JSON", "{", refused(-32700)],
    ["nothing", "", refused(-32700)],
    ["a number", "1", refused(-32600)],
    ["null", "null", refused(-32600)],
    ["an empty batch", "[]", refused(-32600)],
    ["no version", '{"method":"node.info","id":1}', refused(-32600)],
    ["an old version", '{"jsonrpc":"1.0","method":"node.info","id":1}', refused(-32600)],
    ["no method", '{"jsonrpc":"2.0","id":1}', refused(-32600)],
    ["an object as id", '{"jsonrpc":"2.0","method":"node.info","id":{}}', refused(-32600)],
    ["a text as params", '{"jsonrpc":"2.0","method":"node.info","id":1,"params":"x"}', refused(-32600)],
    ["a batch of nonsense", "[1,2]", [refused(-32600), refused(-32600)]],
    ["101 requests", JSON.stringify(new Array(101).fill(1)), refused(-32600, "ERR_LIMIT")],
    ["deep nesting", `${"[".repeat(10_000)}${"]".repeat(10_000)}`, refused(-32600)],
    [
      "a long body",
      JSON.stringify({ jsonrpc: "2.0", method: "mix.get", id: 1, params: { mix: "x".repeat(2 << 20) } }),
      refused(-32600, "ERR_LIMIT"),
    ],
  ];
  for (const [name, text, want] of cases) {
    test(name, async () => expect(await send(text)).toMatchObject(want as object));
  }

  test("a notification is carried out and never answered, not even with an error", async () => {
    expect(await send('{"jsonrpc":"2.0","method":"mix.get","params":{"mix":"nobody"}}')).toBeUndefined();
    expect(await send('[{"jsonrpc":"2.0","method":"nope"}]')).toBeUndefined();
  });

  test("a batch is answered request by request, each with its id", async () => {
    const answers = await send(
      '[{"jsonrpc":"2.0","method":"mix.get","params":{"mix":"m"},"id":"a"},{"jsonrpc":"2.0","method":"nope","id":7},{"jsonrpc":"2.0","method":"node.info"},3]',
    );
    expect(answers).toMatchObject([
      { id: "a", result: { id: "m" } },
      { id: 7, error: { code: -32601 } },
      { id: null, error: { code: -32600 } },
    ]);
    expect(answers).toHaveLength(3);
  });

  test("the id null is an id", async () => {
    expect(await send('{"jsonrpc":"2.0","method":"node.info","id":null}')).toMatchObject({
      id: null,
      result: {},
    });
  });
});

test("every code of ours is in docs/errors.md, and no other", () => {
  const documented = [...readFileSync("docs/errors.md", "utf8").matchAll(/^\| `(ERR_\w+)`/gm)].map(
    (one) => one[1],
  );
  const source = readFileSync("src/core/error.ts", "utf8");
  const ours = new Set([...source.matchAll(/readonly code = "(ERR_\w+)"/g)].map((one) => one[1]));
  expect(documented.sort()).toEqual([...ours].sort());
  expect(errors.TesseraError).toBeDefined();
});
