import { describe, expect, test } from "vitest";
import { DestinationPolicy, literalAddress } from "../../src/core/destinations.ts";
import { ForbiddenError, InvalidArgumentError } from "../../src/core/error.ts";

describe("every way to write an address comes to the same", () => {
  const cases: [string, string | undefined][] = [
    ["127.0.0.1", "127.0.0.1"],
    ["127.1", "127.0.0.1"],
    ["0x7f.1", "127.0.0.1"],
    ["0x7f000001", "127.0.0.1"],
    ["2130706433", "127.0.0.1"],
    ["0177.0.0.1", "127.0.0.1"],
    ["127.0.0.1.", "127.0.0.1"],
    ["１２７.0.0.1", "127.0.0.1"],
    ["[::1]", "::1"],
    ["::1", "::1"],
    ["[0:0:0:0:0:0:0:1]", "::1"],
    ["[::ffff:127.0.0.1]", "::ffff:7f00:1"],
    ["example.com", undefined],
    ["localhost", undefined],
  ];
  for (const [host, want] of cases) {
    test(host, () => expect(literalAddress(host)).toBe(want));
  }
  for (const host of ["", "a b", "user@host", "host/path", "127.0.0.256", "[::1", "host:80@evil"]) {
    test(`refuses ${JSON.stringify(host)}`, () => {
      expect(() => literalAddress(host)).toThrow(InvalidArgumentError);
    });
  }
});

describe("without --allow", () => {
  const policy = new DestinationPolicy({ allow: [], loopback: false });
  const cases: [string, boolean][] = [
    ["8.8.8.8", true],
    ["1.1.1.1", true],
    ["2606:4700::1111", true],
    ["127.0.0.1", false],
    ["127.255.255.254", false],
    ["0.0.0.0", false],
    ["10.1.2.3", false],
    ["172.16.0.1", false],
    ["172.32.0.1", true],
    ["192.168.1.1", false],
    ["169.254.169.254", false],
    ["100.64.0.1", false],
    ["224.0.0.1", false],
    ["255.255.255.255", false],
    ["198.18.0.1", false],
    ["::1", false],
    ["::", false],
    ["fe80::1", false],
    ["fe80::1%eth0", false],
    ["fd00::1", false],
    ["ff02::1", false],
    ["::ffff:127.0.0.1", false],
    ["::ffff:7f00:1", false],
    ["::ffff:10.0.0.1", false],
    ["::ffff:8.8.8.8", true],
    ["::127.0.0.1", false],
    ["64:ff9b::127.0.0.1", false],
    ["64:ff9b::8.8.8.8", true],
    ["64:ff9b::a9fe:a9fe", false],
    ["2002:7f00:1::", false],
    ["2002:808:808::", true],
    ["not an address", false],
    ["", false],
  ];
  for (const [address, want] of cases) {
    test(`${address} ${want ? "may" : "may not"} be reached`, () => {
      expect(policy.allowsAddress(address)).toBe(want);
    });
  }
});

describe("with --allow", () => {
  const allow = ["10.0.0.0/8", "192.168.7.7", "fd12::/16", "origin.internal"];
  const policy = new DestinationPolicy({ allow, loopback: false });
  const cases: [string, boolean][] = [
    ["10.9.8.7", true],
    ["::ffff:10.9.8.7", true],
    ["192.168.7.7", true],
    ["192.168.7.8", false],
    ["fd12::9", true],
    ["fd13::9", false],
    ["127.0.0.1", false],
  ];
  for (const [address, want] of cases) {
    test(address, () => expect(policy.allowsAddress(address)).toBe(want));
  }

  test("a name that is allowed needs no public address", () => {
    expect(() => policy.check("Origin.Internal.", ["192.168.1.1"])).not.toThrow();
    expect(() => policy.check("other.internal", ["192.168.1.1"])).toThrow(ForbiddenError);
  });

  test("one private address among public ones is enough to refuse a name", () => {
    expect(() => policy.check("rebind.example", ["8.8.8.8", "127.0.0.1"])).toThrow(ForbiddenError);
    expect(() => policy.check("nobody.example", [])).toThrow(ForbiddenError);
  });

  test("a node for this machine's users alone may reach loopback, and nothing else that is private", () => {
    const local = new DestinationPolicy({ allow: [], loopback: true });
    expect(local.allowsAddress("127.0.0.1")).toBe(true);
    expect(local.allowsAddress("::1")).toBe(true);
    expect(local.allowsAddress("::ffff:127.0.0.1")).toBe(true);
    expect(local.allowsAddress("10.0.0.1")).toBe(false);
    expect(local.allowsAddress("169.254.169.254")).toBe(false);
  });

  for (const entry of ["10.0.0.0/33", "10.0.0.0/x", "300.1.1.1", "a b", "10.0.0.0/8/8", "fd00::/129", ""]) {
    test(`${JSON.stringify(entry)} is refused at start`, () => {
      expect(() => new DestinationPolicy({ allow: [entry], loopback: false })).toThrow(InvalidArgumentError);
    });
  }
});
