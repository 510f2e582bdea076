import { describe, expect, test } from "vitest";
import { UnauthorizedError } from "../../src/core/error.ts";
import { type Action, allows, Tokens } from "../../src/service/tokens.ts";

const KEY = new Uint8Array(32).fill(7);
const everything = { actions: ["publish", "play", "control"] as Action[] };

/** Tokens on a clock that stands at `nowMs`. */
const at = (nowMs: number, node: string | undefined = "node-secret", key = KEY): Tokens =>
  new Tokens(node, key, () => nowMs);

describe("checking", () => {
  test("the node's token allows everything", () => {
    expect(at(0).check("node-secret")).toEqual(everything);
  });

  test("no token is enough only where none is set", () => {
    expect(new Tokens(undefined, KEY).check(undefined)).toEqual(everything);
    expect(() => at(0).check(undefined)).toThrow(UnauthorizedError);
    expect(() => at(0).check("")).toThrow(UnauthorizedError);
  });

  test("a signed token allows what it says until its time is over", () => {
    const token = at(1000).issue({ mix: "m", actions: ["play"] }, 60, everything);
    expect(at(60_999).check(token)).toEqual({ mix: "m", actions: ["play"], untilMs: 61_000 });
    expect(() => at(61_000).check(token)).toThrow(/time is over/);
  });

  test("a token of another key, or one that was touched, is nothing", () => {
    const token = at(0).issue({ mix: "m", actions: ["play"] }, 60, everything);
    expect(() => at(0, "x".repeat(9), new Uint8Array(32)).check(token)).toThrow(UnauthorizedError);
    for (let index = 0; index < token.length; index++) {
      const other = token[index] === "A" ? "B" : "A";
      const touched = token.slice(0, index) + other + token.slice(index + 1);
      expect(() => at(0).check(touched), `at ${index}`).toThrow(UnauthorizedError);
    }
    for (const nonsense of ["tsr1", "tsr1..", "a.b.c", ".", "tsr1.e30.", `${token}.x`, token.slice(0, -1)]) {
      expect(() => at(0).check(nonsense), nonsense).toThrow(UnauthorizedError);
    }
  });

  test("who may act for an hour cannot issue a token for a day", () => {
    const hour = at(0).check(at(0).issue({ actions: ["control"] }, 3600, everything));
    const day = at(0).issue({ actions: ["control"] }, 86_400, hour);
    expect(at(0).check(day).untilMs).toBe(3_600_000);
  });
});

describe("allowing", () => {
  const cases: [string, Parameters<typeof allows>, boolean][] = [
    ["control on its mix", [{ mix: "a", actions: ["control"] }, "control", "a"], true],
    ["control on another mix", [{ mix: "a", actions: ["control"] }, "control", "b"], false],
    ["control of a mix on the node", [{ mix: "a", actions: ["control"] }, "control", undefined], false],
    ["control of the node on a mix", [{ actions: ["control"] }, "control", "a"], true],
    ["control looks", [{ mix: "a", actions: ["control"] }, "play", "a"], true],
    ["control does not publish", [{ mix: "a", actions: ["control"] }, "publish", "a"], false],
    ["play does not control", [{ mix: "a", actions: ["play"] }, "control", "a"], false],
    ["publish does not look", [{ mix: "a", actions: ["publish"] }, "play", "a"], false],
    ["nothing allows nothing", [{ mix: "a", actions: [] }, "play", "a"], false],
  ];
  for (const [name, args, want] of cases) test(name, () => expect(allows(...args)).toBe(want));
});
