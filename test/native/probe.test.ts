import { describe, expect, test } from "vitest";
import { autoDevices, type DeviceReport, ProbeReport } from "../../src/core/probe-report.ts";
import { probe } from "../../src/native/probe.ts";
import { loadProfiles, type Profile, parseProfile } from "../../src/native/profile.ts";

const profiles = loadProfiles();
const cpu = profiles.find(({ name }) => name === "cpu");
if (cpu === undefined) throw new Error("the CPU has no profile");

/** A CPU profile cut down to what a test is about, so that it takes a second. */
const only = (change: Partial<Profile>): Profile =>
  parseProfile({
    ...cpu,
    name: "fixture",
    decode: {},
    encode: {},
    audio: {},
    scale: [],
    compose: [],
    ...change,
  });

async function probeOne(profile: Profile, options: object = {}): Promise<DeviceReport> {
  const { devices } = await probe({ profiles: [profile], ...options });
  const [device] = devices;
  if (device === undefined) throw new Error("nothing was probed");
  return device;
}

const stage = (device: DeviceReport, name: string, codec?: string) =>
  device.stages.find((one) => one.stage === name && one.codec === codec);

describe("on the CPU", () => {
  test("H.264 encode, decode, scaling and composition prove themselves, with speeds", async () => {
    const { h264: decode = [] } = cpu.decode;
    const { h264: encode = [] } = cpu.encode;
    const device = await probeOne(
      only({ decode: { h264: decode }, encode: { h264: encode }, scale: cpu.scale, compose: cpu.compose }),
    );
    expect(device).toMatchObject({ opened: true, software: false, accel: "cpu" });
    const found = [
      stage(device, "encode", "h264"),
      stage(device, "decode", "h264"),
      stage(device, "scale"),
      stage(device, "compose"),
    ];
    for (const one of found) {
      expect(one, JSON.stringify(one)).toMatchObject({
        available: true,
        fps: expect.any(Number),
        psnrDb: expect.any(Number),
      });
      expect(one?.fps).toBeGreaterThan(1);
    }
    expect(found[0]).toMatchObject({ name: "libx264", rateControl: ["cbr", "vbr", "crf"] });
  });

  test("every kind of sound that outputs may carry comes back as the tone it was", async () => {
    const device = await probeOne(only({ audio: cpu.audio }));
    for (const codec of ["aac", "opus", "pcmu", "pcma", "g722", "flac", "mp3"]) {
      expect(stage(device, "encode", codec), codec).toMatchObject({ available: true, media: "audio" });
      expect(stage(device, "decode", codec), codec).toMatchObject({ available: true });
    }
  });
});

describe("a stage that makes another picture than the CPU is absent", () => {
  const wrong: readonly { name: string; text: string }[] = [
    { name: "upside down", text: "[in0]scale=w={width}:h={height},vflip,copy[out]" },
    { name: "mirrored", text: "[in0]scale=w={width}:h={height},hflip[out]" },
    {
      name: "with its chroma planes swapped",
      text: "[in0]scale=w={width}:h={height},shuffleplanes=0:2:1[out]",
    },
    { name: "in another range", text: "[in0]scale=w={width}:h={height}:in_range=pc:out_range=tv[out]" },
    { name: "off by four pixels", text: "[in0]crop=1272:712:8:8,scale=w={width}:h={height}[out]" },
    { name: "in another size", text: "[in0]scale=w={width}:h=300[out]" },
    { name: "black", text: "[in0]scale=w={width}:h={height},lutyuv=y=16:u=128:v=128[out]" },
  ];
  test.each(wrong)("$name", async ({ text }) => {
    const device = await probeOne(only({ scale: [text] }));
    expect(stage(device, "scale")).toMatchObject({ available: false, reason: { kind: "mismatch" } });
  });

  test("a second way is taken when the first one is wrong", async () => {
    const device = await probeOne(only({ scale: [wrong[0]?.text ?? "", ...cpu.scale] }));
    expect(stage(device, "scale")).toMatchObject({ available: true, name: "scale" });
  });

  test("a composition with one tile off by four pixels", async () => {
    const off = {
      method: "graph" as const,
      maxInputs: 4,
      tile: "[in{index}]scale=w={width}:h={height}[tile{index}]",
      step: "[{below}][{tile}]overlay=x={x}:y={y}[{above}]",
      lists: {},
    };
    const right = await probeOne(only({ compose: [off] }));
    expect(stage(right, "compose")).toMatchObject({ available: true, name: "scale+overlay" });
    const step = "[{below}][{tile}]overlay=x={x}+4*eq({index}\\,1):y={y}[{above}]";
    const device = await probeOne(only({ compose: [{ ...off, step }] }));
    expect(stage(device, "compose")).toMatchObject({ available: false, reason: { kind: "mismatch" } });
  });
});

