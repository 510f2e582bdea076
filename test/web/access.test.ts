import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { TestWeb } from "./fixture.ts";

const NODE_TOKEN = "the-token-of-the-node";
let open: TestWeb;
let closed: TestWeb;
beforeAll(async () => {
  open = await TestWeb.open();
  closed = await TestWeb.open(
    { token: NODE_TOKEN },
    { publicUrl: "https://mix.example/tessera/", origins: ["https://console.example"] },
  );
  for (const { node } of [open, closed]) {
    await node.call("mix.create", { id: "m" }, node === closed.node ? NODE_TOKEN : undefined);
    await node.call("mix.create", { id: "other" }, node === closed.node ? NODE_TOKEN : undefined);
  }
});
afterAll(async () => {
  await open[Symbol.asyncDispose]();
  await closed[Symbol.asyncDispose]();
});

/** A raw request, because fetch sets Host and Origin by itself. */
function send(
  web: TestWeb,
  path: string,
  headers: Record<string, string>,
  body?: string,
): Promise<{ status: number; body: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>();
  const method = body === undefined ? "GET" : "POST";
  const { port } = web.web.address;
  const outgoing = request({ host: "127.0.0.1", port, path, method, headers }, async (response) => {
    let text = "";
    for await (const chunk of response) text += String(chunk);
    resolve({ status: response.statusCode ?? 0, body: text });
  });
  outgoing.on("error", reject);
  outgoing.end(body);
  return promise;
}

const INFO = '{"jsonrpc":"2.0","id":1,"method":"node.info"}';
const json = { "content-type": "application/json" };

describe("a page of somebody else", () => {
  const cases: [string, Record<string, string>, number][] = [
    ["no Origin at all", { host: "localhost" }, 200],
    ["our name", { host: "localhost:8080" }, 200],
    ["our address", { host: "127.0.0.1:8080" }, 200],
    ["an address of this machine", { host: "[::1]:8080" }, 200],
    ["our own origin", { host: "localhost:8080", origin: "http://localhost:8080" }, 200],
    ["a name that was rebound to us", { host: "evil.example" }, 403],
    ["a rebound name with its own origin", { host: "evil.example", origin: "http://evil.example" }, 403],
    ["another origin", { host: "localhost:8080", origin: "https://evil.example" }, 403],
    ["another port", { host: "localhost:8080", origin: "http://localhost:8081" }, 403],
    ["an opaque origin", { host: "localhost:8080", origin: "null" }, 403],
    ["a file", { host: "localhost:8080", origin: "file://" }, 403],
    ["a name that only begins like ours", { host: "localhost.evil.example" }, 403],
    ["user info in Host", { host: "localhost@evil.example" }, 403],
    ["nonsense as Host", { host: "a b" }, 403],
  ];
  for (const [name, headers, status] of cases) {
    test(`${name}: ${status}`, async () => {
      expect((await send(open, "/rpc", { ...headers, ...json }, INFO)).status).toBe(status);
      expect((await send(open, "/healthz", headers)).status).toBe(status);
    });
  }

  const configured: [string, Record<string, string>, number][] = [
    ["the public name", { host: "mix.example", origin: "https://mix.example" }, 200],
    ["a listed origin", { host: "mix.example", origin: "https://console.example" }, 200],
    ["an origin that is not listed", { host: "mix.example", origin: "https://console.example.evil" }, 403],
  ];
  for (const [name, headers, status] of configured) {
    test(`${name}: ${status}`, async () => {
      const all = { ...headers, ...json, authorization: `Bearer ${NODE_TOKEN}` };
      expect((await send(closed, "/rpc", all, INFO)).status).toBe(status);
    });
  }

  test("cannot send a form or plain text, which browsers allow without asking us", async () => {
    for (const type of [
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data; boundary=x",
      "",
    ]) {
      const headers: Record<string, string> = { host: "localhost" };
      if (type !== "") headers["content-type"] = type;
      expect((await send(open, "/rpc", headers, INFO)).status, type).toBe(415);
    }
    const withCharset = { host: "localhost", "content-type": "application/json; charset=utf-8" };
    expect((await send(open, "/rpc", withCharset, INFO)).status).toBe(200);
  });

  test("cannot open a WebSocket either", async () => {
    const { port } = open.web.address;
    const tries: [string, Record<string, string>, RegExp][] = [
      ["/rpc", { Origin: "https://evil.example" }, /403/],
      ["/rpc", { Host: "evil.example" }, /403/],
      ["/other", {}, /404/],
    ];
    for (const [path, headers, want] of tries) {
      const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers });
      const error = await new Promise<Error>((resolve) => socket.once("error", resolve));
      expect(error.message).toMatch(want);
    }
  });
});

