import { expect, test } from "vitest";
import { DestinationPolicy } from "../../src/core/destinations.ts";
import { addressesIn, checkedResolve, resolveHost } from "../../src/transport/resolve-host.ts";

const { signal } = new AbortController();

test("addresses are their own, brackets taken off", async () => {
  expect(await resolveHost("127.0.0.1", signal)).toEqual(["127.0.0.1"]);
  expect(await resolveHost("[::1]", signal)).toEqual(["::1"]);
});

test("localhost never leaves the machine", async () => {
  expect(await resolveHost("localhost", signal)).toContain("127.0.0.1");
  expect(await resolveHost("sub.localhost", signal)).toEqual(["127.0.0.1", "::1"]);
});

test("the hosts file: several names, comments, case, both families", () => {
  const hosts = "# 1.1.1.1 cdn\n10.0.0.1\tCDN cdn.example # here\n::1 cdn\nnonsense cdn\n";
  expect(addressesIn(hosts, "cdn")).toEqual(["10.0.0.1", "::1"]);
  expect(addressesIn(hosts, "Cdn.Example")).toEqual(["10.0.0.1"]);
  expect(addressesIn(hosts, "here")).toEqual([]);
});

test("an aborted signal ends it at once", async () => {
  const abort = new AbortController();
  const asking = resolveHost("name.invalid", abort.signal);
  abort.abort(new Error("stop"));
  await expect(asking).rejects.toThrow("stop");
});

for (const host of ["127.0.0.1", "127.1", "0x7f.0.0.1", "::1", "::ffff:10.0.0.1", "169.254.169.254"])
  test(`${host} is refused unless allowed, however it is written`, async () => {
    const resolve = checkedResolve(new DestinationPolicy({ allow: [], loopback: false }));
    await expect(resolve(host, signal)).rejects.toMatchObject({ code: "ERR_FORBIDDEN" });
  });

test("an allowed block is let through", async () => {
  const resolve = checkedResolve(new DestinationPolicy({ allow: ["10.0.0.0/8"], loopback: false }));
  expect(await resolve("10.1.2.3", signal)).toEqual(["10.1.2.3"]);
});
