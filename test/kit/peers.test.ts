import { readFileSync } from "node:fs";
import { afterEach, describe, expect, test, vi } from "vitest";
import { findProgram, hasPeer, PEERS, type Peer, requirePeer } from "./peers.ts";

const absent = "no-such-peer" as Peer;
Object.assign(PEERS, {
  [absent]: { for: "this test", packages: ["no-such-package"], needs: ["bin:no-such-program"] },
});
Object.assign(PEERS, {
  shell: { for: "this test", packages: [], needs: ["bin:nosh|sh", "file:/proc/self/stat"] },
});
afterEach(() => vi.unstubAllEnvs());

test("a peer is there when all its parts are", () => {
  expect(hasPeer("shell" as Peer)).toBe(true);
  expect(hasPeer(absent)).toBe(false);
  expect(findProgram("sh")).toMatch(/\/sh$/);
});

test("outside CI a missing peer skips, and says so", () => {
  vi.stubEnv("CI", "");
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  expect(requirePeer(absent)).not.toBe(describe);
  expect(warn.mock.calls[0]?.[0]).toMatch(/SKIPPED, LOUDLY: no-such-peer is missing/);
  expect(requirePeer("shell" as Peer)).toBe(describe);
  warn.mockRestore();
});

test("under CI a missing peer fails", () => {
  vi.stubEnv("CI", "true");
  expect(() => requirePeer("shell" as Peer, absent)).toThrow(/no-such-peer is missing/);
});

test("every peer of the table says what it is for and how to get it", () => {
  const table = JSON.parse(readFileSync("scripts/peers.json", "utf8")) as typeof PEERS;
  for (const [name, peer] of Object.entries(table)) {
    expect(peer.for.length, name).toBeGreaterThan(3);
    expect(peer.packages.length, name).toBeGreaterThan(0);
    expect(peer.needs.length, name).toBeGreaterThan(0);
  }
});