describe("what this FFmpeg has not", () => {
  test("an encoder and a filter are absent as not built, and the rest goes on", async () => {
    const device = await probeOne(
      only({
        encode: { h264: [{ encoder: "libopenh264", options: {}, rateControl: { cbr: {} } }] },
        scale: ["[in0]scale_magic=w={width}:h={height}[out]"],
        compose: cpu.compose,
      }),
    );
    expect(stage(device, "encode", "h264")).toMatchObject({
      available: false,
      reason: { kind: "not-built" },
    });
    expect(stage(device, "scale")).toMatchObject({ available: false, reason: { kind: "not-built" } });
    expect(stage(device, "compose")).toMatchObject({ available: true });
  });
});

describe("a driver that takes its process with it", () => {
  test("crashes: the stage is absent with the signal, and the stages after it are still tried", async () => {
    const execArgv = ["--import", new URL("./probe-crash.ts", import.meta.url).href];
    const profile = only({
      scale: ["[in0]oscilloscope,scale=w={width}:h={height}[out]"],
      compose: cpu.compose,
    });
    const device = await probeOne(profile, { execArgv });
    expect(stage(device, "scale")).toMatchObject({
      available: false,
      reason: { kind: "crashed", message: expect.stringContaining("SIGSEGV") },
    });
    expect(stage(device, "compose")).toMatchObject({ available: true });
  });

  test("hangs: the stage is absent after its time, and the stages after it are still tried", async () => {
    // `realtime` sleeps inside the native call, as a driver that waits for its device does.
    const sleeps = "[in0]realtime=limit=3600:speed=0.0001,scale=w={width}:h={height}[out]";
    const device = await probeOne(only({ scale: [sleeps], compose: cpu.compose }), { stageTimeoutMs: 5000 });
    expect(stage(device, "scale")).toMatchObject({ available: false, reason: { kind: "hung" } });
    expect(stage(device, "compose")).toMatchObject({ available: true });
  }, 30_000);

  test("cannot even start: the device is absent with what Node said", async () => {
    const device = await probeOne(only({ compose: cpu.compose }), {
      execArgv: ["--import", "./no-such-file.ts"],
    });
    expect(device).toMatchObject({ opened: false, reason: { kind: "crashed" } });
    expect(device.reason?.message).toContain("no-such-file");
    expect(stage(device, "compose")).toMatchObject({ available: false, reason: { kind: "not-tried" } });
  });
});

test("a device whose driver is not here is absent with the driver's own words", async () => {
  const missing = parseProfile({
    ...profiles.find(({ name }) => name === "vaapi"),
    name: "fixture",
    device: { type: "vaapi", list: { folder: "/dev", match: "^null$" } },
  });
  const device = await probeOne(missing);
  expect(device).toMatchObject({ device: "/dev/null", opened: false, reason: { kind: "no-device" } });
  // What libva says of such a device; where libva itself is missing, what is said of that.
  expect(device.reason?.message).toMatch(/^open vaapi: .+: (.*\/dev\/null|Cannot load libva)/);
  expect(device.stages.every(({ available }) => !available)).toBe(true);
});

test("an abort ends the probe and its child at once", async () => {
  const sleeps = only({ scale: ["[in0]realtime=limit=3600:speed=0.0001,scale=w={width}:h={height}[out]"] });
  const why = new Error("enough");
  const started = performance.now();
  await expect(probe({ profiles: [sleeps], signal: AbortSignal.timeout(500) })).rejects.toThrow();
  await expect(probe({ profiles: [sleeps], signal: AbortSignal.abort(why) })).rejects.toBe(why);
  expect(performance.now() - started).toBeLessThan(10_000);
});

test("auto takes the fastest device that proved itself, and never an emulated one", () => {
  const device = (profile: string, fps: number, change: Partial<DeviceReport> = {}): DeviceReport => ({
    profile,
    title: profile,
    accel: profile,
    software: false,
    opened: true,
    stages: [{ stage: "compose", media: "video", name: "x", available: fps > 0, fps }],
    ...change,
  });
  const report = ProbeReport.parse({
    ffmpeg: "8",
    devices: [
      device("cpu", 100),
      device("vulkan", 900, { software: true }),
      device("nvenc", 800),
      device("qsv", 0),
    ],
  });
  expect(autoDevices(report).map(({ profile }) => profile)).toEqual(["nvenc", "cpu"]);
});
