import { readdirSync, readFileSync } from "node:fs";
import { Codec, Filter } from "node-av";
import { describe, expect, test } from "vitest";
import { InvalidArgumentError } from "../../src/core/error.ts";
import { loadProfiles, PROFILE_DIR, parseProfile } from "../../src/native/profile.ts";
import { composeGraph, encoderOptions, fill, needsCanvas } from "../../src/native/profile-template.ts";

const minimal = {
  profile: 1,
  name: "x",
  title: "X",
  accel: "cpu",
  frameFormat: "yuv420p",
  memoryFormat: "yuv420p",
};
const device = { type: "cuda", list: { numbered: 2 } };
const ways = { upload: "[in0]hwupload[out]", download: "[in0]hwdownload[out]" };

describe("parseProfile", () => {
  test("takes the least profile there is, and fills in what is absent", () => {
    expect(parseProfile(minimal)).toMatchObject({
      decode: {},
      scale: [],
      compose: [],
      encode: {},
      audio: {},
    });
  });

  const faults: readonly { name: string; value: object; pointer: string }[] = [
    { name: "another version", value: { ...minimal, profile: 2 }, pointer: "/profile" },
    { name: "an unknown key", value: { ...minimal, scales: [] }, pointer: "/scales" },
    { name: "an unknown accel", value: { ...minimal, accel: "cuda" }, pointer: "/accel" },
    {
      name: "an unknown codec",
      value: { ...minimal, decode: { h265: [{ decoder: "hevc" }] } },
      pointer: "/decode/h265",
    },
    { name: "a codec without a way", value: { ...minimal, decode: { h264: [] } }, pointer: "/decode/h264" },
    {
      name: "an unknown rate control",
      value: { ...minimal, encode: { h264: [{ encoder: "libx264", rateControl: { abr: {} } }] } },
      pointer: "/encode/h264/0/rateControl/abr",
    },
    { name: "a device without upload", value: { ...minimal, device }, pointer: "/upload" },
    {
      name: "an unknown device type",
      value: { ...minimal, ...ways, device: { ...device, type: "metal" } },
      pointer: "/device/type",
    },
    {
      name: "a pattern that does not compile",
      value: { ...minimal, ...ways, device: { ...device, nameInLog: "(" } },
      pointer: "/device/nameInLog",
    },
    {
      name: "an unknown way to compose",
      value: { ...minimal, compose: [{ method: "magic" }] },
      pointer: "/compose/0/method",
    },
    { name: "not an object", value: [], pointer: "" },
  ];
  for (const { name, value, pointer } of faults) {
    test(`refuses ${name}, and says where`, () => {
      expect(() => parseProfile(value)).toThrow(
        expect.objectContaining({ code: "ERR_INVALID_ARGUMENT", pointer }),
      );
    });
  }
});

describe("the shipped profiles", () => {
  const profiles = loadProfiles();

  test("are one per family, the CPU's first", () => {
    expect(profiles.map(({ name }) => name)).toEqual(["cpu", "nvidia", "vaapi", "qsv", "vulkan"]);
    expect(profiles.map(({ accel }) => accel)).toEqual(["cpu", "nvenc", "vaapi", "qsv", "vulkan"]);
  });

  test("name only codecs and filters that this FFmpeg knows", () => {
    const encoders = new Set(
      Codec.getCodecList()
        .filter((codec) => codec.isEncoder())
        .map(({ name }) => name),
    );
    const decoders = new Set(
      Codec.getCodecList()
        .filter((codec) => codec.isDecoder())
        .map(({ name }) => name),
    );
    for (const { decode, encode, audio, scale } of profiles) {
      for (const { encoder } of Object.values(encode).flat()) expect(encoders).toContain(encoder);
      for (const { decoder } of Object.values(decode).flat()) expect(decoders).toContain(decoder);
      for (const name of Object.values(audio).flatMap((sound) => sound.encoders))
        expect(encoders).toContain(name);
      for (const text of scale)
        expect(Filter.getByName(/\](\w+)=/.exec(text)?.[1] ?? ""), text).not.toBeNull();
    }
  });

  test("have every placeholder filled for every count of inputs up to nine", () => {
    const canvas = { width: 1280, height: 720, background: "101418" };
    for (const compose of profiles.flatMap((profile) => profile.compose)) {
      if (compose.method !== "graph") continue;
      for (let count = 1; count <= 9; count += 1) {
        const placements = Array.from({ length: count }, (_, x) => ({
          x: x * 2,
          y: 0,
          width: 64,
          height: 36,
        }));
        const text = composeGraph(compose, canvas, placements);
        expect(text).not.toMatch(/[{}]/);
        for (let index = 0; index < count; index += 1) expect(text).toContain(`[in${index}]`);
        expect(text.includes(`[in${count}]`)).toBe(needsCanvas(compose));
        expect(text.match(/\[out\]/g)).toHaveLength(1);
      }
    }
  });

  test("offer CBR, VBR and CRF wherever they encode H.264", () => {
    for (const { name, encode } of profiles) {
      for (const encoder of encode.h264 ?? []) {
        for (const rateControl of ["cbr", "vbr", "crf"] as const) {
          const options = encoderOptions(encoder, {
            rateControl,
            bitrateBps: 2_000_000,
            crf: 23,
            preset: "veryfast",
          });
          expect(options, `${name} ${rateControl}`).toBeDefined();
          expect(Object.values(options ?? {}).join(" ")).not.toMatch(/[{}]/);
          expect(Object.values(options ?? {})).toContain(rateControl === "crf" ? "23" : "2000000");
        }
      }
    }
  });

  test("are named like their files", () => {
    const files = readdirSync(PROFILE_DIR).filter((file) => file.endsWith(".json"));
    expect(files.sort()).toEqual(profiles.map(({ name }) => `${name}.json`).sort());
  });

  test("use only keys that docs/hardware.md explains", () => {
    const guide = readFileSync("docs/hardware.md", "utf8");
    const keys = new Set(
      profiles.flatMap((profile) => [...Object.keys(profile), ...Object.keys(profile.device ?? {})]),
    );
    for (const key of keys) expect(guide, key).toContain(`\`${key}\``);
  });
});

test("a template that names what is not there is refused, not left with a hole", () => {
  expect(fill("{a}x{b}", { a: 1, b: "2" })).toBe("1x2");
  expect(() => fill("{a}x{c}", { a: 1 })).toThrow(InvalidArgumentError);
});

test("more inputs than a device takes are refused", () => {
  const compose = parseProfile({
    ...minimal,
    compose: [{ method: "graph", maxInputs: 1, join: "{inputs}null[out]" }],
  }).compose[0];
  if (compose?.method !== "graph") throw new Error("the fixture composes by graph");
  const at = { x: 0, y: 0, width: 2, height: 2 };
  expect(() => composeGraph(compose, { width: 2, height: 2, background: "000000" }, [at, at])).toThrow(
    expect.objectContaining({ code: "ERR_DEVICE" }),
  );
});
