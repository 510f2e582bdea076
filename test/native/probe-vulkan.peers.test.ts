import { expect, test } from "vitest";
import { autoDevices } from "../../src/core/probe-report.ts";
import { probe } from "../../src/native/probe.ts";
import { loadProfiles, type Profile } from "../../src/native/profile.ts";
import { requirePeer } from "../kit/peers.ts";

const profiles = loadProfiles();
const vulkan = profiles.find(({ name }) => name === "vulkan");
if (vulkan === undefined) throw new Error("Vulkan has no profile");

/** What needs no video queue, which llvmpipe has not. */
const graphs: Profile = { ...vulkan, decode: {}, encode: {} };

/** Mesa's Vulkan on the CPU: slow, but a device in every other way. */
requirePeer("llvmpipe")("on an emulated Vulkan device", () => {
  test("an emulated device uploads, scales, composes four pictures in their places, downloads", async () => {
    const { devices } = await probe({ profiles: [graphs] });
    const device = devices.find(({ deviceName }) => deviceName?.includes("llvmpipe"));
    expect(device).toMatchObject({ opened: true, software: true, accel: "vulkan" });
    expect(device?.stages.map(({ stage, available }) => [stage, available])).toEqual([
      ["transfer", true],
      ["scale", true],
      ["compose", true],
    ]);
    expect(device?.stages[0]).toMatchObject({ psnrDb: 100 });
    expect(autoDevices({ ffmpeg: "", devices })).toEqual(devices.filter(({ software }) => !software));
  });

  test("a placement that the device gets wrong is found out there too", async () => {
    const [way] = graphs.compose;
    if (way?.method !== "graph") throw new Error("Vulkan composes by a graph");
    const lists = { ...way.lists, xs: { item: "eq(idx,{index})*({x}+4)", separator: "+" } };
    const { devices } = await probe({ profiles: [{ ...graphs, scale: [], compose: [{ ...way, lists }] }] });
    const compose = devices[0]?.stages.find(({ stage }) => stage === "compose");
    expect(compose).toMatchObject({ available: false, reason: { kind: "mismatch" } });
  });

  test("a decoder that quietly falls back to the CPU is not the device's", async () => {
    const { h264: decode = [] } = vulkan.decode;
    const { devices } = await probe({
      profiles: [{ ...graphs, scale: [], compose: [], decode: { h264: decode } }],
    });
    const stage = devices[0]?.stages.find((one) => one.stage === "decode");
    if (devices[0]?.software) {
      expect(stage).toMatchObject({ available: false, reason: { kind: "mismatch" } });
      expect(stage?.reason?.message).toContain("not from the device");
    } else expect(stage?.available).toBe(true);
  });
});