describe("who may do what", () => {
  const issue = async (params: object): Promise<string> =>
    (await closed.node.call("token.issue", { ttlS: 60, ...params }, NODE_TOKEN)).token;
  const token: Record<string, string> = { none: "", wrong: "wrong-token", node: NODE_TOKEN };
  beforeAll(async () => {
    token.controlM = await issue({ mix: "m", actions: ["control"] });
    token.playM = await issue({ mix: "m", actions: ["play"] });
    token.publishM = await issue({ mix: "m", actions: ["publish"] });
    token.control = await issue({ actions: ["control"] });
    const late = await issue({ mix: "m", actions: ["control"], ttlS: 0.001 });
    await new Promise((resolve) => setTimeout(resolve, 5));
    token.late = late;
  });
  const headers = (who: string): Record<string, string> =>
    token[who] === "" ? {} : { authorization: `Bearer ${token[who]}` };

  /** `yes`, `no` (ERR_UNAUTHORIZED in an answer), or the status of a request that got no answer. */
  const RPC: [string, object, Record<string, string>][] = [
    [
      "mix.get",
      { mix: "m" },
      {
        none: "401",
        wrong: "401",
        late: "401",
        node: "yes",
        control: "yes",
        controlM: "yes",
        playM: "no",
        publishM: "no",
      },
    ],
    ["mix.get", { mix: "other" }, { node: "yes", control: "yes", controlM: "no", playM: "no" }],
    ["mix.get", { mix: "nobody" }, { controlM: "no", playM: "no" }],
    ["mix.list", {}, { node: "yes", control: "yes", controlM: "no", playM: "no" }],
    ["mix.create", { id: "m" }, { control: "yes", controlM: "no" }],
    ["source.list", { mix: "m" }, { controlM: "yes", playM: "no" }],
    ["snapshot.take", { mix: "m" }, { controlM: "yes", playM: "yes", publishM: "no" }],
    ["snapshot.take", { mix: "other" }, { playM: "no" }],
    ["asset.list", {}, { node: "yes", controlM: "no" }],
    ["token.issue", { actions: ["play"], ttlS: 1 }, { node: "yes", control: "yes", controlM: "no" }],
    ["node.info", {}, { node: "yes", controlM: "no", playM: "no" }],
  ];
  for (const [method, params, wants] of RPC) {
    for (const [who, want] of Object.entries(wants)) {
      test(`${method} ${JSON.stringify(params)} with ${who}: ${want}`, async () => {
        const response = await closed.rpc(method, params, headers(who));
        if (response.status !== 200) return expect(String(response.status)).toBe(want);
        const { error } = (await response.json()) as { error?: { data: { code: string } } };
        expect(error?.data.code).toBe(want === "yes" ? undefined : "ERR_UNAUTHORIZED");
      });
    }
  }

  const GETS: [string, Record<string, number>][] = [
    ["/healthz", { none: 200, wrong: 200 }],
    ["/", { none: 200 }],
    ["/metrics", { none: 401, node: 200, control: 200, controlM: 401, playM: 401 }],
    [
      "/snapshot/m/main.jpg",
      { none: 401, wrong: 401, late: 401, node: 200, controlM: 200, playM: 200, publishM: 401 },
    ],
    ["/snapshot/other/main.jpg", { playM: 401, node: 200 }],
    ["/snapshot/m/none.jpg", { node: 404 }],
    ["/snapshot/m/main.png", { node: 404 }],
    ["/whip/m", { node: 501 }],
    ["/nothing", { node: 404 }],
  ];
  for (const [path, wants] of GETS) {
    for (const [who, want] of Object.entries(wants)) {
      test(`GET ${path} with ${who}: ${want}`, async () => {
        const response = await fetch(closed.url + path, { headers: headers(who) });
        expect(response.status).toBe(want);
        if (want === 401) expect(response.headers.get("www-authenticate")).toBe("Bearer");
        await response.arrayBuffer();
      });
    }
  }

  test("a WebSocket takes the token as a header or, from browsers, as a protocol", async () => {
    const { port } = closed.web.address;
    const opened = async (protocols: string[], who: string): Promise<string> => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/rpc`, protocols, { headers: headers(who) });
      const result = await new Promise<string>((resolve) => {
        socket.once("open", () => resolve(`open ${socket.protocol}`));
        socket.once("error", (error) => resolve(error.message));
      });
      socket.terminate();
      return result;
    };
    expect(await opened([], "node")).toBe("open ");
    expect(await opened(["tessera", `bearer.${NODE_TOKEN}`], "none")).toBe("open tessera");
    expect(await opened(["tessera", "bearer.wrong"], "none")).toMatch(/401/);
    expect(await opened([], "none")).toMatch(/401/);
  });
});

describe("what is too much", () => {
  test("a body of more than 8 MB is refused unread", async () => {
    const response = await send(
      open,
      "/rpc",
      { host: "localhost", ...json },
      " ".repeat((8 << 20) + 1),
    ).catch((error: NodeJS.ErrnoException) => error.code);
    // The server may close while we still send; either way nothing was taken.
    if (typeof response === "object") expect(response.status).toBe(413);
    else expect(response).toMatch(/ECONNRESET|EPIPE/);
    expect((await fetch(`${open.url}/healthz`)).status).toBe(200);
  });

  test("headers of more than 16 kB are refused", async () => {
    const response = await send(open, "/healthz", { host: "localhost", "x-long": "x".repeat(20_000) });
    expect(response.status).toBe(431);
  });
});
