import { lookup } from "node:dns/promises";
import { networkInterfaces } from "node:os";
import { describe, expect, test, vi } from "vitest";
import { DestinationPolicy } from "../../src/core/destinations.ts";
import { checkedDial } from "../../src/ingest/checked-dial.ts";
import { LoopbackServer } from "./loopback.ts";

vi.mock("node:dns/promises", () => ({ lookup: vi.fn() }));

/** Lets every name have these addresses; no name server of a test's can be asked by getaddrinfo. */
const resolveTo = (...addresses: readonly string[]): void => {
  const found = addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
  vi.mocked(lookup).mockResolvedValue(found as never);
};

const loopback = new DestinationPolicy({ allow: [], loopback: true });
const hasIpv6 = Object.values(networkInterfaces()).some((list) =>
  list?.some(({ address }) => address === "::1"),
);

describe("checkedDial", () => {
  test("tries the next address of a name where the first refuses", async () => {
    await using server = await LoopbackServer.tcp(undefined, "127.0.0.3");
    resolveTo("127.0.0.2", "127.0.0.3");
    const destination = { host: "camera.lan", port: server.port, secure: false };
    const socket = await checkedDial(destination, loopback);
    expect(socket.remoteAddress).toBe("127.0.0.3");
    socket.destroy();
  });

  test("asks nobody once one address of a name is not allowed", async () => {
    await using server = await LoopbackServer.tcp();
    resolveTo("127.0.0.1", "10.0.0.1");
    const dialled = checkedDial({ host: "camera.lan", port: server.port, secure: false }, loopback);
    await expect(dialled).rejects.toMatchObject({ code: "ERR_FORBIDDEN" });
    expect(server.connections).toBe(0);
  });

  test("a name without addresses, and one where all refuse", async () => {
    const destination = { host: "camera.lan", port: 1, secure: false };
    resolveTo();
    await expect(checkedDial(destination, loopback)).rejects.toMatchObject({ code: "ERR_FORBIDDEN" });
    resolveTo("127.0.0.2", "127.0.0.3");
    await expect(checkedDial(destination, loopback)).rejects.toMatchObject({
      code: "ERR_PEER_UNREACHABLE",
      message: expect.stringMatching(/127\.0\.0\.2.*127\.0\.0\.3/),
    });
  });

  const written = ["127.0.0.1", "127.1", "0x7f.1", "2130706433", ...(hasIpv6 ? ["[::ffff:127.0.0.1]"] : [])];
  test.each(written)("%s is the address that it means", async (host) => {
    await using server = await LoopbackServer.tcp();
    const socket = await checkedDial({ host, port: server.port, secure: false }, loopback);
    expect(socket.remotePort).toBe(server.port);
    socket.destroy();
    expect(lookup).not.toHaveBeenCalledWith(host, expect.anything());
  });
});
