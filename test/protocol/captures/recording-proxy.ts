import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";

/** Runs `use` against a proxy in front of a server on loopback; returns what one side sent, connection after connection. */
export async function recordThrough(
  serverPort: number,
  side: "client" | "server",
  use: (port: number) => Promise<unknown>,
): Promise<Buffer> {
  const recorded: Buffer[] = [];
  const proxy = createServer((client) => {
    const server = connect(serverPort, "127.0.0.1");
    const recordedSide = side === "client" ? client : server;
    recordedSide.on("data", (data: Buffer) => recorded.push(data));
    for (const socket of [client, server]) socket.on("error", () => socket.destroy());
    client.pipe(server).pipe(client);
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  await use((proxy.address() as AddressInfo).port);
  proxy.close();
  return Buffer.concat(recorded);
}
