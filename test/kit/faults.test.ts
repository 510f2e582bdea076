import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { FaultyPeer, Frozen } from "./faults.ts";
import { Program, until } from "./process.ts";

/** A server that sends back what it gets. */
async function echoServer(): Promise<number> {
  const server: Server = createServer((socket) => void socket.on("error", () => {}).pipe(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return (server.address() as { port: number }).port;
}

async function client(port: number): Promise<Socket & { heard: number }> {
  const socket = Object.assign(connect(port, "127.0.0.1"), { heard: 0 });
  onTestFinished(() => void socket.destroy());
  socket.on("data", (bytes) => {
    socket.heard += bytes.length;
  });
  await once(socket, "connect");
  return socket;
}

test("passes bytes both ways and counts them", async () => {
  await using peer = await FaultyPeer.open(await echoServer());
  const socket = await client(peer.port);
  socket.write("twelve bytes");
  await until("the echo", () => socket.heard === 12);
  expect([peer.accepted, peer.open, peer.bytesFromClients, peer.bytesToClients]).toEqual([1, 1, 12, 12]);
});

test("goes mute: reads on and answers nothing", async () => {
  await using peer = await FaultyPeer.open(await echoServer());
  const socket = await client(peer.port);
  socket.write("before");
  await until("the echo", () => socket.heard === 6);
  peer.behave("mute");
  socket.write("after");
  await until("it read that", () => peer.bytesFromClients === 11);
  await sleep(100);
  expect(socket.heard).toBe(6);
  expect(socket.destroyed).toBe(false);
});

test("goes deaf: a client's send buffer fills", async () => {
  await using peer = await FaultyPeer.open(await echoServer());
  const socket = await client(peer.port);
  socket.write("before");
  await until("the echo", () => socket.heard === 6);
  peer.behave("deaf");
  const chunk = Buffer.alloc(1_000_000);
  for (let n = 0; n < 20; n++) socket.write(chunk);
  await sleep(200);
  expect(socket.writableLength).toBeGreaterThan(5_000_000);
  const stuck = peer.bytesFromClients;
  await sleep(100);
  expect(peer.bytesFromClients).toBe(stuck);
  peer.behave("pass");
  await until("everything arrives after all", () => socket.heard === 20_000_006);
});

test("closes or resets what is open, and serves what comes next", async () => {
  await using peer = await FaultyPeer.open(await echoServer());
  const closed = await client(peer.port);
  await until("it is known", () => peer.open === 1);
  peer.drop();
  await once(closed, "close");
  const reset = await client(peer.port);
  await until("it is known", () => peer.open === 1);
  const failure = once(reset, "error");
  peer.drop("reset");
  expect((await failure)[0]).toMatchObject({ code: "ECONNRESET" });
  const next = await client(peer.port);
  next.write("x");
  await until("the echo", () => next.heard === 1);
});

test("refuses, keeps what is open, and accepts again on the same port", async () => {
  await using peer = await FaultyPeer.open(await echoServer());
  const open = await client(peer.port);
  await peer.refuse();
  await expect(client(peer.port)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  open.write("still here");
  await until("the echo", () => open.heard === 10);
  await peer.accept();
  const again = await client(peer.port);
  again.write("x");
  await until("the echo", () => again.heard === 1);
});

test("freezes a process until it is thawed", async () => {
  await using ticker = await Program.start("sh", ["-c", "while sleep 0.02; do echo tick; done"]);
  await ticker.waitFor(/tick/);
  {
    using _frozen = new Frozen(ticker.pid);
    await sleep(60);
    const said = ticker.stdout.length;
    await sleep(150);
    expect(ticker.stdout).toHaveLength(said);
  }
  const said = ticker.stdout.length;
  await until("it goes on", () => ticker.stdout.length > said);
});
