import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, describe, expect, test } from "vitest";
import type { Placement } from "../../src/layout/resolve.ts";
import type { Source } from "../../src/session/source.ts";
import { type Still, Stills, sourceStill, toYuv } from "../../src/session/stills.ts";
import { luma } from "../native/drawing.ts";

const folder = mkdtempSync(join(tmpdir(), "tessera-stills-"));
afterAll(() => rmSync(folder, { recursive: true }));
const RECT = { x: 0, y: 0, width: 64, height: 32 };
const WHITE = 235;

const shades = (stills: Stills, still: Still): number[] => {
  const layer = stills.layer(still);
  if (layer.kind !== "card") throw new Error("no card");
  return [...new Set(luma(layer.picture))].sort((a, b) => a - b);
};
const asset = async (name: string, background = "#ffffff"): Promise<Still> => {
  const plain = { width: 8, height: 8, channels: 3, background } as const;
  writeFileSync(join(folder, name), await sharp({ create: plain }).png().toBuffer());
  return { key: `asset ${name}`, rect: RECT, color: "#000000", asset: name };
};

describe("a still", () => {
  test("is its colour until it is rendered, and itself from then on", async () => {
    using stills = new Stills(folder);
    const still = await asset("white");
    expect(shades(stills, still)).toEqual([16]);
    await stills.prepare(still);
    expect(shades(stills, still)).toEqual([WHITE]);
  });

  const impossible = [
    { name: "an asset that is not there", asset: "nowhere" },
    { name: "an asset that is no image", asset: "text" },
    { name: "a name that leaves the folder", asset: "../white" },
  ];
  for (const { name, asset: of } of impossible) {
    test(`of ${name} is its colour`, async () => {
      writeFileSync(join(folder, "text"), "no image");
      using stills = new Stills(join(folder, "."));
      const still = { key: name, rect: RECT, color: "#ffffff", asset: of };
      await stills.prepare(still);
      expect(shades(stills, still)).toEqual([WHITE]);
    });
  }

  test("that is shown all the time is not forgotten for those that come and go", async () => {
    using stills = new Stills(folder);
    const still = await asset("white");
    await stills.prepare(still);
    for (let i = 0; i < 600; i++) {
      stills.layer({
        key: "",
        rect: RECT,
        color: `#0000${(i & 0xff).toString(16).padStart(2, "0")}${i >> 8}0`,
      });
      expect(shades(stills, still)).toEqual([WHITE]);
    }
  });

  test("of an asset that is put anew is the new image, under another key so that it is drawn", async () => {
    using stills = new Stills(folder);
    const still = await asset("logo");
    await stills.prepare(still);
    const before = stills.layer(still);
    await asset("logo", "#000000");
    expect(shades(stills, still)).toEqual([WHITE]);
    await stills.refresh("logo");
    expect(shades(stills, still)).toEqual([16]);
    expect(stills.layer(still)).not.toMatchObject({ key: "key" in before ? before.key : "" });
  });

  test("of an asset that is removed stays", async () => {
    using stills = new Stills(folder);
    const still = await asset("gone");
    await stills.prepare(still);
    rmSync(join(folder, "gone"));
    await stills.refresh("gone");
    expect(shades(stills, still)).toEqual([WHITE]);
  });

  test("that is ready after its mix has ended is not kept", async () => {
    const stills = new Stills(folder);
    const still = await asset("white");
    const made = stills.prepare(still);
    stills[Symbol.dispose]();
    await expect(made).resolves.toBeUndefined();
  });
});

describe("what stands in for a source", () => {
  const placement = { ...RECT, fallback: "avatar" } as unknown as Placement;
  const source = (spec: object): Source => ({ spec: { id: "anna", ...spec } }) as unknown as Source;
  test("is its avatar, else a card with its name, else a card with its id", () => {
    expect(sourceStill(source({ avatar: "face", name: "Anna" }), placement).asset).toBe("face");
    expect(sourceStill(source({ name: "Anna" }), placement).svg).toContain(">Anna<");
    expect(sourceStill(source({}), placement).svg).toContain(">anna<");
  });
  test("takes a name for text, whatever it says", async () => {
    using stills = new Stills(folder);
    const still = sourceStill(source({ name: `</text><image href="x"/>&"'` }), placement);
    expect(still.svg).not.toContain("<image");
    await stills.prepare(still);
    expect(shades(stills, still).length).toBeGreaterThan(1);
  });
});

test("colours are BT.709 in limited range", () => {
  expect([toYuv("#000"), toYuv("#ffffff"), toYuv("#f00"), toYuv("#00ff0080")]).toEqual([
    { y: 16, u: 128, v: 128 },
    { y: 235, u: 128, v: 128 },
    { y: 63, u: 102, v: 240 },
    { y: 173, u: 42, v: 26 },
  ]);
});
