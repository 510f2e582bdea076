import { createHash } from "node:crypto";
import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TesseraError } from "../../src/core/error.ts";
import { Assets } from "../../src/service/assets.ts";
import { imageHeader } from "../../src/service/image-header.ts";
import { Store } from "../../src/service/store.ts";
import { tempFolder } from "./fixtures/node.ts";

/** The head of a PNG of that size; PNG §5.2, §11.2.2. */
function png(width: number, height: number, length = 64): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, 0x49, 0x48, 0x44, 0x52]);
  const view = new DataView(bytes.buffer);
  view.setUint32(16, width);
  view.setUint32(20, height);
  return bytes;
}

/** A JPEG with an application segment before its frame; T.81 Annex B. */
const jpeg = (width: number, height: number, frame = 0xc2): Uint8Array =>
  Uint8Array.of(
    ...[0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xff, frame, 0, 17, 8],
    ...[height >> 8, height & 255, width >> 8, width & 255, 3, 0, 0, 0],
  );
const svg = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("headers", () => {
  const good: [string, Uint8Array, [string, number, number]][] = [
    ["PNG", png(640, 360), ["png", 640, 360]],
    ["baseline JPEG", jpeg(1920, 1080, 0xc0), ["jpeg", 1920, 1080]],
    ["progressive JPEG", jpeg(300, 200), ["jpeg", 300, 200]],
    ["SVG", svg('<svg xmlns="x" width="120" height="40px"/>'), ["svg", 120, 40]],
    ["SVG by its view box", svg('<?xml version="1.0"?>\n<svg viewBox="0 0 64 32">'), ["svg", 64, 32]],
    ["SVG in percent", svg('<svg width="100%" height="100%" viewBox="0,0,10,20">'), ["svg", 10, 20]],
    ["SVG without a size", svg("\uFEFF<svg></svg>"), ["svg", 300, 150]],
  ];
  for (const [name, bytes, [type, width, height]] of good) {
    test(name, () => expect(imageHeader(bytes)).toEqual({ type, width, height }));
  }

  const bad: [string, Uint8Array][] = [
    ["nothing", new Uint8Array()],
    ["a cut PNG", png(640, 360).subarray(0, 20)],
    ["a PNG without a size", png(0, 360)],
    ["a JPEG without a frame", Uint8Array.of(0xff, 0xd8, 0xff, 0xda, 0, 4, 0, 0, 0, 0, 0, 0)],
    ["a JPEG whose segment has no length", Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0)],
    ["a text", svg("hello <svg>")],
    ["HTML", svg("<html>")],
    ["an SVG with entities", svg('<!DOCTYPE svg [<!ENTITY a "b">]><svg width="1" height="1"/>')],
    ["an SVG whose tag never ends", svg(`<svg ${"a".repeat(100_000)}`)],
    ["a GIF", svg("GIF89a")],
  ];
  for (const [name, bytes] of bad) {
    test(`refuses ${name}`, () => expect(() => imageHeader(bytes)).toThrow(TesseraError));
  }

  test("any bytes, and any change to good ones, give a size or a typed error, at once", () => {
    const seeds = good.map(([, bytes]) => bytes);
    const mutated = fc
      .tuple(fc.constantFrom(...seeds), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 8 }), fc.nat())
      .map(([seed, edits, cut]) => {
        const bytes = Uint8Array.from(seed);
        for (const [at, value] of edits) bytes[at % bytes.length] = value;
        return cut % 3 === 0 ? bytes.subarray(0, cut % bytes.length) : bytes;
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated), (bytes) => {
        try {
          const { width, height } = imageHeader(bytes);
          expect(width >= 1 && height >= 1).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(TesseraError);
        }
      }),
      { numRuns: 20_000 },
    );
    const started = performance.now();
    const empty = new Uint8Array(5 << 20).fill(0xff);
    empty.set([0xff, 0xd8]);
    expect(() => imageHeader(empty)).toThrow(TesseraError);
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

describe("the store of assets", () => {
  test("keeps bytes by their hash, names as links, and gives back what was put", async () => {
    await using folder = await tempFolder();
    using store = Store.open(folder.path);
    const assets = new Assets(store, join(folder.path, "assets"));
    const data = png(64, 32);
    const hash = createHash("sha256").update(data).digest("hex");
    const put = await assets.put("logo", data);
    expect(put).toMatchObject({ name: "logo", hash, type: "png", width: 64, height: 32, bytes: 64 });
    expect(await assets.put("logo", data)).toEqual(put);
    await assets.put("twin", data);
    expect((await readdir(assets.folder)).sort()).toEqual([`${hash}.png`, "logo", "twin"]);
    expect(await readlink(join(assets.folder, "logo"))).toBe(`${hash}.png`);
    expect(new Uint8Array(await readFile(join(assets.folder, "twin")))).toEqual(data);
    expect(new Uint8Array((await assets.get("logo")).data)).toEqual(data);
    await expect(assets.put("logo", png(65, 32))).rejects.toMatchObject({ code: "ERR_EXISTS" });
    await assets.remove("logo");
    expect(assets.list().map(({ name }) => name)).toEqual(["twin"]);
    expect((await readdir(assets.folder)).sort()).toEqual([`${hash}.png`, "twin"]);
    await assets.remove("twin");
    expect(await readdir(assets.folder)).toEqual([]);
    await expect(assets.remove("twin")).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
  });

  const limits: [string, Uint8Array][] = [
    ["5 MB", png(10, 10, 5 * 1024 * 1024 + 1)],
    ["16 megapixels", png(4001, 4000)],
    ["16 megapixels by one side", png(0xffffffff, 1)],
  ];
  for (const [name, data] of limits) {
    test(`refuses more than ${name}, and says that the caller has to act`, async () => {
      await using folder = await tempFolder();
      using store = Store.open(folder.path);
      const assets = new Assets(store, join(folder.path, "assets"));
      await expect(assets.put("x", data)).rejects.toMatchObject({ code: "ERR_LIMIT", fault: "caller" });
      expect(await readdir(assets.folder)).toEqual([]);
    });
  }

  test("takes exactly the limits", async () => {
    await using folder = await tempFolder();
    using store = Store.open(folder.path);
    const assets = new Assets(store, join(folder.path, "assets"));
    expect(await assets.put("big", png(4000, 4000, 5 * 1024 * 1024))).toMatchObject({ bytes: 5_242_880 });
  });
});
