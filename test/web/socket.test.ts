import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { until } from "../service/fixtures/node.ts";
import { TestWeb } from "./fixture.ts";

let web: TestWeb;
beforeAll(async () => {
  web = await TestWeb.open();
});
afterAll(() => web[Symbol.asyncDispose]());

type Message = {
  id?: unknown;
  method?: string;
  params?: Record<string, unknown>;
  result?: unknown;
  error?: unknown;
};

/** A WebSocket whose messages pile up in a list. */
async function connected(token?: string): Promise<{
  socket: WebSocket;
  messages: Message[];
  [Symbol.dispose]: () => void;
}> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const socket = new WebSocket(`${web.url.replace("http", "ws")}/rpc`, { headers });
  const messages: Message[] = [];
  socket.on("message", (data) => messages.push(JSON.parse(String(data))));
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  return { socket, messages, [Symbol.dispose]: () => socket.terminate() };
}

const ask = (socket: WebSocket, id: unknown, method: string, params: unknown = {}): void =>
  socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
const events = (messages: Message[]): string[] =>
  messages.filter(({ method }) => method === "event").map(({ params }) => `${params?.mix} ${params?.type}`);

describe("events", () => {
  test("come to whoever subscribed, filtered by mix and type, numbered per mix", async () => {
    using all = await connected();
    using some = await connected();
    using none = await connected();
    ask(all.socket, 1, "events.subscribe");
    ask(some.socket, 1, "events.subscribe", { mix: "e2", types: ["mix.created", "mix.closed"] });
    await until(() => all.messages.length + some.messages.length === 2, "both subscriptions");
    expect(all.messages[0]).toEqual({ jsonrpc: "2.0", id: 1, result: { subscribed: true } });
    for (const id of ["e1", "e2"]) {
      ask(none.socket, id, "mix.create", { id, sources: [{ kind: "test", id: "a" }] });
      await until(() => none.messages.some((one) => one.id === id), "the answer");
      ask(none.socket, `${id} closed`, "mix.close", { mix: id });
    }
    await until(() => events(some.messages).includes("e2 mix.closed"), "the last event");
    expect(events(some.messages)).toEqual(["e2 mix.created", "e2 mix.closed"]);
    expect(events(all.messages)).toEqual(
      expect.arrayContaining(["e1 source.added", "e1 mix.created", "e1 mix.closed", "e2 mix.closed"]),
    );
    const ofE1 = all.messages.filter(({ params }) => params?.mix === "e1").map(({ params }) => params?.seq);
    expect(ofE1).toEqual(ofE1.map((_, index) => index + 1));
    const first = all.messages.find(({ method }) => method === "event")?.params;
    expect(new Date(String(first?.at)).getTime()).toBeGreaterThan(Date.now() - 60_000);
    expect(first?.atUs).toEqual(expect.any(Number));
    expect(none.messages.some(({ method }) => method === "event")).toBe(false);
  });

  test("of somebody who does not read cost that one the connection, and nobody else an event", async () => {
    await web.node.call("mix.create", { id: "busy" });
    using reader = await connected();
    ask(reader.socket, 1, "events.subscribe", { mix: "busy" });
    const { port } = web.web.address;
    const deaf = connect(port, "127.0.0.1");
    deaf.on("error", () => undefined);
    const key = Buffer.alloc(16, 1).toString("base64");
    deaf.write(
      `GET /rpc HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
    );
    await new Promise((resolve) => deaf.once("data", resolve));
    deaf.write(
      masked(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "events.subscribe", params: { mix: "busy" } })),
    );
    await new Promise((resolve) => deaf.once("data", resolve));
    deaf.pause();
    await until(() => reader.messages.length === 1, "the reader's subscription");
    const gone = new Promise<void>((resolve) => deaf.once("close", () => resolve()));
    let sent = 0;
    const mix = web.node.service.mix("busy");
    const what = "x".repeat(10_000);
    for (let round = 0; round < 40; round++) {
      for (let n = 0; n < 100; n++, sent++) mix.emit({ type: "overload", what });
      await until(() => events(reader.messages).length === sent, "the reader");
    }
    deaf.resume();
    await gone;
    expect(events(reader.messages)).toHaveLength(sent);
    ask(reader.socket, 2, "node.info");
    await until(() => reader.messages.at(-1)?.id === 2, "the reader's next answer");
  }, 30_000);
});

describe("a token whose time is over", () => {
  test("ends its socket, with events and all", async () => {
    await web.node.call("mix.create", { id: "leased" });
    const lease = { mix: "leased", actions: ["control"], ttlS: 0.5 };
    const { token } = await web.node.call("token.issue", lease);
    using client = await connected(token);
    const closed = new Promise<[number, Buffer]>((resolve) =>
      client.socket.once("close", (code, reason) => resolve([code, reason])),
    );
    ask(client.socket, 1, "events.subscribe", { mix: "leased" });
    await until(() => client.messages.length === 1, "the subscription");
    expect(client.messages[0]).toMatchObject({ result: { subscribed: true } });
    const [code, reason] = await closed;
    expect([code, String(reason)]).toEqual([3000, "the token's time is over"]);
    await expect(connected(token)).rejects.toThrow(/401/);
  });

  test("allows no request more, even to a peer that does not close its socket", async () => {
    const lease = { actions: ["control"], ttlS: 0.5 };
    const { token } = await web.node.call("token.issue", lease);
    const grant = web.node.service.tokens.check(token);
    const ask = (): Promise<string | undefined> => {
      const text = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "node.info" });
      return web.node.dispatcher.handle(text, { service: web.node.service, grant }, "ws");
    };
    expect(await ask()).toContain('"uptimeS"');
    await delay(600);
    expect(await ask()).toContain("ERR_UNAUTHORIZED");
  });
});

describe("requests", () => {
  test("of one mix are answered in order, those of others as they come", async () => {
    using client = await connected();
    for (const id of ["slow", "quick"]) await web.node.call("mix.create", { id });
    const slow = { mix: "slow", source: { kind: "test", id: "s", name: "fault:slow:300" } };
    ask(client.socket, "s1", "source.add", slow);
    ask(client.socket, "s2", "source.list", { mix: "slow" });
    ask(client.socket, "q1", "source.list", { mix: "quick" });
    await until(() => client.messages.length === 3, "three answers");
    expect(client.messages.map(({ id }) => id)).toEqual(["q1", "s1", "s2"]);
    expect(client.messages[2]?.result).toMatchObject([{ id: "s" }]);
  });

  test("that are no JSON get an answer and leave the connection as it is", async () => {
    using client = await connected();
    client.socket.send("{");
    ask(client.socket, 1, "node.info");
    await until(() => client.messages.length === 2, "both answers");
    expect(client.messages).toMatchObject([{ error: { code: -32700 } }, { id: 1, result: {} }]);
  });

  test("in binary close it", async () => {
    using client = await connected();
    const closed = new Promise<number>((resolve) => client.socket.once("close", resolve));
    client.socket.send(Buffer.from("x"));
    expect(await closed).toBe(1003);
  });

  test("of more than 8 MB close it", async () => {
    using client = await connected();
    const closed = new Promise<number>((resolve) => client.socket.once("close", resolve));
    client.socket.send("x".repeat((8 << 20) + 1));
    expect(await closed).toBe(1009);
  });
});

/** RFC 6455 §5.2: a client's text frame, masked with zeros. */
function masked(text: string): Buffer {
  const body = Buffer.from(text);
  return Buffer.concat([
    Buffer.from([0x81, 0x80 | 126, body.length >> 8, body.length & 255, 0, 0, 0, 0]),
    body,
  ]);
}
