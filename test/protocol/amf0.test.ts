import { describe, expect, test } from "vitest";
import { type AmfValue, decodeAmf0, encodeAmf0 } from "../../src/protocol/amf0.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

/** Bytes by hand from AMF0 §2. */
const forms: { name: string; bytes: string; value: AmfValue }[] = [
  { name: "number", bytes: "00 3ff0000000000000", value: 1 },
  { name: "true", bytes: "01 01", value: true },
  { name: "string", bytes: "02 0003 616263", value: "abc" },
  { name: "UTF-8", bytes: "02 0002 c3bc", value: "ü" },
  { name: "object", bytes: "03 0001 61 01 00 0000 09", value: { a: false } },
  { name: "null", bytes: "05", value: null },
  { name: "undefined", bytes: "06", value: undefined },
  { name: "strict array", bytes: "0a 00000002 05 06", value: [null, undefined] },
  { name: "date", bytes: "0b 408f400000000000 0000", value: new Date(1000) },
];

describe("forms that read and write alike", () => {
  for (const { name, bytes, value } of forms)
    test(name, () => {
      expect(decodeAmf0(hex(bytes))[0]).toEqual(value);
      expect(encodeAmf0(value)).toEqual(hex(bytes));
    });
});

test("a Map is written as an ECMA array, which reads as an object whatever count it claims", () => {
  expect(encodeAmf0(new Map([["a", 1]]))).toEqual(hex("08 00000001 0001 61 00 3ff0000000000000 0000 09"));
  expect(decodeAmf0(hex("08 ffffffff 0001 61 05 0000 09"))).toEqual([{ a: null }]);
});

test("long strings and XML read as text", () => {
  const text = "x".repeat(70_000);
  expect(decodeAmf0(encodeAmf0(text))).toEqual([text]);
  expect(decodeAmf0(hex("0f 00000001 61"))).toEqual(["a"]);
});

test("a peer's __proto__ is a key like any other", () => {
  const [object] = decodeAmf0(hex("03 0009 5f5f70726f746f5f5f 03 0001 61 05 0000 09 0000 09"));
  expect(Object.getPrototypeOf(object)).toBeNull();
  expect(({} as { a?: unknown }).a).toBeUndefined();
});

const hostile: { name: string; bytes: Buffer }[] = [
  { name: "cut in a string", bytes: hex("02 0010 61") },
  { name: "cut in an object", bytes: hex("03 0001 61") },
  { name: "an unknown marker", bytes: hex("63") },
  { name: "nesting without end", bytes: Buffer.alloc(60_000, hex("03 0001 61")) },
  { name: "an array of four thousand million", bytes: hex("0a ffffffff 05") },
  { name: "five thousand values", bytes: Buffer.alloc(5000, 5) },
];
describe("refused", () => {
  for (const { name, bytes } of hostile)
    test(name, () =>
      expect(() => decodeAmf0(bytes)).toThrow(expect.objectContaining({ code: "ERR_PROTOCOL" })),
    );
});
